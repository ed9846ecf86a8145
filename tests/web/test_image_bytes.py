"""Bytes of images: those of cwebp and avifenc, whose figures are in bench/images.md; and what is no image."""

from __future__ import annotations

import io
import re
import runpy
from pathlib import Path

import pytest
from PIL import Image

from perflab.web.image_bytes import encoded, pixels, sizes

BENCH = Path(__file__).parents[2] / "bench"
ROW = re.compile(
    r"\| (?P<what>[^|]+) \| (?P<name>\w+) \| (?P<quality>\d+) \| [\d,]+ \| (?P<bytes>[\d,]+) \| (?P<off>[+-][\d.]+)% \|"
)
CHECKED = ("photo, odd size", "photo, small", "logo, transparent")


def test_sizes_are_those_of_cwebp_and_avifenc():
    table = [match.groupdict() for match in ROW.finditer((BENCH / "images.md").read_text())]
    assert len(table) >= 60 and max(abs(float(row["off"])) for row in table) <= 5
    pictures = dict(runpy.run_path(str(BENCH / "images.py"))["pictures"]())
    rows = [row for row in table if row["what"] in CHECKED and row["quality"] == "60"]
    assert len(rows) == 6
    for row in rows:
        ours = len(encoded(pictures[row["what"]], row["name"], quality=60))
        assert ours == pytest.approx(int(row["bytes"].replace(",", "")), rel=0.05), row


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_images_of_every_mode_are_measured():
    gradient = Image.linear_gradient("L")
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"):
        image = gradient.convert("I").convert("I;16") if mode == "I;16" else gradient.convert(mode)
        body = saved(image, "JPEG" if mode == "CMYK" else "PNG")
        found = sizes(body)
        assert (found["natural_width"], found["natural_height"]) == (256, 256), mode
        assert 0 < found["webp_bytes"] < 200_000 and 0 < found["avif_bytes"] < 200_000
    frames = [Image.new("RGB", (40, 40), (n * 60, 0, 0)) for n in range(3)]
    moving = sizes(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert moving["webp_bytes"] > sizes(saved(frames[0], "GIF"))["webp_bytes"]


def test_a_smaller_width_is_measured_and_a_larger_one_is_not():
    body = saved(Image.effect_noise((200, 100), 40))
    assert sizes(body, 50)["webp_bytes"] < sizes(body)["webp_bytes"] == sizes(body, 900)["webp_bytes"]


def test_what_is_no_image_is_not_measured():
    body = saved(Image.effect_noise((64, 64), 40))
    for bad in (
        b"",
        b"<svg/>",
        b"\x89PNG",
        body[:60],
        b"\x00\x00\x00\x18ftypmp42" + bytes(50),
        b"RIFF" + bytes(50),
        b"GIF89a",
    ):
        assert sizes(bad) == {}
    assert pixels(body) == {"natural_width": 64, "natural_height": 64}
    assert sizes(body[:-200]) == {}
