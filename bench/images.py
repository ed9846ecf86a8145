"""The bytes of images as perflab measures them (Pillow), against cwebp and avifenc at the same quality, speed and subsampling.

    AVIFENC=/path/to/avifenc python bench/images.py            writes bench/images.md

Needs cwebp, and an avifenc with the versions of libavif and libaom that Pillow brings (``features.version("avif")``); that of
Debian 12 has no quality scale. Goal: within 5 % for every picture.
"""

from __future__ import annotations

import io
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, ImageDraw, ImageFilter, features

from perflab.web.image_bytes import AVIF, EFFORT, SPEED, WEBP, encoded

PLACE = Path(__file__)
AVIFENC = os.environ.get("AVIFENC", "avifenc")
QUALITIES = (40, 60, 80, 90)


def pictures() -> Iterator[tuple[str, Image.Image]]:
    """Pictures like those of pages: photos, screenshots, icons; with and without transparency; odd sizes."""
    chance = np.random.default_rng(7)
    soft = Image.fromarray(chance.integers(0, 255, (60, 80, 3), dtype="uint8")).resize(
        (640, 480), Image.Resampling.BICUBIC
    )
    yield "photo, soft", soft
    grain = Image.fromarray(chance.normal(0, 12, (480, 640, 3)).round().astype("int16").astype("int8").view("uint8"))
    yield "photo, with grain", Image.blend(soft, grain, 0.15)
    yield "photo, odd size", soft.crop((0, 0, 333, 251))
    yield "photo, small", soft.resize((120, 90)).filter(ImageFilter.SHARPEN)
    shot = Image.new("RGB", (800, 500), "white")
    draw = ImageDraw.Draw(shot)
    for n in range(24):
        draw.text(
            (20, 18 + 20 * n), f"Order {n * 7919}   2026-11-{n + 1:02}   {n * 13.37:8.2f} EUR   paid" * 2, fill="black"
        )
        draw.line((10, 34 + 20 * n, 790, 34 + 20 * n), fill="#dddddd")
    yield "screenshot, text", shot
    chart = Image.new("RGB", (600, 400), "#f8f8f8")
    draw = ImageDraw.Draw(chart)
    for n, height in enumerate(chance.integers(30, 360, 20)):
        draw.rectangle(
            (20 + 28 * n, 390 - int(height), 40 + 28 * n, 390), fill=("#4477aa", "#ee6677", "#228833")[n % 3]
        )
    yield "chart, flat colours", chart
    logo = Image.new("RGBA", (400, 400))
    ImageDraw.Draw(logo).ellipse((40, 40, 360, 360), fill=(220, 60, 40, 255))
    yield "logo, transparent", logo.filter(ImageFilter.GaussianBlur(3))
    yield "photo, grey", soft.convert("L").convert("RGB")


def by_tool(source: Path, name: str, quality: int, folder: Path) -> int:
    """The size that the reference encoder gives."""
    out = folder / f"out.{name}"
    if name == WEBP:
        command = ["cwebp", "-quiet", "-q", str(quality), "-m", str(EFFORT), str(source), "-o", str(out)]
    else:
        command = [AVIFENC, "-q", str(quality), "-s", str(SPEED), "-y", "420", "-j", "1", str(source), str(out)]
    subprocess.run(command, check=True, capture_output=True)
    return out.stat().st_size


def rows(folder: Path) -> Iterator[tuple[str, str, int, int, int]]:
    for what, image in pictures():
        source = folder / "in.png"
        image.save(source)
        with Image.open(io.BytesIO(source.read_bytes())) as opened:
            for name in (WEBP, AVIF):
                for quality in QUALITIES:
                    ours = len(encoded(opened, name, quality=quality))
                    yield what, name, quality, ours, by_tool(source, name, quality, folder)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = list(rows(Path(folder)))
    tools = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[0].strip()
        for command in (["cwebp", "-version"], [AVIFENC, "--version"])
    ]
    worst = max(abs(ours / theirs - 1) for *_, ours, theirs in found)
    lines = [
        "# Bytes of images: Pillow against cwebp and avifenc",
        "",
        f"Pillow {PIL.__version__} (libwebp {features.version('webp')}, libavif {features.version('avif')}); cwebp {tools[0]}; "
        f"avifenc {tools[1]}. Effort 4, speed 6, 4:2:0.",
        "",
        f"Largest difference: {worst:.1%} of {len(found)} encodings (goal: 5 %).",
        "",
        "| picture | format | quality | perflab, bytes | reference, bytes | difference |",
        "|---|---|---|---|---|---|",
        *(
            f"| {what} | {name} | {q} | {ours:,} | {theirs:,} | {ours / theirs - 1:+.1%} |"
            for what, name, q, ours, theirs in found
        ),
    ]
    PLACE.with_suffix(".md").write_text("\n".join(lines) + "\n")
    print(f"largest difference {worst:.2%}")


if __name__ == "__main__":
    main()
