"""The names of this package that are public."""

from .cases import Case, cases_of
from .commits import checked_out
from .gating import Gate, gate
from .github import step_summary, workflow_commands
from .junit_xml import to_junit
from .machine_speed import Speed, measure_speed
from .stored import StoredBaseline, set_baseline

__all__ = [
    "Case",
    "Gate",
    "Speed",
    "StoredBaseline",
    "cases_of",
    "checked_out",
    "gate",
    "measure_speed",
    "set_baseline",
    "step_summary",
    "to_junit",
    "workflow_commands",
]
