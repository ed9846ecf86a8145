"""Lighthouse's results: two versions of one page, settings that never mix, errors, other wrappings."""

from __future__ import annotations

import gzip
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from golden_files import SAMPLES

import perflab as lab
from perflab.browsing import lighthouse_runs
from perflab.notes import codes
from perflab.web.page_metrics import summarize_vitals

PAGES = Path(__file__).parents[2] / "datasets" / "pages_recorded"
TWELVE, THIRTEEN = (PAGES / f"lighthouse-{version}.json.gz" for version in (12, 13))


def unchecked(found):
    return {name for note in found.warnings if note.code == "findings-not-checked" for name in note.facts["findings"]}


def held(path=THIRTEEN):
    return json.loads(gzip.decompress(path.read_bytes()))


def changed(tmp_path, name="one.json", **parts):
    """A result with other settings."""
    result = held()
    for key, value in parts.items():
        result[key] = {**result.get(key, {}), **value} if isinstance(value, dict) else value
    (tmp_path / name).write_text(json.dumps(result))
    return lab.read(tmp_path / name)


def test_two_versions_give_the_same_findings_of_one_page():
    twelve, thirteen = lab.read(TWELVE), lab.read(THIRTEEN)
    neither = unchecked(twelve) | unchecked(thirteen)
    names = [set(found.advice["finding"]) - neither for found in (twelve, thirteen)]
    assert names[0] == names[1]
    assert {"image-delivery", "short-lifetime", "redirect", "not-compressed", "unused-css", "render-blocking"} <= names[
        0
    ]
    for name in names[0] - {"not-compressed"}:
        urls = [set(found.advice.loc[found.advice["finding"] == name, "url"].dropna()) for found in (twelve, thirteen)]
        assert urls[0] == urls[1], name
    # Since 13 the document alone is checked.
    assert "compression-of-document-only" in codes(thirteen.warnings)
    compressed = [
        set(found.advice.loc[found.advice["finding"] == "not-compressed", "url"]) for found in (twelve, thirteen)
    ]
    assert compressed[0] > compressed[1]
    assert neither <= {"image-not-lazy"}


def test_the_old_audits_of_a_result_give_what_its_insights_give(tmp_path):
    """Version 12.8 has both, so the names of one run can be compared."""
    result = held(TWELVE)
    result["audits"] = {name: audit for name, audit in result["audits"].items() if not name.endswith("-insight")}
    (tmp_path / "old.json").write_text(json.dumps(result))
    old, new = lab.read(tmp_path / "old.json"), lab.read(TWELVE)
    only = set(old.advice["finding"]) ^ set(new.advice["finding"])
    # Before the insights no audit decided about chains, and that of the LCP image asked for less than fetchpriority.
    assert only <= {"long-chain", "lcp-found-late"}
    for name in ("render-blocking", "short-lifetime", "image-delivery", "redirect"):
        urls = [set(found.advice.loc[found.advice["finding"] == name, "url"]) for found in (old, new)]
        assert urls[0] == urls[1] != set(), name


def test_failed_audits_are_named():
    found = lab.read(SAMPLES / "lighthouse" / "lighthouse-12.2.json.gz")
    assert {"render-blocking", "layout-shift", "lcp-found-late"} <= unchecked(found)


def test_metrics_that_could_not_be_measured_are_named(tmp_path):
    assert "lighthouse-metrics-failed" not in codes(lab.read(THIRTEEN).warnings)
    lcp = {"score": None, "scoreDisplayMode": "error", "errorMessage": "NO_LCP"}
    found = changed(tmp_path, audits={"largest-contentful-paint": lcp})
    (facts,) = (note.facts for note in found.warnings if note.code == "lighthouse-metrics-failed")
    assert (facts["metrics"], facts["problem"]) == (["LCP"], "NO_LCP")
    assert "lcp" not in set(found.vitals["metric"]) and "fcp" in set(found.vitals["metric"])


def test_the_metrics_are_those_of_the_file():
    for path in (TWELVE, THIRTEEN):
        found, audits = lab.read(path), held(path)["audits"]
        values = dict(zip(found.vitals["metric"], found.vitals["value"], strict=True))
        assert values["lcp"] == audits["largest-contentful-paint"]["numericValue"]
        assert values["cls"] == audits["cumulative-layout-shift"]["numericValue"]
        assert {"fcp", "tbt", "ttfb", "lighthouse_score"} <= set(values)
        assert set(found.vitals["page"]) == {"/shop"}


def test_settings_are_the_generator(tmp_path):
    usual = held()["configSettings"]
    throttling = {**usual["throttling"], "cpuSlowdownMultiplier": 2}
    names = {
        changed(tmp_path, **parts).runs["environment"].item()["generator"]
        for parts in (
            {},
            {"lighthouseVersion": "13.4.0"},
            {"configSettings": {"formFactor": "desktop"}},
            {"configSettings": {"throttlingMethod": "devtools"}},
            {"configSettings": {"throttling": throttling}},
            {"environment": {"hostUserAgent": "HeadlessChrome/157.0.0.0"}},
            {"gatherMode": "timespan"},
        )
    }
    # `compare` takes the first word for the generator, the rest for a version that may differ.
    assert len({name.split(" ")[0] for name in names}) == 7
    assert "simulated-throttling" in codes(lab.read(THIRTEEN).warnings)
    slow = changed(tmp_path, environment={"benchmarkIndex": 400})
    assert "slow-machine" in codes(slow.warnings)


def test_other_wrappings_and_broken_results(tmp_path):
    path = tmp_path / "psi.json"
    path.write_text(json.dumps({"captchaResult": "x", "kind": "pagespeedonline#result", "lighthouseResult": held()}))
    assert len(lab.read(path).vitals) == len(lab.read(THIRTEEN).vitals)
    secret = changed(
        tmp_path, finalDisplayedUrl="https://h/in?token=hunter2-0d4f", runWarnings=["see https://me:hunter2-0d4f@h/"]
    )
    shown = repr(secret) + secret.vitals.to_csv() + "".join(map(str, secret.warnings))
    assert "hunter2" not in shown
    with pytest.raises(lab.FormatError, match="NO_FCP"):
        changed(tmp_path, runtimeError={"code": "NO_FCP", "message": "nothing was painted"})
    with pytest.raises(lab.FormatError, match="metrics"):
        changed(
            tmp_path,
            audits={name: {"scoreDisplayMode": "error"} for name in held()["audits"]},
            categories={"performance": {}},
        )


def test_several_runs_have_a_median_and_a_range(tmp_path):
    audits = held()["audits"]
    runs = [
        changed(
            tmp_path,
            f"{n}.json",
            audits={"largest-contentful-paint": {**audits["largest-contentful-paint"], "numericValue": v}},
        )
        for n, v in enumerate((2000.0, 2600.0, 2100.0))
    ]
    table = summarize_vitals(sum(runs[1:], runs[0])).set_index("metric")
    assert table.loc["lcp", ["runs", "median", "low", "high", "rating"]].to_list() == [
        3,
        2100.0,
        2000.0,
        2600.0,
        "good",
    ]


FAKE = """import json, pathlib, sys
options = dict(a.split("=", 1) for a in sys.argv[1:] if "=" in a)
assert "--throttling-method" in options and "--output-path" in options
counter = pathlib.Path({counter!r})
number = int(counter.read_text()) + 1 if counter.exists() else 1
counter.write_text(str(number))
if number == 2:
    print("Unable to connect to Chrome; token=hunter2-0d4f", file=sys.stderr)
    sys.exit(1)
pathlib.Path(options["--output-path"]).write_text({result!r})
"""


def test_runs_of_a_program_are_kept_and_failures_named(tmp_path):
    """With a program that writes a recorded result: the second run fails."""
    program = tmp_path / "lighthouse.py"
    program.write_text(FAKE.format(counter=str(tmp_path / "n"), result=json.dumps(held())))
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        host = f"http://127.0.0.1:{server.server_port}"
        found = lab.run_lighthouse(
            host, "/", runs=3, store=tmp_path / "runs", program=[sys.executable, str(program)], progress=False
        )
        server.shutdown()
    assert len(found.runs) == len(lab.load(tmp_path / "runs").runs) == 2
    failed = next(note for note in found.warnings if note.code == "lighthouse-run-failed")
    assert failed.facts["number"] == 2 and "hunter2" not in str(failed)
    assert summarize_vitals(found).set_index("metric").loc["lcp", "runs"] == 2
    assert not list((tmp_path / "runs").glob(".*"))


def test_lighthouse_that_is_not_there_is_named():
    with pytest.raises(lab.LoadTestError, match="npm install"):
        lab.run_lighthouse("http://127.0.0.1:1", program="no-such-lighthouse", progress=False)
    for options in ({"runs": 0}, {"form": "tablet"}, {"throttling": "3g"}):
        with pytest.raises(ValueError, match=next(iter(options))):
            lab.run_lighthouse("http://127.0.0.1:1", **options)
    assert lighthouse_runs.METHODS[0] == "simulate"
