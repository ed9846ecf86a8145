"""The samples of every format, damaged in many ways: what is read, what is refused, and what goes wrong otherwise.

    python bench/damaged_files.py [--rounds 1] > bench/damaged_files.md

Only perflab's errors may come out, no latency may be negative, and what k6's CSV and JTL give in a hurry must equal what
they give line by line (tests/formats does the same for fewer files). Anything else is a defect, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "formats"))

from damages import damaged
from golden_files import Sample, samples
from test_fast_paths import differs_slowly

import perflab as lab


def outcome(path: Path, sample: Sample) -> str:
    try:
        found = lab.read(path, format=sample.format, **sample.options)
    except lab.PerflabError:
        return "refused"
    except Exception as problem:  # noqa: BLE001 - whatever comes out is what is looked for
        return f"{type(problem).__name__}: {problem}"[:80]
    if "requests" in found.tables and not (found.requests["latency_ms"] >= 0).all():
        return "negative latencies"
    if sample.format in ("k6_csv", "jmeter_csv") and differs_slowly(path, sample):
        return "differs line by line"
    return "read"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=1)
    rounds = parser.parse_args().rounds
    found: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name) / "unknown"
        for sample in samples():
            if sample.format == "unclaimed":
                continue
            for _, data in damaged(sample.path.read_bytes(), rounds):
                place.write_bytes(data)
                found.setdefault(sample.format, Counter())[outcome(place, sample)] += 1
    out = sys.stdout.write
    out(f"The samples of every format, damaged, as `bench/damaged_files.py --rounds {rounds}` read them on ")
    out(f"{date.today():%-d %B %Y}: each of ten kinds of\ndamage so many times to each sample. ")
    out("A defect is anything but rows or perflab's own refusal.\n\n")
    out("| format | damaged files | read | refused | defects |\n|---|---|---|---|---|\n")
    defects = 0
    for name, counts in found.items():
        others = {what: count for what, count in counts.items() if what not in ("read", "refused")}
        defects += sum(others.values())
        said = "; ".join(f"{count} x {what}" for what, count in others.items()).replace("|", "\\|")
        out(f"| {name} | {counts.total():,} | {counts['read']:,} | {counts['refused']:,} | {said} |\n")
    total = sum(counts.total() for counts in found.values())
    out(f"\n{total:,} damaged files; defects: {defects}\n")
    return bool(defects)


if __name__ == "__main__":
    sys.exit(main())
