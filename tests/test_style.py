"""The repository keeps its own rules; `make test` runs ruff, mypy and import-linter before these."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parent.parent


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_registry_address_and_no_foreign_path_is_committed() -> None:
    address = re.compile(rb"(index-url|find-links)[ =]+http|\"resolved\": *\"http|registry *= *\"http")
    # Spelled in two parts, or this file would find itself.
    forbidden = [b".." + b"/shared", b"/root" + b"/", b"/work" + b"/main"]
    found = [
        f"{path.relative_to(ROOT)}"
        for path in tracked()
        if (content := path.read_bytes()) and (address.search(content) or any(text in content for text in forbidden))
    ]
    assert not found


def test_no_sentence_repeats_the_unit_of_a_fact() -> None:
    twice = re.compile(r"\{\w*_(?:ms\}\s?ms|cores\}\s?cores|bytes\}\s?(?:B|bytes)|fraction\}\s?%|per_s\}\s?/s)")
    names = [path for path in tracked() if path.suffix == ".py" and "perflab" in path.relative_to(ROOT).parts[:1]]
    found = [f"{path.name}: {match[0]}" for path in names for match in twice.finditer(path.read_text(encoding="utf-8"))]
    assert len(names) > 300
    assert not found


def test_the_lock_is_hashed_and_pins_everything() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line for line in lines if "==" in line]
    assert len(pins) > 50
    hashes = sum("--hash=sha256:" in line for line in lines)
    assert hashes >= len(pins)
    assert all(re.match(r"[a-zA-Z0-9._-]+(\[[^]]*\])?==\S+", line) for line in pins)


def test_what_is_public_is_typed() -> None:
    assert (ROOT / "perflab" / "py.typed").exists()


# One home for each thing: these hold for the whole library, whoever writes it.

METRICS = {
    "mean",
    "throughput_per_s",
    "error_fraction",
    "check_fraction",
    "size_bytes",
    "cpu_ms_per_request",
    "rss_bytes",
}
PROSE = re.compile(r"\b(reasons?|warnings?|notes?|sentence|remed(?:y|ies)|doubts?|problems?)\b")
SEARCHING = {
    "split",
    "rsplit",
    "partition",
    "rpartition",
    "startswith",
    "endswith",
    "find",
    "index",
    "removeprefix",
    "removesuffix",
    "replace",
}


@lru_cache(maxsize=1)
def modules() -> dict[str, ast.Module]:
    return {
        str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted((ROOT / "perflab").rglob("*.py"))
    }


def texts(node: ast.expr) -> set[str]:
    """The texts that an expression spells out."""
    many = node.elts if isinstance(node, (ast.Tuple, ast.List, ast.Set)) else [node]
    return {one.value for one in many if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def test_no_two_modules_have_one_name() -> None:
    names = [Path(path).name for path in modules() if not Path(path).name.startswith("__")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_only_metrics_compares_the_names_of_metrics() -> None:
    """Others ask a Metric (.kind, .relative, .share ...); columns of a table are no metrics."""
    found = [
        f"{path}:{node.lineno}: {ast.unparse(node)}"
        for path, tree in modules().items()
        if not path.endswith("perflab/metrics.py")
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        and any(
            texts(side) & METRICS or any(re.fullmatch(r"p\d\d?", t) for t in texts(side))
            for side in (node.left, *node.comparators)
        )
        and re.search(r"\bmetrics?\b", ast.unparse(node))
    ]
    assert found == []


def test_no_code_reads_the_texts_of_notes() -> None:
    """Programs ask note.code; nothing splits, compares or searches what was written for people."""
    found = []
    for path, tree in modules().items():
        for node in ast.walk(tree):
            call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if call and node.func.attr in SEARCHING and PROSE.search(ast.unparse(node.func.value)):
                found.append(f"{path}:{node.lineno}: {ast.unparse(node)}")
            if isinstance(node, ast.Compare) and any(isinstance(op, (ast.In, ast.NotIn, ast.Eq)) for op in node.ops):
                sides = (node.left, *node.comparators)
                prose = [s for s in sides if PROSE.search(ast.unparse(s)) and not isinstance(s, ast.Constant)]
                if prose and any(" " in t for side in sides for t in texts(side)):
                    found.append(f"{path}:{node.lineno}: {ast.unparse(node)}")
    assert found == []


def test_results_render_themselves_in_one_place() -> None:
    """The pair is Result's; a table, a picture and a target with a live state have their own."""
    own = {
        node.name
        for tree in modules().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any(isinstance(f, ast.FunctionDef) and f.name == "_repr_html_" for f in node.body)
    }
    assert own - {"Result", "Findings", "FlameGraph", "Target"} == set()
