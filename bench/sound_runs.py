"""Eight minutes of sound runs: none may be invalid or blame the generator. Runs with foreign load are counted apart.

python bench/sound_runs.py [--minutes 8]
"""

from __future__ import annotations

import argparse
import socket
import sys
import tempfile
import time
from pathlib import Path

import perflab as lab

SERVERS = Path(__file__).parent.parent / "tests" / "loadtest" / "servers"
SECONDS = 20
FOREIGN = 0.10
PLANS = {
    "closed, 10 users": {"stages": [lab.Stage(SECONDS, users=10)], "user_classes": "Shopper"},
    "ramp to 20 users": {"stages": [lab.Stage(SECONDS, users=20, ramp=True)], "user_classes": "Shopper"},
    "open, 50/s": {"stages": [lab.Stage(SECONDS, rate=50)], "user_classes": "Pacer"},
    "two workers": {"stages": [lab.Stage(SECONDS, users=10)], "user_classes": "Shopper", "workers": 2},
    "HttpUser": {"stages": [lab.Stage(SECONDS, users=5)], "user_classes": "Sessions"},
}


def main(minutes: float) -> int:
    ended = time.monotonic() + minutes * 60
    sound = apart = bad = 0
    with tempfile.TemporaryDirectory() as store:
        while time.monotonic() < ended:
            for name, options in PLANS.items():
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", 0))
                    port = probe.getsockname()[1]
                command = [sys.executable, str(SERVERS / "tiny.py"), str(port)]
                target = lab.Target("tiny", host=f"http://127.0.0.1:{port}", command=command, ready="/ready")
                one = lab.run(lab.LoadPlan(SERVERS / "users.py", **options), target, store=store, progress=False)
                codes = {note.code for note in one.warnings if note.code.startswith("generator")}
                codes |= set(one.runs.reason_codes.item())
                cores = one.resources.query("process == 'machine'").cpu_cores.max()
                other = one.resources.query("process == 'other'").cpu_cores.mean() / max(1.0, cores)
                foreign = other > FOREIGN
                sound, apart, bad = sound + (not foreign), apart + foreign, bad + (bool(codes) and not foreign)
                print(f"{name:20} other {other:4.0%}  {', '.join(sorted(codes)) or 'nothing'}", flush=True)
    print(f"{sound} runs without foreign load, {bad} of them with a doubt of the generator; {apart} with foreign load")
    return 1 if bad else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=8.0)
    sys.exit(main(parser.parse_args().minutes))
