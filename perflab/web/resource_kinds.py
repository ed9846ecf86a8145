"""What a response is to a page: a document, a style sheet, a script, an image ..."""

from __future__ import annotations

DOCUMENT, STYLE, SCRIPT, IMAGE, FONT, MEDIA, CALL, OTHER = KINDS = (
    "document", "stylesheet", "script", "image", "font", "media", "call", "other",
)  # fmt: skip
STATIC = (STYLE, SCRIPT, IMAGE, FONT, MEDIA)
"""What is the same for every user, and changes with a release only."""
_NAMES = {
    "document": DOCUMENT, "iframe": DOCUMENT, "stylesheet": STYLE, "style": STYLE, "script": SCRIPT, "image": IMAGE,
    "font": FONT, "media": MEDIA, "audio": MEDIA, "video": MEDIA, "xhr": CALL, "fetch": CALL, "empty": CALL,
    "websocket": OTHER, "manifest": OTHER, "preflight": OTHER, "ping": OTHER,
}  # fmt: skip
_TEXTS = ("json", "xml", "javascript", "ecmascript", "x-sh", "manifest+json", "graphql", "wasm")


def kind_of(name: str, destination: str, mime: str) -> str:
    """The kind, by the browser's name for it, by Sec-Fetch-Dest, else by its media type.

    >>> kind_of("xhr", "", "application/json"), kind_of("", "", "image/png"), kind_of("", "", "application/json")
    ('call', 'image', 'call')
    """
    named = _NAMES.get(name.lower()) or _NAMES.get(destination.lower())
    return named or of_mime(mime)


def of_mime(mime: str) -> str:
    """The kind that a media type tells."""
    top, _, sub = mime.lower().partition("/")
    if top in ("image", "font", "audio", "video"):
        return {"image": IMAGE, "font": FONT}.get(top, MEDIA)
    if sub == "css":
        return STYLE
    if sub in ("html", "xhtml+xml"):
        return DOCUMENT
    if "javascript" in sub or "ecmascript" in sub:
        return SCRIPT
    if "font" in sub:
        return FONT
    return CALL if "json" in sub or "xml" in sub or "graphql" in sub else OTHER


def is_text(mime: str) -> bool:
    """Whether gzip or Brotli make it smaller; images, fonts and archives are compressed already.

    >>> is_text("application/json"), is_text("image/svg+xml"), is_text("font/woff2")
    (True, True, False)
    """
    top, _, sub = mime.lower().partition("/")
    return (
        top == "text"
        or any(word in sub for word in _TEXTS)
        or sub in ("x-icon", "vnd.microsoft.icon", "ttf", "otf", "bmp")
    )
