"""Pages of the shop with faults of known kind and size: does a verdict find them, and only them?

python bench/pages.py --raw FILE --seconds N      a piece of about N seconds; goes on where the file ends
python bench/pages.py --raw FILE --write          the table, bench/pages.md

Pairs: 6 pairs of runs of 2 visits each, PNG against WebP (10 experiments) and WebP against the same WebP (20), compared by
LCP. Faults: 10 runs of 3 visits each, which click a button whose handler blocks for 80 ms and see a banner of known height
move the page. The network is 40 Mbit/s with 10 ms of latency.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import perflab as lab
from perflab.demo.shop.storefront import BANNER_PX, CLICK_MS, HEADER_PX

PAIRS, VISITS, CLICKS, VIEWPORT = 6, 2, 3, (1280, 800)
NETWORK = {"latency_ms": 10, "download_kbit_per_s": 40_000}
FIXED = "headers,compress,stable,quick,slim"
SHOPS = {"png": FIXED, "webp": f"{FIXED},webp", "faults": "headers,compress,slim,webp"}
TIMES = {"PNG against WebP": 10, "WebP against WebP": 20, "click and shift": 10}
NEEDED_S = {"PNG against WebP": 55, "WebP against WebP": 50, "click and shift": 8}
PARTS = ("inp_input_delay", "inp_processing", "inp_presentation")
# All below the header moves by the banner's height, over the whole width and down to the end of the window.
CLS = (VIEWPORT[1] - HEADER_PX) / VIEWPORT[1] * BANNER_PX / max(VIEWPORT)


@contextmanager
def shops() -> Iterator[dict[str, str]]:
    """The address of each shop, all running for the whole piece."""
    running, hosts = [], {}
    try:
        for name, fixes in SHOPS.items():
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            command = [sys.executable, "-m", "perflab.demo.shop", "--port", str(port)]
            running.append(
                subprocess.Popen(command, env={**os.environ, "SHOP_FIXES": fixes}, stderr=subprocess.DEVNULL)
            )
            hosts[name] = f"http://127.0.0.1:{port}"
        for name, host in hosts.items():
            kind = "png" if name == "png" else "webp"
            for path in ("/", *(f"/media/{n}.{kind}" for n in ("hero", "offer-1", "offer-2", "offer-3", "offer-4"))):
                answered(host + path)
        yield hosts
    finally:
        for each in running:
            each.terminate()
            each.wait()


def answered(url: str) -> None:
    """Wait for a page: images are made when they are first asked for."""
    end = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=20).close()
            return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def by_pairs(kind: str, hosts: dict[str, str], seed: int) -> dict[str, Any]:
    """One experiment of pairs, compared by LCP."""
    plan = lab.PagePlan("/", visits=VISITS, network=NETWORK, viewport=VIEWPORT)
    before = hosts["png" if kind == "PNG against WebP" else "webp"]
    arms = lab.Target("before", host=before), lab.Target("after", host=hosts["webp"])
    with tempfile.TemporaryDirectory(prefix="perflab-pages-") as folder:
        sides = lab.run_pairs(plan, *arms, pairs=PAIRS, seed=seed, store=folder, progress=False)
    change = lab.compare(*sides, metric="lcp")
    row = change.find()
    return {"verdict": change.verdict, "before": row.typical[0], "after": row.typical[1], "change": row.change}


def by_run(hosts: dict[str, str]) -> dict[str, Any]:
    """One run that clicks the button, with the medians of its visits."""
    plan = lab.PagePlan({"/": [("click", "#buy")]}, visits=CLICKS, network=NETWORK, viewport=VIEWPORT)
    with tempfile.TemporaryDirectory(prefix="perflab-pages-") as folder:
        found = lab.run_pages(plan, lab.Target("faults", host=hosts["faults"]), store=folder, progress=False)
    medians = found.vitals.groupby("metric")["value"].median()
    return {"valid": bool(found.runs["valid"].all())} | {name: float(medians[name]) for name in ("inp", *PARTS, "cls")}


def piece(raw: Path, seconds: float) -> None:
    """Experiments until the time is over, each written as it ends; the kind with most left to do comes first."""
    began, known = time.monotonic(), read(raw)
    done = {kind: sum(row["kind"] == kind for row in known) for kind in TIMES}
    with shops() as hosts:
        while left := {kind: 1 - done[kind] / times for kind, times in TIMES.items() if times > done[kind]}:
            kind = max(left, key=lambda k: left[k])
            if time.monotonic() - began + NEEDED_S[kind] > seconds:
                return
            at = time.monotonic()
            row = by_run(hosts) if kind == "click and shift" else by_pairs(kind, hosts, done[kind])
            row |= {"kind": kind, "took_s": round(time.monotonic() - at, 1), "load_average": os.getloadavg()[0]}
            with raw.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            done[kind] += 1


def read(raw: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in raw.read_text(encoding="utf-8").splitlines()] if raw.exists() else []


def table(rows: list[dict[str, Any]]) -> str:
    """The committed table."""
    lines = ["# Pages with known faults", "", "Made by `make pages` (bench/pages.py).", ""]
    lines += [f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}, {browser()}.", ""]
    if left := [
        f"{kind}: {n} of {TIMES[kind]}" for kind in TIMES if (n := sum(r["kind"] == kind for r in rows)) < TIMES[kind]
    ]:
        lines += [f"Not complete yet ({'; '.join(left)}): `make pages` goes on where it ended.", ""]
    lines += [f"## {PAIRS} pairs of runs of {VISITS} visits, by LCP", ""]
    lines += [
        "| experiment | number | improved | equivalent | inconclusive | regressed | LCP, median | change, range | time each |"
    ]
    lines += ["|---|--:|--:|--:|--:|--:|--:|--:|--:|"]
    for kind in list(TIMES)[:2]:
        own = [row for row in rows if row["kind"] == kind]
        if own:
            words = ("improved", "equivalent", "inconclusive", "regressed")
            counts = " | ".join(str(sum(row["verdict"] == word for row in own)) for word in words)
            medians = [statistics.median(row[side] for row in own) for side in ("before", "after")]
            changes = [row["change"] for row in own]
            lines.append(
                f"| {kind} | {len(own)} | {counts} | {medians[0]:.0f} to {medians[1]:.0f} ms | {min(changes):+.1%} to "
                f"{max(changes):+.1%} | {statistics.median(row['took_s'] for row in own):.0f} s |"
            )
    own = [row for row in rows if row["kind"] == "click and shift"]
    lines += [
        "",
        f"## A click that blocks for {CLICK_MS} ms, and a shift of {BANNER_PX} px: {len(own)} runs of {CLICKS} visits",
        "",
    ]
    lines += ["| median of the visits | lowest run | median run | highest run | holds |", "|---|--:|--:|--:|--:|"]
    for name, holds in CHECKS.items():
        values = [row[name] for row in own]
        if values:
            low, middle, high = min(values), statistics.median(values), max(values)
            digits = ".4f" if name == "cls" else ".0f"
            kept = f"{sum(map(holds, own))} of {len(own)}" if name in ("inp", "cls", "inp_processing") else ""
            lines.append(f"| {NAMES[name]} | {low:{digits}} | {middle:{digits}} | {high:{digits}} | {kept} |")
    return "\n".join(lines) + "\n"


CHECKS = {
    "inp": lambda row: 80 <= row["inp"] <= 140,
    "inp_input_delay": bool,
    "inp_processing": lambda row: row["inp_processing"] == max(row[part] for part in PARTS),
    "inp_presentation": bool,
    "cls": lambda row: abs(row["cls"] / CLS - 1) <= 0.1,
}
NAMES = {
    "inp": "INP, ms (holds: 80 to 140)",
    "inp_input_delay": "its input delay",
    "inp_processing": "its processing (holds: the largest part)",
    "inp_presentation": "its presentation",
    "cls": f"CLS (holds: within 10 % of {CLS:.4f})",
}


def browser() -> str:
    """The browser's version."""
    from perflab.browsing import chromium

    path = chromium.installed()
    done = subprocess.run([path or "chromium", "--version"], capture_output=True, text=True, check=False)
    return " ".join(done.stdout.split()[:2]) or "Chromium"


def failures(rows: list[dict[str, Any]]) -> list[str]:
    """What does not hold, of the kinds that are complete."""
    found = []
    for kind in TIMES:
        own = [row for row in rows if row["kind"] == kind]
        if len(own) < TIMES[kind]:
            found.append(f"{kind}: {len(own)} of {TIMES[kind]} experiments so far")
        elif kind == "PNG against WebP" and any(row["verdict"] != "improved" for row in own):
            found.append("PNG against WebP is not improved in all experiments")
        elif kind == "WebP against WebP" and sum(row["verdict"] in ("improved", "regressed") for row in own) > 3:
            found.append("WebP against WebP has a direction in more than 3 experiments")
        elif kind == "click and shift":
            good = [row["valid"] and CHECKS["inp"](row) and CHECKS["inp_processing"](row) for row in own]
            if sum(good) < 9:
                found.append("the INP of the click is not 80 to 140 ms, processing largest, in 9 of 10 runs")
            if not all(map(CHECKS["cls"], own)):
                found.append("the CLS is not within 10 % of the geometry")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, required=True, help="one line for each experiment")
    parser.add_argument("--seconds", type=float, default=230, help="length of this piece (%(default)s)")
    parser.add_argument("--write", action="store_true", help="write bench/pages.md")
    given = parser.parse_args()
    given.raw.parent.mkdir(parents=True, exist_ok=True)
    if not given.write:
        piece(given.raw, given.seconds)
    rows = read(given.raw)
    print(table(rows), *failures(rows), sep="\n")
    if given.write:
        Path(__file__).with_suffix(".md").write_text(table(rows), encoding="utf-8")
    return int(bool(failures(rows)))


if __name__ == "__main__":
    raise SystemExit(main())
