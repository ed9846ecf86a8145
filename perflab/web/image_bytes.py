"""How many bytes an image takes in another format: measured by encoding it again, never estimated from its pixels."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

WEBP, AVIF = "webp", "avif"
QUALITY = {WEBP: 80, AVIF: 60}
"""The quality (0 to 100) of each encoder, as ``cwebp -q 80`` and ``avifenc -q 60``."""
EFFORT, SPEED, SUBSAMPLING = 4, 6, "4:2:0"
"""``cwebp -m 4``, ``avifenc -s 6 -y 420``: their defaults."""
_MOST_PIXELS = 40_000_000
_MOST_FRAMES = 300
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\x00", b"MM\x00*")


def pixels(body: bytes) -> dict[str, int]:
    """Width and height of an image; {} for what is no image that can be read.

    >>> pixels(b"<svg/>")
    {}
    """
    with _opened(body) as image:
        return {} if image is None else {"natural_width": image.width, "natural_height": image.height}


def sizes(body: bytes, width: int | None = None) -> dict[str, int]:
    """Width and height of an image, and its bytes as WebP and AVIF (``webp_bytes``, ``avif_bytes``).

    With ``width`` it is made smaller first, to that many pixels; an image is never made larger.
    """
    with _opened(body) as image:
        if image is None or image.width * image.height > _MOST_PIXELS:
            return {}
        found = {"natural_width": image.width, "natural_height": image.height}
        try:
            for name in (WEBP, AVIF):
                found[f"{name}_bytes"] = len(encoded(image, name, width=width))
        except (OSError, ValueError, SyntaxError, MemoryError):  # damaged behind its header
            return {}
        return found


def encoded(image: Image.Image, name: str, *, width: int | None = None, quality: int | None = None) -> bytes:
    """The image in another format: with a palette as lossless WebP, all else at `QUALITY`; animations keep their frames."""
    options: dict[str, Any] = {"quality": QUALITY[name] if quality is None else quality}
    drawn = image.mode in ("P", "1") and quality is None
    # One thread: libaom's output depends on their number, and the bytes should not depend on the machine.
    avif = {"speed": SPEED, "subsampling": SUBSAMPLING, "max_threads": 1}
    options |= {"lossless": drawn, "method": EFFORT} if name == WEBP else avif
    frames = getattr(image, "n_frames", 1)
    out = io.BytesIO()
    if 1 < frames <= _MOST_FRAMES:
        image.save(out, format=name, save_all=True, **options)
    else:
        image.seek(0)
        has_alpha = "A" in image.getbands() or "transparency" in image.info
        one = image.convert("RGBA" if has_alpha else "RGB")
        if width and width < one.width:
            one = one.resize((width, max(1, round(one.height * width / one.width))))
        one.save(out, format=name, **options)
    return out.getvalue()


@contextmanager
def _opened(body: bytes) -> Iterator[Image.Image | None]:
    """The image, decoded on first use; None for what Pillow cannot read."""
    if not body.startswith(_MAGIC) and body[4:8] != b"ftyp":
        yield None
        return
    from PIL import Image

    image = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow says of odd files and of large ones
        try:
            image = Image.open(io.BytesIO(body))
        except Exception:  # noqa: BLE001 - of a damaged file Pillow's plug-ins raise anything
            image = None
        try:
            yield image
        finally:
            if image is not None:
                image.close()
