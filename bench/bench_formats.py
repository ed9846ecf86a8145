"""How fast results of other tools are read, against ``pandas.read_csv`` of the same file, and within which memory.

pandas comes three times: as it is called by default, which since version 3.1 reads on several cores, with ``low_memory=False``,
which reads on one, and with the engine of pyarrow. Ratios are of the clock, right on a quiet machine
only, and of processor time.

    python bench/bench_formats.py            # 2 million rows of k6's CSV, 1 million of JTL
    python bench/bench_formats.py --ingest 2 # a k6 CSV of 2 GB into a store: time, and the peak of resident memory

The files are recorded rows (tests/samples), repeated. Readers take turns, each in a process of its own; medians of five.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SAMPLES = Path(__file__).parent.parent / "tests" / "samples"
FILES = {
    "k6.csv": (SAMPLES / "k6_csv" / "seconds.csv", 2_000_000),
    "results.jtl": (SAMPLES / "jmeter_csv" / "default.jtl", 1_000_000),
}
ROUNDS = 5

TIMED = """
import sys, time
import {module}
path, big = sys.argv[1:]
{call}  # of a small file first: imports are not reading
path = big
began, spent = time.perf_counter(), time.process_time()
found = {call}
print(time.perf_counter() - began, time.process_time() - spent, {rows})
"""
PEERS = {
    "pandas.read_csv(path), its default on several cores": "pandas.read_csv(path)",
    "pandas.read_csv(path, low_memory=False) on one core": "pandas.read_csv(path, low_memory=False)",
    "pandas.read_csv(path, engine='pyarrow') on several cores": "pandas.read_csv(path, engine='pyarrow')",
}
READERS = {
    "perflab.read(path)": TIMED.format(module="perflab", call="perflab.read(path)", rows="len(found.requests)"),
    **{peer: TIMED.format(module="pandas", call=call, rows="len(found)") for peer, call in PEERS.items()},
}
INGEST = """
import resource, sys, time
import perflab
began = time.perf_counter()
(run,) = perflab.ingest(sys.argv[1], sys.argv[2])
took = time.perf_counter() - began
import pyarrow.parquet as pq
rows = pq.ParquetFile(run / "requests.parquet").metadata.num_rows
print(f"{took:.1f} s, {rows:,} requests, peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB resident")
"""


def repeated(sample: Path, path: Path, *, rows: int = 0, size: int = 0) -> int:
    """The sample's rows again and again behind one header, up to so many rows or bytes; returns the rows."""
    header, _, body = sample.read_bytes().partition(b"\n")
    count = body.count(b"\n")
    times = -(-rows // count) if rows else -(-size // len(body))
    with path.open("wb") as file:
        file.write(header + b"\n")
        for _ in range(times):
            file.write(body)
    return times * count


def output(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def compare(folder: Path) -> None:
    for name, (sample, rows) in FILES.items():
        path = folder / name
        written = repeated(sample, path, rows=rows)
        times: dict[str, list[tuple[float, float]]] = {reader: [] for reader in READERS}
        for _ in range(ROUNDS):
            for reader, code in READERS.items():
                wall, cpu, _rows = output(code, str(sample), str(path)).split()
                times[reader].append((float(wall), float(cpu)))
        sys.stdout.write(f"{name}: {written:,} rows, {path.stat().st_size / 1e6:,.0f} MB\n")
        wall, spent = ({r: statistics.median(one[of] for one in found) for r, found in times.items()} for of in (0, 1))
        ours = "perflab.read(path)"
        for reader in READERS:
            ratio = ""
            if reader in PEERS:
                clock, work = wall[reader] / wall[ours], spent[reader] / spent[ours]
                ratio = f": perflab is {clock:.2f} times as fast ({work:.2f} by processor time)"
            sys.stdout.write(f"    {wall[reader]:.3f} s ({spent[reader]:.3f} s of processor) {reader}{ratio}\n")
        path.unlink()


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "--ingest" in sys.argv:
            gigabytes = float(sys.argv[sys.argv.index("--ingest") + 1])
            path = folder / "k6.csv"
            rows = repeated(FILES["k6.csv"][0], path, size=int(gigabytes * 1e9))
            sys.stdout.write(f"{rows:,} rows, {path.stat().st_size / 1e9:.2f} GB: ")
            sys.stdout.write(output(INGEST, str(path), str(folder / "runs")) + "\n")
        else:
            compare(folder)


if __name__ == "__main__":
    main()
