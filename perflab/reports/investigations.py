"""Investigations as notebooks that are records: started from a template, stamped, executed with parameters by papermill."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from perflab import provenance, rendering
from perflab.errors import MissingExtraError, PerflabError, StoreError
from perflab.notes import PYTHON
from perflab.results import Result, Shown

_WIDGET, _WIDGET_STATE = "application/vnd.jupyter.widget-view+json", "application/vnd.jupyter.widget-state+json"
_ADDRESS = re.compile(r"(?<=\w) at 0x[0-9a-f]+(?=>)")


@dataclass(frozen=True, repr=False)
class Record(Result):
    """When, where and with what a notebook was run: a row for each fact in ``table`` (fact, value)."""

    table: pd.DataFrame

    @property
    def sentence(self) -> str:
        facts = dict(zip(self.table["fact"], self.table["value"], strict=True))
        state = f", commit {facts['git commit'][:12]}" if "git commit" in facts else ""
        return f"Recorded {facts['time']} with perflab {facts['perflab']}{state}"

    def show(self, surface: str = PYTHON) -> Shown:
        """The facts."""
        return Shown(self.sentence, self.table, ours=True)


def record(**facts: object) -> Record:
    """Stamp a notebook with its provenance: put it into the first cell.

    Parameters
    ----------
    **facts
        What else belongs to the record, such as ``seed=7`` or ``question="..."``. Values whose names suggest a secret
        (token, password, ...) are hidden.

    Returns
    -------
    Record
        Time in UTC, commit and uncommitted changes, versions, processor, load, seeds.

    >>> import perflab as lab
    >>> lab.record(seed=7).table.set_index("fact").value["seed"]
    '7'
    """
    stamp = provenance.stamp()
    packages: Mapping[str, str] = stamp.get("packages", {})
    found = {
        "time": stamp["time"],
        "git commit": stamp.get("git_sha"),
        "uncommitted changes": ", ".join(stamp.get("git_changes", ())) or ("no" if "git_dirty" in stamp else None),
        "python": stamp["python"],
        **packages,
        "system": stamp["system"],
        "processor": f"{stamp['cpu_model']}, {stamp['cpu_count']} cores",
        "load average": stamp["load_average"],
        **provenance.harmless({name: str(value) for name, value in facts.items()}),
    }
    kept = {name: str(value) for name, value in found.items() if value is not None}
    return Record(pd.DataFrame({"fact": list(kept), "value": list(kept.values())}, dtype="str"))


def execute_notebook(
    notebook: str | Path,
    output: str | Path | None = None,
    *,
    parameters: Mapping[str, Any] | None = None,
    timeout_s: float = 3600,
    progress: bool = False,
) -> Path:
    """Run a notebook from top to bottom in a fresh kernel, in its own folder, and keep it with its output.

    Parameters
    ----------
    notebook : str or Path
        The file.
    output : str or Path
        Where the executed notebook goes; it overwrites the original if not given.
    parameters : mapping
        Values for the cell tagged "parameters" (papermill's convention), which they override.
    timeout_s : float
        For each cell.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Path
        The output, without what differs each time (times of execution, counters of papermill, ids of widgets that another
        output of the cell shows too). A cell that fails, or in which the kernel dies or takes too long, raises PerflabError that
        names it; the output then ends with that cell.

    >>> lab.execute_notebook("investigation.ipynb", parameters={"store": "runs"})  # doctest: +SKIP
    """
    try:
        import papermill
        from nbclient.exceptions import CellTimeoutError, DeadKernelError
        from papermill.exceptions import PapermillExecutionError
        from traitlets.config import Config
    except ImportError as problem:
        raise MissingExtraError.of(problem, "lab") from problem
    source = existing(notebook)
    unknown = set(parameters or {}) - set(papermill.inspect_notebook(str(source)) if parameters else {})
    if unknown:
        raise ValueError(f'parameters: the cell tagged "parameters" of {source} has no {", ".join(sorted(unknown))}')
    place = Path(output) if output is not None else source
    # Sockets of this user instead of TCP ports that anybody on the machine may listen to.
    config = Config({"ConnectionFileMixin": {"transport": "ipc"}})
    try:
        papermill.execute_notebook(
            str(source),
            str(place),
            parameters=dict(parameters or {}),
            cwd=str(source.parent),
            progress_bar=progress,
            execution_timeout=timeout_s,
            config=config,
        )
    except PapermillExecutionError as problem:
        raise PerflabError(f"{place}: cell {problem.exec_count} failed: {problem.ename}: {problem.evalue}") from problem
    except (DeadKernelError, CellTimeoutError) as problem:
        why = "the kernel died" if isinstance(problem, DeadKernelError) else f"it took longer than {timeout_s:g} s"
        raise PerflabError(f"{place}: cell {_running_cell(place)} failed: {why}") from problem
    except OSError as problem:
        raise StoreError(f"{place}: cannot be written: {problem.strerror}") from problem
    finally:
        _settle(place)
    return place


def _running_cell(notebook: Path) -> str:
    """The number of the code cell that began last, counted as the kernel counts; "?" where the file does not say."""
    import nbformat

    code = [
        cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code" and cell.source.strip()
    ]
    begun = [number for number, cell in enumerate(code, 1) if cell.metadata.get("papermill", {}).get("start_time")]
    return str(begun[-1]) if begun else "?"


def _settle(notebook: Path) -> None:
    """Remove from an executed notebook what differs each time it is executed."""
    import nbformat

    try:
        book = nbformat.read(notebook, as_version=4)
    except (OSError, ValueError, nbformat.reader.NotJSONError):
        return
    views: list[str] = []
    for cell in book.cells:
        if "outputs" in cell:
            cell.outputs = _joined(cell.outputs)
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if "id" in cell and "injected-parameters" in cell.metadata.get("tags", ()):
            cell["id"] = "injected-parameters"
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if {"text/html", "image/png", "image/svg+xml"} & data.keys():
                data.pop(_WIDGET, None)
            if _WIDGET in data:
                views.append(data[_WIDGET]["model_id"])
            if isinstance(plain := data.get("text/plain"), str):
                data["text/plain"] = _ADDRESS.sub("", plain)
    book.metadata.pop("papermill", None)
    if views:
        book = _named_anew(book, views)
    else:
        book.metadata.pop("widgets", None)
    nbformat.write(book, notebook)


def _joined(outputs: list[Any]) -> list[Any]:
    """The outputs with the parts of a stream in one, as its parts depend on when the kernel sent them."""
    kept: list[Any] = []
    for output in outputs:
        before = kept[-1] if kept else {}
        if output.output_type == "stream" and output.name == before.get("name"):
            before["text"] += output.text
        else:
            kept.append(output)
    return kept


def _named_anew(book: Any, views: list[str]) -> Any:
    """The notebook with the widgets that are in view, and what they consist of, numbered in that order."""
    import nbformat

    state = book.metadata.get("widgets", {}).get(_WIDGET_STATE, {}).get("state", {})
    order: list[str] = []
    while views:
        name = views.pop(0)
        if name in state and name not in order:
            order.append(name)
            views[:0] = re.findall(r"IPY_MODEL_(\w+)", orjson.dumps(state[name], option=orjson.OPT_SORT_KEYS).decode())
    if state:
        book.metadata["widgets"][_WIDGET_STATE]["state"] = {name: state[name] for name in order}
    text = nbformat.writes(book)
    for number, name in enumerate(order):
        text = text.replace(name, f"{number:032x}")
    return nbformat.reads(text, as_version=4)


def new_notebook(title: str, folder: str | Path = ".") -> Path:
    """Start an investigation: a notebook with question, baseline, hypothesis, change, result and decision to fill in.

    Parameters
    ----------
    title : str
        The question, in words; the file is named after it.
    folder : str or Path
        Where it goes; created if missing.

    Returns
    -------
    Path
        The notebook. An existing file is never overwritten (ValueError).

    >>> import perflab as lab, tempfile
    >>> lab.new_notebook("Is checkout faster?", tempfile.mkdtemp()).name
    'is-checkout-faster.ipynb'
    """
    try:
        import nbformat
    except ImportError as problem:
        raise MissingExtraError.of(problem, "lab") from problem
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60]
    if not slug:
        raise ValueError(f"title must have letters or digits in it; got {title!r}")
    place = Path(folder) / f"{slug}.ipynb"
    book = nbformat.v4.new_notebook()
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for kind, source in _template(rendering.visible(title)):
        if kind == "markdown":
            book.cells.append(nbformat.v4.new_markdown_cell(source))
        else:
            book.cells.append(nbformat.v4.new_code_cell(source))
            if kind == "parameters":
                book.cells[-1].metadata["tags"] = ["parameters"]
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("x", encoding="utf-8") as file:
            nbformat.write(book, file)
    except FileExistsError:
        raise ValueError(f"title: {place} already exists; choose another title or folder") from None
    except OSError as problem:
        raise StoreError(f"{place}: cannot be written: {problem.strerror}") from problem
    return place


_TEMPLATE = """
markdown
# {title}

**Question.** What do users feel, where, and how much better must it become?
----
code
import perflab as lab

lab.record()
----
parameters
store = "runs"  # the folder with the runs
baseline = "before"  # the arm without the change
candidate = "after"  # the arm with it
endpoint = ""  # the endpoint that decides; empty: all requests together
metric = "p95"
tolerance = 0.05  # smaller differences do not matter
----
markdown
## Baseline

How fast is it now? Measure before you change anything:

```python
plan = lab.LoadPlan("locustfile.py", stages=[lab.Stage("60s", users=50)])
old = lab.Target(baseline, host="http://127.0.0.1:8001")
new = lab.Target(candidate, host="http://127.0.0.1:8002")
lab.run_pairs(plan, old, new, pairs=10, store=store)  # randomised, interleaved
```
----
code
runs = lab.load(store)
before, after = runs.where(arm=baseline), runs.where(arm=candidate)
before
----
markdown
## Hypothesis

Why is it slow, and which evidence shows it (queries, profile, resources)?
----
code
lab.plots.plot_resources(before);
----
markdown
## Change

What exactly was changed?
----
markdown
## Result
----
code
change = lab.compare(before, after, metric=metric, tolerance=tolerance, primary=endpoint or ())
change
----
code
lab.plot_pairs(before, after, metric=metric, endpoint=change.endpoint);
----
markdown
## Decision

Keep it, drop it, or measure more, and who decided?
----
code
print(change.sentence)
"""


def _template(title: str) -> list[tuple[str, str]]:
    """(kind, source) of each cell."""
    cells = [cell.strip().partition("\n") for cell in _TEMPLATE.split("\n----\n")]
    return [(kind, source.strip().replace("{title}", rendering.markdown_text(title))) for kind, _, source in cells]


def existing(notebook: str | Path) -> Path:
    """The notebook's path; PerflabError if there is no such file."""
    path = Path(notebook)
    if not path.is_file():
        raise PerflabError(f"{path}: no such notebook")
    return path
