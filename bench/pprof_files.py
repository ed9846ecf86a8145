"""perflab's reader of pprof against Google's own protobuf library: self and total of every function, for each type of sample.

    python bench/pprof_files.py FOLDER [--write]      FOLDER: a clone of google/pprof; --write: bench/pprof_files.md

The decoder is made of protobuf's message descriptors, installed into a throwaway environment, and shares no code with the reader.
A frame counts once for each sample it is in. The exit code is 1 where any value differs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import perflab as lab
from perflab.formats import of_file

DECODER = """
import gzip, json, sys
from collections import defaultdict
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
file = descriptor_pb2.FileDescriptorProto(name="p.proto", package="p", syntax="proto3")
F = descriptor_pb2.FieldDescriptorProto
def message(kind_of, **fields):
    made = file.message_type.add(name=kind_of)
    for field, (number, kind, repeated) in fields.items():
        label = F.LABEL_REPEATED if repeated else F.LABEL_OPTIONAL
        own = kind[0].isupper()
        kinds = {"u": F.TYPE_UINT64, "i": F.TYPE_INT64, "s": F.TYPE_STRING}
        given = {"type": F.TYPE_MESSAGE, "type_name": ".p." + kind} if own else {"type": kinds[kind]}
        made.field.add(name=field, number=number, label=label, **given)
message("ValueType", type=(1, "i", 0), unit=(2, "i", 0))
message("Sample", location_id=(1, "u", 1), value=(2, "i", 1))
message("Line", function_id=(1, "u", 0), line=(2, "i", 0))
message("Location", id=(1, "u", 0), address=(3, "u", 0), line=(4, "Line", 1))
message("Function", id=(1, "u", 0), name=(2, "i", 0))
message("Profile", sample_type=(1, "ValueType", 1), sample=(2, "Sample", 1), location=(4, "Location", 1),
        function=(5, "Function", 1), string_table=(6, "s", 1))
pool = descriptor_pool.DescriptorPool()
pool.Add(file)
Profile = message_factory.GetMessageClass(pool.FindMessageTypeByName("p.Profile"))
data = open(sys.argv[1], "rb").read()
profile = Profile.FromString(gzip.decompress(data) if data[:2] == bytes([31, 139]) else data)
text = profile.string_table
named = {f.id: text[f.name] for f in profile.function}
frames = {l.id: [named.get(line.function_id, "?") for line in l.line] or None for l in profile.location}
found = {}
for at, kind in enumerate(profile.sample_type):
    own, total = defaultdict(int), defaultdict(int)
    for sample in profile.sample:
        stack = [name for l in sample.location_id for name in frames[l] or []]
        if not stack:
            continue
        own[stack[0]] += sample.value[at]
        for name in set(stack):
            total[name] += sample.value[at]
    found[text[kind.type]] = {name: [own[name], total[name]] for name in total}
print(json.dumps(found))
"""


def environment(folder: Path) -> str:
    """A Python with protobuf."""
    python = folder / "protobuf" / "bin" / "python"
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder / "protobuf")], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), "protobuf"], check=True)
    return str(python)


def differing(path: Path, truth: dict[str, dict[str, list[float]]]) -> tuple[int, list[str]]:
    """How many values there are, and which differ, each type scaled to its own sum."""
    count, wrong = 0, []
    for kind, functions in truth.items():
        table = lab.read(path, sample_type=kind).profile
        flat = lab.flat_profile(table).groupby("function")[["self", "total"]].sum()
        whole = sum(own for own, _ in functions.values())
        scale = whole / flat["self"].sum() if flat["self"].sum() else 1.0
        for name, values in functions.items():
            count += 2
            got = (flat.loc[name] * scale).tolist() if name in flat.index else [0.0, 0.0]
            if any(abs(a - b) > 1e-6 * max(abs(whole), 1) for a, b in zip(values, got, strict=True)):
                wrong.append(f"{kind}: {name}")
    return count, wrong


def main(folder: Path) -> int:
    rows, bad = ["| file | types | values | differing |", "|---|---|---|---|"], False
    with tempfile.TemporaryDirectory() as place:
        python = environment(Path(place))
        for path in sorted(p for p in folder.rglob("testdata/*") if p.is_file() and p.stat().st_size):
            try:
                if of_file(path) != "pprof":
                    continue
            except lab.PerflabError:
                continue
            done = subprocess.run([python, "-c", DECODER, str(path)], capture_output=True, text=True, check=False)
            if done.returncode:
                rows.append(f"| {path.name} | protobuf: {done.stderr.strip().splitlines()[-1][:60]} | | |")
                continue
            truth = json.loads(done.stdout)
            count, wrong = differing(path, truth)
            bad |= bool(wrong)
            rows.append(f"| {path.name} | {', '.join(truth)} | {count} | {', '.join(wrong[:4]) or 'none'} |")
    text = "\n".join(rows)
    print(text)
    if "--write" in sys.argv:
        head = "pprof files of google/pprof, read by perflab and by Google's protobuf library (`bench/pprof_files.py`)."
        Path(__file__).with_suffix(".md").write_text(f"{head}\n\n{text}\n", encoding="utf-8")
    return int(bad)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
