"""The shop's page for a browser, with common faults that the fixes of `PAGE_FIXES` take away.

Images are made when they are first asked for, the same each time: a photograph is a gradient with noise, which PNG stores
badly and WebP well.
"""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Callable
from functools import cache, partial

from flask import Flask, Response, abort, request

BANNER_PX, HEADER_PX = 160, 60
"""Without the fix "stable" a banner of this height appears below the header and moves everything under it down."""
CLICK_MS, START_MS = 80, 120
"""How long a click blocks the page without the fix "quick", and the start of the big script without "slim"."""
_HERO, _THUMBNAIL, _SHOWN = (900, 500), (400, 400), 150
_BIG_BYTES = 400_000
_YEAR = "public, max-age=31536000, immutable"

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Shop</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{style}">
<script src="{script}"{defer}></script>
</head>
<body>
<header>Shop <button id="buy">Buy</button> <output id="bought">0</output></header>
<div id="banner"{reserved}></div>
<main>
<img class="hero" src="{hero}" alt="The offer of the week"{size}>
<h1>Offers of the week</h1>
<p class="offers">{thumbnails}</p>
</main>
</body>
</html>
"""
_STYLE = f"""
* {{ box-sizing: border-box; margin: 0 }}
body {{ font: 16px/1.5 sans-serif }}
header {{ height: {HEADER_PX}px; padding: 15px; background: #eee; width: 100% }}
main {{ min-height: 2000px; width: 100% }}
.hero {{ display: block; width: 100%; max-width: 900px; height: 500px; object-fit: cover }}
.offers img {{ width: {_SHOWN}px; height: {_SHOWN}px; margin: 5px }}
"""
_SCRIPT = """
"use strict";
const busy = (ms) => {{ const end = performance.now() + ms; while (performance.now() < end); }};
const count = () => {{ const own = document.querySelector("#bought"); own.textContent = Number(own.textContent) + 1; }};
document.addEventListener("DOMContentLoaded", () => {{
  const banner = document.querySelector("#banner");
  setTimeout(() => {{ banner.textContent = "Free delivery this week"; banner.style.height = "{banner}px"; }}, 150);
  document.querySelector("#buy").addEventListener("click", () => {{ {click} }});
}});
"""


def add_pages(app: Flask, fixes: frozenset[str]) -> None:
    """Add the page ``/`` and what it loads under ``/media/``."""
    kind = "webp" if "webp" in fixes else "png"
    media: dict[str, tuple[str, Callable[[], bytes]]] = {
        "style.css": ("text/css", _STYLE.encode),
        "shop.js": ("text/javascript", partial(_script, fixes)),
        f"hero.{kind}": (f"image/{kind}", partial(picture, 0, _HERO, kind)),
        **{f"offer-{n}.{kind}": (f"image/{kind}", partial(_thumbnail, n, kind)) for n in range(1, 5)},
    }

    def front() -> Response:
        lazy = ' loading="lazy"' if "webp" in fixes else ""
        thumbnails = " ".join(
            f'<img src="{_address(f"offer-{n}.{kind}")}" alt="Offer {n}" width="{_SHOWN}" height="{_SHOWN}"{lazy}>'
            for n in range(1, 5)
        )
        page = _PAGE.format(
            style=_address("style.css"),
            script=_address("shop.js"),
            hero=_address(f"hero.{kind}"),
            defer=" defer" if "slim" in fixes else "",
            reserved=f' style="height:{BANNER_PX}px"' if "stable" in fixes else "",
            size=f' width="{_HERO[0]}" height="{_HERO[1]}" fetchpriority="high"' if "webp" in fixes else "",
            thumbnails=thumbnails,
        )
        return _answer(page.encode(), "text/html", "no-cache", fixes)

    def file(name: str) -> Response:
        if name not in media:
            abort(404)
        mime, make = media[name]
        return _answer(make(), mime, _YEAR if "headers" in fixes else "", fixes)

    app.add_url_rule("/", view_func=front)
    app.add_url_rule("/media/<name>", view_func=file)


def _address(name: str) -> str:
    return f"/media/{name}"


def _answer(body: bytes, mime: str, cached: str, fixes: frozenset[str]) -> Response:
    answer = Response(body, mimetype=mime)
    if "compress" in fixes and mime.startswith("text/") and "gzip" in request.headers.get("Accept-Encoding", ""):
        answer.set_data(_zipped(body))
        answer.headers["Content-Encoding"] = "gzip"
        answer.headers["Vary"] = "Accept-Encoding"
    if cached:
        answer.headers["Cache-Control"] = cached
        answer.headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    return answer


@cache
def _zipped(body: bytes) -> bytes:
    return gzip.compress(body, 6, mtime=0)


@cache
def picture(seed: int, size: tuple[int, int], kind: str) -> bytes:
    """A made-up photograph, as "png" or "webp"."""
    import numpy as np
    from PIL import Image

    random, (width, height) = np.random.default_rng(seed), size
    down, across = np.mgrid[0:height, 0:width]
    waves = [np.sin(across / (90 + 40 * c) + seed) * 60 + np.cos(down / (70 + 30 * c)) * 50 + 120 for c in range(3)]
    pixels = np.stack(waves, axis=-1) + random.normal(0, 5, (height, width, 3))
    image, made = Image.fromarray(np.clip(pixels, 0, 255).astype("uint8")), io.BytesIO()
    image.save(made, kind, **({"quality": 80} if kind == "webp" else {"compress_level": 1}))
    return made.getvalue()


def _thumbnail(number: int, kind: str) -> bytes:
    """An offer: far larger than it is shown, unless it is WebP."""
    return picture(number, (_SHOWN * 2, _SHOWN * 2) if kind == "webp" else _THUMBNAIL, kind)


def _script(fixes: frozenset[str]) -> bytes:
    click = "count(); setTimeout(() => busy({ms}), 50);" if "quick" in fixes else "busy({ms}); count();"
    own = _SCRIPT.format(banner=BANNER_PX, click=click.format(ms=CLICK_MS))
    return (own if "slim" in fixes else own + _filler() + f"\nbusy({START_MS});\n").encode()


@cache
def _filler() -> str:
    """A library that nothing uses."""
    lines = (f"function unused{n}(a, b) {{ return a * {n} + b; }}" for n in range(_BIG_BYTES // 48))
    return "\n".join(lines)
