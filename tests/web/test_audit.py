"""`audit_exchanges`: what each response wastes, on tables built here; the rules of caches are in test_freshness."""

from __future__ import annotations

import io
from itertools import count

import pandas as pd
import pytest
from PIL import Image

import perflab as lab
from perflab.notes import codes
from perflab.web import image_bytes

BEGIN = pd.Timestamp("2026-11-29T10:00:00Z")
HASHED, PLAIN, PAGE, API = (
    "https://shop.example/app.3f2a9c1b.js", "https://shop.example/app.js", "https://shop.example/", "https://shop.example/api",
)  # fmt: skip
CACHED = {"cache-control": "public, max-age=31536000, immutable"}
_TYPES = {"js": "text/javascript", "css": "text/css", "png": "image/png", "jpg": "image/jpeg", "woff2": "font/woff2"}


def exchange(url=HASHED, headers=None, at_ms=0.0, **other):
    """A row: 30 kB in 100 ms, 40 of them for the download."""
    mime = _TYPES.get(url.rpartition(".")[2], "application/json" if "/api" in url else "text/html")
    row = {
        "run": "visit", "start": BEGIN + pd.Timedelta(at_ms, unit="ms"), "method": "GET", "url": url, "status": 200, "mime": mime,
        "request_bytes": 400, "transfer_bytes": 30_000, "body_bytes": 90_000, "timings_ms": {"wait": 60.0, "receive": 40.0},
        "headers": {"content-encoding": "br", "vary": "Accept-Encoding", **(CACHED if headers is None else headers)},
    }  # fmt: skip
    return row | other


def audit(*rows, **options):
    return lab.audit_exchanges(pd.DataFrame(list(rows)), **options)


def found(*rows, **options):
    table = audit(*rows, **options)
    return {row.finding: (row.visit, round(row.saved_bytes), round(row.saved_ms)) for row in table.itertuples()}


DATE = "Sun, 29 Nov 2026 10:00:00 GMT"
CASES = {
    # what: (exchange, findings: visit, bytes, ms)
    "a hashed file, immutable for a year": (exchange(), {}),
    "no-store on a file": (exchange(headers={"cache-control": "no-store"}), {"not-stored": ("repeat", 30_000, 100)}),
    "nothing about caches, with an ETag": (exchange(headers={"etag": "1"}), {"no-lifetime": ("repeat", 0, 60)}),
    "nothing about caches at all": (exchange(headers={}), {"no-lifetime": ("repeat", 30_000, 100)}),
    "a guess from Last-Modified": (
        exchange(headers={"date": DATE, "last-modified": "Sun, 19 Nov 2026 10:00:00 GMT"}),
        {"heuristic-lifetime": ("repeat", 0, 60)},
    ),
    "five minutes for a hashed file": (
        exchange(headers={"cache-control": "max-age=300", "etag": "1"}),
        {"short-lifetime": ("repeat", 0, 60)},
    ),
    "five minutes for a plain file": (
        exchange(PLAIN, headers={"cache-control": "max-age=300"}),
        {"short-lifetime": ("repeat", 30_000, 100)},
    ),
    "a day for a plain file": (exchange(PLAIN, headers={"cache-control": "max-age=86400", "etag": "1"}), {}),
    "no-cache on a hashed file": (
        exchange(headers={"cache-control": "no-cache", "etag": "1"}),
        {"always-validated": ("repeat", 0, 60)},
    ),
    "no-cache on a plain file, with an ETag": (exchange(PLAIN, headers={"cache-control": "no-cache", "etag": "1"}), {}),
    "immutable without a hash": (exchange(PLAIN), {"immutable-without-version": ("risk", 0, 0)}),
    "Vary: *": (
        exchange(headers={**CACHED, "vary": "*"}),
        {"vary-on-everything": ("repeat", 30_000, 100)},
    ),
    "Vary: User-Agent": (
        exchange(headers={**CACHED, "vary": "Accept-Encoding, User-Agent"}),
        {"vary-splits-cache": ("risk", 0, 0)},
    ),
    "compressed without Vary": (exchange(headers={**CACHED, "vary": ""}), {"vary-missing": ("risk", 0, 0)}),
    "a cookie on a file": (exchange(headers={**CACHED, "set-cookie": "…"}), {"cookie-on-static": ("risk", 0, 0)}),
    "private on a file": (
        exchange(headers={"cache-control": "private, max-age=31536000"}),
        {"private-static": ("risk", 0, 0)},
    ),
    "older than its lifetime on arrival": (
        exchange(PLAIN, headers={"cache-control": "max-age=7200", "age": "9000", "etag": "1"}),
        {"stale-on-arrival": ("repeat", 0, 60)},
    ),
    "a lifetime that is no number": (
        exchange(headers={"cache-control": "max-age=1y", "etag": "1"}),
        {"always-validated": ("repeat", 0, 60), "unreadable-lifetime": ("repeat", 0, 60)},
    ),
    "no-store beside max-age": (
        exchange(PAGE, headers={"cache-control": "no-store, max-age=60"}),
        {"conflicting-directives": ("risk", 0, 0)},
    ),
    "a page without a validator": (exchange(PAGE, headers={}), {"no-validator": ("repeat", 30_000, 40)}),
    "a page that is validated": (exchange(PAGE, headers={"cache-control": "no-cache", "etag": "1"}), {}),
    "a page that must not be stored": (exchange(PAGE, headers={"cache-control": "no-store"}), {}),
    "a shared page with a cookie": (
        exchange(PAGE, headers={"cache-control": "public, max-age=60", "set-cookie": "…"}),
        {"cookie-in-shared-cache": ("risk", 0, 0)},
    ),
    "a script without compression": (
        exchange(headers={**CACHED, "content-encoding": ""}, transfer_bytes=90_200),
        {"not-compressed": ("first", 63_000, 28)},
    ),
    "a script without compression, measured": (
        exchange(headers={**CACHED, "content-encoding": ""}, transfer_bytes=90_000, gzip_bytes=18_000),
        {"not-compressed": ("first", 72_000, 32)},
    ),
    "a client that cannot decompress": (
        exchange(
            headers={**CACHED, "content-encoding": ""},
            transfer_bytes=90_000,
            request_headers={"accept-encoding": "identity"},
        ),
        {},
    ),
    "a font without compression": (
        exchange("https://shop.example/a.3f2a9c1b.woff2", headers=CACHED, transfer_bytes=90_000),
        {},
    ),
    "a small text": (exchange(headers={**CACHED, "content-encoding": ""}, transfer_bytes=900, body_bytes=900), {}),
    "a redirect": (exchange(PAGE, status=302, headers={"location": API}), {"redirect": ("first", 30_000, 100)}),
    "a script that blocks": (exchange(render_blocking=True), {"render-blocking": ("first", 0, 100)}),
    "a script that does not": (exchange(render_blocking=False), {}),
    "a large answer": (
        exchange(API, headers={"etag": "1"}, transfer_bytes=800_000, body_bytes=5_000_000),
        {"large-response": ("first", 800_000, 40)},
    ),
    "a POST": (exchange(API, headers={}, method="POST"), {}),
    "a pixel that counts visits": (
        exchange(
            "https://count.example/p.gif?id=…",
            {"cache-control": "no-store"},
            transfer_bytes=400,
            body_bytes=43,
            mime="image/gif",
        ),
        {},
    ),
    "from the cache": (exchange(headers={}, cached=True, transfer_bytes=0), {}),
    "an error": (exchange(status=500, headers={}), {}),
    "no answer": (exchange(status=None, headers={}, transfer_bytes=None, body_bytes=None, timings_ms={}), {}),
}


@pytest.mark.parametrize("what", CASES)
def test_a_case(what):
    row, expected = CASES[what]
    assert found(row) == expected


def test_each_finding_has_a_reason_and_a_fix():
    table = audit(*[row | {"url": f"{row['url']}?v={n}"} for n, (row, _) in zip(count(), CASES.values(), strict=False)])
    assert (table["reason"].str.len() > 10).all() and (table["fix"].str.len() > 5).all()
    assert set(table["evidence"]) <= {"measured", "estimated"}


def picture(width=600, height=400):
    image = Image.effect_noise((width // 4, height // 4), 30).convert("RGB").resize((width, height))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def test_images_are_measured_by_encoding_them_again(tmp_path):
    body = picture()
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "hero.png").write_bytes(body)
    row = exchange("https://shop.example/static/img/hero.png", transfer_bytes=len(body) + 200, body_bytes=len(body))
    unmeasured = audit(row)
    assert "images-not-measured" in codes(unmeasured.warnings) and "image-format" not in set(unmeasured["finding"])
    table = audit(row, images=tmp_path)
    saved = table.set_index("finding").loc["image-format", "saved_bytes"]
    sizes = image_bytes.sizes(body)
    assert saved == len(body) + 200 - min(sizes["webp_bytes"], sizes["avif_bytes"])
    given = audit(row, images={row["url"]: body})
    assert given.set_index("finding").loc["image-format", "saved_bytes"] == saved


def test_images_larger_than_shown_or_loaded_too_early(tmp_path):
    body = picture()
    row = exchange(
        "https://shop.example/a.3f2a9c1b.png", transfer_bytes=len(body), body_bytes=len(body), headers=CACHED
    )
    shown = row | {
        "natural_width": 600,
        "natural_height": 400,
        "width": 150,
        "height": 100,
        "visible": False,
        "lazy": False,
    }
    assert found(shown)["image-too-large"] == ("first", round(len(body) * 15 / 16), round(40 * 15 / 16))
    assert found(shown)["image-not-lazy"] == ("first", len(body), 40)
    measured = audit(shown, images={row["url"]: body}).set_index("finding").loc["image-too-large"]
    fitted = image_bytes.sizes(body, 150)
    assert (measured["evidence"], measured["saved_bytes"]) == (
        "measured", len(body) - min(fitted["webp_bytes"], fitted["avif_bytes"]),
    )  # fmt: skip
    assert set(found(row | {"visible": False, "lazy": True, "natural_width": 600, "width": 600})) == set()


def test_what_only_several_exchanges_show():
    twice = [exchange(at_ms=0), exchange(at_ms=300)]
    assert found(*twice) == {"loaded-again": ("first", 30_000, 100)}
    closed = [
        exchange(headers={**CACHED, "connection": "close"}),
        exchange(
            "https://shop.example/b.3f2a9c1b.js", at_ms=200, timings_ms={"connect": 30.0, "ssl": 20.0, "wait": 60.0}
        ),
    ]
    assert found(*closed) == {"connection-closed": ("first", 0, 50)}


def test_calls_in_a_row_have_the_evidence_of_traces():
    def visit(run, gap_ms):
        calls = [f"{API}/{name}" for name in ("prices", "stock", "reviews")]
        return [
            exchange(PAGE, headers={"etag": "1"}, run=run),
            *(exchange(url, {"etag": "1"}, 150 + n * gap_ms, run=run) for n, url in enumerate(calls)),
        ]

    rows = [row for n in range(6) for row in visit(f"r{n}", 101)]
    table = audit(*rows).set_index("finding")
    assert table.loc["calls-in-a-row", "evidence"] == "likely"
    assert table.loc["calls-in-a-row", "saved_ms"] == pytest.approx(200, abs=5)
    assert "calls-in-a-row" not in found(*visit("one", 1))
    one = audit(*visit("one", 101)).set_index("finding")
    assert one.loc["calls-in-a-row", "evidence"] == "can't tell"


def test_visits_are_averaged():
    rows = [exchange(headers={}, run=run, transfer_bytes=size) for run, size in (("a", 20_000), ("b", 40_000))]
    table = audit(*rows)
    assert table[["saved_bytes", "exchanges", "runs"]].values.tolist() == [[30_000.0, 2, 2]]


def test_the_order_of_rows_does_not_matter():
    rows = [row | {"url": f"{row['url']}?v={n}"} for n, (row, _) in enumerate(CASES.values())]
    pd.testing.assert_frame_equal(pd.DataFrame(audit(*rows)), pd.DataFrame(audit(*rows[::-1])))


def test_what_is_no_table_of_exchanges_is_refused():
    for given in (pd.DataFrame({"url": ["a"]}), pd.DataFrame(exchange() for _ in range(0)), [1]):
        with pytest.raises(ValueError, match="exchanges"):
            lab.audit_exchanges(given)
