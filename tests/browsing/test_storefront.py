"""The shop's page: each fault is there, and each fix takes away its own."""

from __future__ import annotations

import io

import pytest
from flask import Flask
from PIL import Image

from perflab.demo.shop.fixes import PAGE_FIXES, parse_fixes
from perflab.demo.shop.storefront import BANNER_PX, CLICK_MS, add_pages


def shop(fixes=""):
    app = Flask("shop")
    add_pages(app, parse_fixes(fixes))
    return app.test_client()


def facts(fixes=""):
    client, kind = shop(fixes), "webp" if "webp" in fixes else "png"
    zipped = {"Accept-Encoding": "gzip"}
    page, script = client.get("/").text, client.get("/media/shop.js")
    hero = client.get(f"/media/hero.{kind}")
    return {
        "webp": (hero.mimetype, len(hero.data) < 150_000),
        "headers": hero.headers.get("Cache-Control"),
        "compress": client.get("/media/style.css", headers=zipped).headers.get("Content-Encoding"),
        "stable": f"height:{BANNER_PX}px" in page,
        "quick": "setTimeout(() => busy" in script.text,
        "slim": (len(script.data) < 2_000, "defer" in page),
    }


@pytest.mark.parametrize("fix", PAGE_FIXES)
def test_a_fix_takes_away_its_own_fault_and_no_other(fix):
    before, after = facts(), facts(fix)
    assert {name for name in before if before[name] != after[name]} == {fix}


def test_images_are_the_same_each_time_and_far_larger_than_shown():
    client = shop()
    hero, offer = (client.get(f"/media/{name}.png").data for name in ("hero", "offer-1"))
    assert hero == shop("slim").get("/media/hero.png").data and len(hero) > 500_000
    assert Image.open(io.BytesIO(offer)).size == (400, 400)
    assert client.get("/media/secret").status_code == client.get("/media/hero.webp").status_code == 404


def test_the_click_blocks_for_its_time():
    assert f"busy({CLICK_MS})" in shop().get("/media/shop.js").text
    assert "Vary" in shop("compress").get("/", headers={"Accept-Encoding": "gzip"}).headers
