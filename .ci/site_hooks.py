"""What the site holds beside docs/: a reference page for each group of public names, the notebooks and the changelog."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
TITLES = {
    "drive": "Drive load", "read": "Read results", "decide": "Decide", "explain": "Explain", "show": "Show", "record": "Record",
    "errors": "Errors",
}  # fmt: skip


def homes() -> dict[str, str]:
    """The module of each public name."""
    tree = ast.parse((ROOT / "perflab" / "__init__.pyi").read_text(encoding="utf-8"))
    return {
        alias.name: f"perflab.{node.module}.{alias.name}"
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


def groups() -> dict[str, list[str]]:
    """The public names by the group in which the package's docstring lists them; the errors are the rest."""
    text = ast.get_docstring(ast.parse((ROOT / "perflab" / "__init__.py").read_text(encoding="utf-8"))) or ""
    lines = text.partition("\n\n")[2].partition("\n\n")[0]
    known, found, group = homes(), {}, ""
    for line in lines.splitlines():
        if head := re.match(r"\s{0,4}(\w+)\s{2,}", line):
            group = head[1]
        found.setdefault(group, []).extend(name for name in re.findall(r"\w+", line) if name in known)
    listed = {name for names in found.values() for name in names}
    found["errors"] = sorted({*found.get("errors", []), *(n for n in known if n.endswith("Error"))})
    missing = sorted(known.keys() - listed - set(found["errors"]))
    if missing:
        raise ValueError(f"the docstring of perflab lists no {', '.join(missing)}")
    return {group: list(dict.fromkeys(names)) for group, names in found.items()}


def on_config(config: Any) -> Any:
    notebooks = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    for entry in config["nav"]:
        if "Reference" in entry:
            entry["Reference"] = [{TITLES[group]: f"reference/{group}.md"} for group in groups()]
        if "Notebooks" in entry:
            entry["Notebooks"] = [{title(path): f"notebooks/{path.name}"} for path in notebooks]
    return config


def title(notebook: Path) -> str:
    return (
        notebook.stem.partition("_")[2]
        .replace("_", " ")
        .capitalize()
        .replace("P95", "p95")
        .replace("N plus one", "N+1")
    )


@event_priority(100)
def on_files(files: Files, config: Any) -> Files:
    known = homes()
    for group, names in groups().items():
        body = "\n\n".join(f"::: {known[name]}" for name in names)
        files.append(File.generated(config, f"reference/{group}.md", content=f"# {TITLES[group]}\n\n{body}\n"))
    files.append(File.generated(config, "changes.md", content=(ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))
    for path in [*(ROOT / "notebooks").rglob("*"), *(ROOT / "bench").glob("*.md")]:
        if path.suffix in (".ipynb", ".png", ".svg", ".md"):
            place = path.relative_to(ROOT).as_posix()
            files.append(File(place, str(ROOT), config["site_dir"], config["use_directory_urls"]))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links as they are right in the checkout lead to the pages of the site."""
    markdown = markdown.replace("](../CHANGELOG.md", "](changes.md")
    markdown = re.sub(r"\]\(\.\./(notebooks|bench)/", r"](\1/", markdown)
    return re.sub(r"\]\(\.\./(?:\.\./)*(README\.md|perflab/|datasets/)[^)]*\)", "](index.md)", markdown)
