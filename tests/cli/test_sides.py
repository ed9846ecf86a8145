"""Files of other tools in the shell: patterns that the shell expanded, ingest, reports, several arms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import perflab as lab
from perflab.cli import main
from perflab.cli.decide import in_two

JTL = "timeStamp,elapsed,label,responseCode,success\n"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four JMeter files of each of two sides in folders of their own, and under names of their own."""
    place = tmp_path_factory.mktemp("results")
    for number in range(4):
        for side, slower in (("lazy", 2), ("eager", 1)):
            start = 1_700_000_000_000 + number * 120_000 + (side == "eager") * 60_000
            rows = [f"{start + i * 100},{slower * (20 + (i * 7 + number) % 11)},GET /a,200,true" for i in range(300)]
            for path in (place / side / f"{number}.jtl", place / f"{side}-{number}.jtl"):
                path.parent.mkdir(exist_ok=True)
                path.write_text(JTL + "\n".join(rows) + "\n")
    return place


def names(folder: Path, pattern: str) -> list[str]:
    return sorted(map(str, folder.glob(pattern)))


@pytest.mark.parametrize(("first", "second"), [("lazy/*.jtl", "eager/*.jtl"), ("lazy-*.jtl", "eager-*.jtl")])
def test_patterns_need_no_quotes(results: Path, capsys: pytest.CaptureFixture[str], first: str, second: str) -> None:
    assert main(["compare", *names(results, first), *names(results, second)]) == 0
    expanded = capsys.readouterr().out
    assert "improved" in expanded
    assert main(["compare", str(results / first), str(results / second)]) == 0
    assert capsys.readouterr().out == expanded
    assert main(["compare", *names(results, first), "--against", *names(results, second)]) == 0
    assert capsys.readouterr().out == expanded


@pytest.mark.parametrize(
    "paths", [["a.jtl"], ["x/a.jtl", "x/b.jtl", "x/c.jtl"], ["x/1", "y/1", "x/2", "y/2"], ["a1", "b1", "c1", "a2"]]
)
def test_what_is_not_two_sides_is_refused_with_the_way_out(paths: list[str]) -> None:
    with pytest.raises(ValueError, match="--against"):
        in_two(paths)


def test_from_foreign_files_to_a_report(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(tmp_path / "runs")
    for arm in ("lazy", "eager"):
        assert main(["ingest", *names(results, f"{arm}/*.jtl"), "--arm", arm, "--store", store]) == 0
        assert len(capsys.readouterr().out.split()) == 4
    assert main(["report", "lazy", "eager", "--store", store, "-o", str(tmp_path / "a.md")]) == 0
    first = (tmp_path / "a.md").read_text()
    assert "improved" in first.split("\n## ")[0]
    sides = [*names(results, "lazy-*.jtl"), *names(results, "eager-*.jtl")]
    assert main(["report", *sides, "-o", str(tmp_path / "b.html")]) == 0
    assert "improved" in (tmp_path / "b.html").read_text()


def test_percentiles_alone_make_a_report_without_a_verdict(tmp_path: Path) -> None:
    wrk = next(Path("tests/samples").glob("wrk/*.txt"))
    assert main(["report", str(wrk), str(wrk), "-o", str(tmp_path / "c.md")]) in (2, 3)


@pytest.fixture
def three(tmp_path: Path, make_measurements: Callable[..., lab.Measurements]) -> str:
    from perflab.data.store import Draft

    both = make_measurements(arms={"old": 1.0, "cached": 0.7, "indexed": 0.4}, pairs=6, count=900, load=False)
    for run in both.runs.itertuples():
        one = both.where(run=run.run)
        draft = Draft(tmp_path / "runs", run.arm)
        for table in ("requests", "resources"):
            draft.write(table, one.tables[table])
        draft.keep(
            {"arm": run.arm, "pair": run.pair, "start": run.start.isoformat(), "duration_ms": 30_000.0, "valid": True}
        )
    return str(tmp_path / "runs")


def test_several_arms_are_compared_and_reported(three: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "old", "cached", "indexed", "--store", three]) == 0
    assert "indexed < cached < old" in capsys.readouterr().out
    assert main(["report", "old", "cached", "indexed", "--store", three, "-o", str(tmp_path / "r.md")]) == 0
    opening = (tmp_path / "r.md").read_text().split("\n## ")[0]
    rows = [line for line in opening.splitlines() if line.startswith("| ")]
    assert rows[0].split("|")[2:5] == [" old ", " cached ", " indexed "]
    labels = [row.split("|")[1].strip() for row in rows[2:]]
    assert labels[0] == "p95" and {"Throughput", "Error rate", "CPU of the target per request"} <= set(labels)
    assert rows[2].count("improved") == 2


def test_a_side_alone_is_refused(three: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "old", "--store", three]) == 3
    assert "two arms or more" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["check", "x.jtl", "--goals", "MISSING"],
        ["run", "x.py", "--host", "http://127.0.0.1:1", "--k6", "MISSING"],
        ["report", "FILE", "FILE", "-o", "FILE/nothing/r.md"],
        ["compare", "MISSING", "FILE"],
        ["read", "MISSING"],
        ["change-points", "--values", "MISSING"],
        ["ingest", "FILE", "--store", "FILE/runs"],
        ["baseline", "show", "--folder", "MISSING"],
        ["execute", "MISSING"],
        ["gate", "MISSING", "--base", "nothing", "--command", "x"],
        ["check", "FILE", "--objective", "p95 < 1s", "--junit", "FILE/x/y.xml"],
    ],
    ids=lambda command: command[0],
)
def test_errors_are_one_line(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    places = {"MISSING": str(tmp_path / "no" / "such"), "FILE": str(results / "lazy-0.jtl")}
    given = [places.get(word, word.replace("FILE", places["FILE"])) for word in command]
    assert main(given) == 3
    said = capsys.readouterr().err.strip()
    assert said.startswith("perflab: ") and "\n" not in said
