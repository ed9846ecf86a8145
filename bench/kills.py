"""30 runs whose driver is killed at a random moment, and full disks of five sizes: is everything flushed recovered?

Ends with exit code 1 if a record is missing. Each row: what was done, records on disk, requests recovered.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import perflab as lab

SERVERS = Path(__file__).parent.parent / "tests" / "loadtest" / "servers"
DRIVER = """
import sys, socket, perflab as lab
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
target = lab.Target("tiny", host=f"http://127.0.0.1:{port}", command=[sys.executable, sys.argv[1], str(port)], ready="/ready")
plan = lab.LoadPlan(sys.argv[2], stages=lab.Stage("12s", users=6), user_classes=["Shopper"])
lab.run(plan, target, store=sys.argv[3], progress=False)
"""
KILLS, LONGEST_S = 30, 14.0
DISKS_KB = (48, 64, 96, 160, 256)


def driver(store: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", DRIVER, str(SERVERS / "tiny.py"), str(SERVERS / "users.py"), str(store)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def judged(what: str, store: Path) -> bool:
    """Whether all that is on the disk is in the run."""
    for draft in store.glob(".2*") if store.is_dir() else ():
        flushed = sum(file.stat().st_size // 48 for file in draft.glob("generator/*.bin"))
        if flushed:
            found = len(lab.recover(draft).requests)
            print(f"{what:<32} {flushed:>8,} on disk {found:>8,} recovered", flush=True)
            return found == flushed
        print(f"{what:<32} {'nothing captured yet':>26}", flush=True)
        return True
    kept = len(lab.load(store).requests) if store.is_dir() and any(store.glob("2*")) else 0
    print(f"{what:<32} {'kept':>16} {kept:>8,}", flush=True)
    return True


def main() -> int:
    source, good = random.Random(15), True
    with tempfile.TemporaryDirectory(prefix="perflab-kills-") as place:
        for number in range(KILLS):
            store = Path(place) / f"kill-{number}"
            running, after = driver(store), source.uniform(0.0, LONGEST_S)
            while running.poll() is None and not any(store.glob(".2*")):
                time.sleep(0.02)
            time.sleep(after)
            running.send_signal(signal.SIGKILL)
            running.wait()
            time.sleep(3.0)  # the guards end Locust
            good &= judged(f"killed after {after:.1f} s", store)
        for size in DISKS_KB:
            disk = Path(place) / f"disk-{size}"
            disk.mkdir()
            options = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)]
            if subprocess.run(options, capture_output=True).returncode:
                print("no file system can be mounted here: full disks were not tried")
                break
            try:
                driver(disk / "runs").wait()
                subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
                good &= judged(f"a disk of {size} kB", disk / "runs")
            finally:
                subprocess.run(["umount", str(disk)], check=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
