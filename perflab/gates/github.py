"""GitHub Actions: annotations as workflow commands, and the step's summary in Markdown.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands: a command is a line of
its own, so a name with a line break or "::" in it must not make one. The runner shows ten annotations of a kind for a
step, and takes a summary of at most 1 MiB.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from perflab import rendering
from perflab.gates.cases import WARNS, Case
from perflab.gates.gating import FAILS, INCONCLUSIVE, PASSES
from perflab.notes import SHELL
from perflab.results import Result

MOST_ANNOTATIONS = 10
MOST_BYTES = 1_000_000
_LONGEST = 4_000
_MARKS = {PASSES: "✅", FAILS: "❌", INCONCLUSIVE: "❔", WARNS: "⚠️"}


def workflow_commands(cases: Sequence[Case], *, inconclusive: str = "") -> list[str]:
    """A line for each case that fails (error), and that decides and is inconclusive or warns (warning): at most ten of each."""
    lines: list[str] = []
    for level in ("error", "warning"):
        own = [case for case in cases if _level(case, inconclusive) == level]
        shown = own if len(own) <= MOST_ANNOTATIONS else own[: MOST_ANNOTATIONS - 1]
        lines += [f"::{level} title={_property(case.name)}::{_data(case.text)}" for case in shown]
        if left := own[len(shown) :]:
            names = ", ".join(case.name for case in left)
            lines.append(f"::{level} title={_property(f'{len(left)} more')}::{_data(names)}")
    return lines


def error_command(name: str, text: str) -> str:
    """The annotation of what could not be measured."""
    return f"::error title={_property(name)}::{_data(text)}"


def step_summary(result: Result, cases: Sequence[Case], *, inconclusive: str = "", most_bytes: int = MOST_BYTES) -> str:
    """The result as Markdown for a step's summary: a mark and the sentence, the table, the notes; cut to fit.

    Names from outside are inert: no HTML, no links, no table breaks.
    """
    shown, text = result.show(SHELL), rendering.markdown_text
    outcomes = [case.under(inconclusive) for case in cases if case.decides]
    worst = next((word for word in (FAILS, INCONCLUSIVE) if word in outcomes), PASSES)
    parts = [f"### {_MARKS[worst]} {text(shown.sentence)}"]
    if (grid := shown.grid()) is not None:
        parts.append(rendering.markdown_grid(grid))
    listed = [
        case
        for case in cases
        if case.under(inconclusive) in (FAILS, WARNS) or (case.decides and case.outcome != PASSES)
    ]
    if listed:
        parts.append("\n".join(f"- {_MARKS[case.under(inconclusive)]} {text(_named(case))}" for case in listed))
    if shown.notes:
        notes = "\n".join(f"- {text(note)}" for note in shown.notes)
        parts.append(f"<details><summary>How it was decided</summary>\n\n{notes}\n\n</details>")
    while len(parts) > 1 and len("\n\n".join(parts).encode()) > most_bytes:
        parts.pop()
    whole = "\n\n".join(parts) + "\n\n"
    return whole if len(whole.encode()) <= most_bytes else whole.encode()[:most_bytes].decode(errors="ignore")


def _named(case: Case) -> str:
    """The text of a case with the name of what it is about, where it does not say that itself."""
    return case.text if case.name in case.text else f"{case.name}: {case.text}"


def without_commands(text: str) -> str:
    """Text between lines that make the runner take none of it for commands, whatever its lines begin with."""
    token = secrets.token_hex(16)
    return f"::stop-commands::{token}\n{text}\n::{token}::"


def _level(case: Case, inconclusive: str) -> str:
    outcome = case.under(inconclusive)
    if outcome == FAILS:
        return "error"
    return "warning" if outcome == WARNS or (outcome == INCONCLUSIVE and case.decides) else "notice"


def _data(text: str) -> str:
    """The message of a command."""
    cut = rendering.shortened(rendering.visible(text), _LONGEST)
    return cut.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """The value of a property of a command."""
    flat = " ".join(rendering.shortened(rendering.visible(text), 200).split())
    return _data(flat).replace(":", "%3A").replace(",", "%2C")
