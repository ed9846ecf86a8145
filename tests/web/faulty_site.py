"""A page with the usual faults, and with all of them fixed: what the samples and datasets of pages were recorded from.

    python tests/web/faulty_site.py 8311            the faults
    python tests/web/faulty_site.py 8312 --fixed    without them

A redirect at the door, a style sheet and a script that block, no compression, no cache headers, a large PNG, an image below the
first screen, three calls in a row.
"""

from __future__ import annotations

import gzip
import io
import sys
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image

CALL_S = 0.06
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Shop</title>
<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/static/{css}">{script}</head><body>
<h1>Boots</h1><img src="/static/{hero}" width="320" height="240" alt="Boots">{text}
<img src="/static/{seal}" width="160" height="120" alt="Seal" style="display: block; margin-top: 3000px"{lazy}>
<script>{calls}</script></body></html>"""
_SCRIPT = '<script src="/static/{}"{}></script>'
_ROW = "for (const name of ['prices', 'stock', 'reviews']) await fetch('/api/' + name).then(r => r.json());"
_AT_ONCE = "await Promise.all(['prices', 'stock', 'reviews'].map(name => fetch('/api/' + name).then(r => r.json())));"


@cache
def picture(width: int, height: int, kind: str) -> bytes:
    """A soft gradient with some structure."""
    base = Image.linear_gradient("L").resize((width, height))
    noise = Image.effect_noise((width // 16, height // 16), 40).resize((width, height), Image.Resampling.BICUBIC)
    steps = noise.point(lambda value: value // 16 * 16)
    out = io.BytesIO()
    Image.merge("RGB", (base, steps, steps)).save(out, kind, **({"quality": 60} if kind == "AVIF" else {}))
    return out.getvalue()


@cache
def script() -> bytes:
    lines = [
        f"export function helper{n}(order) {{ return order.lines.filter(line => line.amount > {n}); }}\n"
        for n in range(400)
    ]
    return "".join(line.removeprefix("export ") for line in lines).encode()


@cache
def style() -> bytes:
    return "".join(
        f".card-{n} {{ margin: {n % 7}px; padding: {n % 5}px; color: #{n:06x}; }}\n" for n in range(300)
    ).encode()


def page(fixed: bool) -> bytes:
    names = {
        "css": "site.css",
        "hero": "hero.png",
        "seal": "seal.png",
        "lazy": "",
        "script": _SCRIPT.format("app.js", ""),
    }
    if fixed:
        deferred = _SCRIPT.format("app.7c4e2f9a.js", " defer")
        names = {
            "css": "site.3f2a9c1b.css",
            "hero": "hero.8d1e7a2c.avif",
            "seal": "seal.5b9c0d4e.avif",
            "script": deferred,
        }
        names["lazy"] = ' loading="lazy"'
    calls = f"(async () => {{ {_AT_ONCE if fixed else _ROW} }})();"
    text = "".join(f'<p class="card-{n}">Warm, dry and resoled for twenty years, pair {n}.</p>' for n in range(40))
    return _PAGE.format(**names, calls=calls, text=text).encode()


class Site(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fixed = False

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/" and not self.fixed:
            self._answer(b"", "text/html", status=302, Location="/shop")
        elif path in ("/", "/shop"):
            self._answer(page(self.fixed), "text/html; charset=utf-8", **self._validated())
        elif path.startswith("/api/"):
            time.sleep(CALL_S)
            self._answer(
                b'{"items": [' + b",".join(b'{"id": %d}' % n for n in range(50)) + b"]}",
                "application/json",
                **self._validated(),
            )
        elif path.endswith(".css"):
            self._file(style(), "text/css")
        elif path.endswith(".js"):
            self._file(script(), "text/javascript")
        elif "hero" in path:
            self._file(
                picture(320, 240, "AVIF") if self.fixed else picture(640, 480, "PNG"),
                f"image/{path.rpartition('.')[2]}",
            )
        elif "seal" in path:
            self._file(
                picture(160, 120, "AVIF") if self.fixed else picture(160, 120, "PNG"),
                f"image/{path.rpartition('.')[2]}",
            )
        else:
            self._answer(b"", "text/plain", status=404)

    def _validated(self) -> dict[str, str]:
        return {"Cache-Control": "private, no-cache", "ETag": '"1"'} if self.fixed else {}

    def _file(self, body: bytes, mime: str) -> None:
        headers = (
            {"Cache-Control": "public, max-age=31536000, immutable"}
            if self.fixed
            else {"Last-Modified": "Sun, 22 Nov 2026 10:00:00 GMT"}
        )
        self._answer(body, mime, **headers)

    def _answer(self, body: bytes, mime: str, status: int = 200, **headers: str) -> None:
        if (
            self.fixed
            and mime.startswith(("text/", "application/"))
            and "gzip" in self.headers.get("Accept-Encoding", "")
        ):
            body = gzip.compress(body, mtime=0)
            headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        self.send_response(status)
        for name, value in {"Content-Type": mime, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


if __name__ == "__main__":
    Site.fixed = "--fixed" in sys.argv
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Site).serve_forever()
