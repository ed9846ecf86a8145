"""What the site holds beside docs/: reference pages with the pictures of the notebooks, the notebooks and the changelog."""

from __future__ import annotations

import ast
import json
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
TITLES = {
    "drive": "Drive load", "read": "Read results", "decide": "Decide", "explain": "Explain", "show": "Show", "record": "Record",
    "errors": "Errors",
}  # fmt: skip


def homes(package: str = "perflab") -> dict[str, str]:
    """The module of each public name of a package."""
    stub = ROOT.joinpath(*package.split("."), "__init__.pyi")
    tree = ast.parse(stub.read_text(encoding="utf-8"))
    return {
        alias.name: f"{package}.{node.module}.{alias.name}"
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


def packages() -> list[str]:
    """The packages whose own public names `perflab` does not export."""
    return sorted(
        path.parent.name for path in (ROOT / "perflab").glob("*/__init__.pyi") if homes(f"perflab.{path.parent.name}")
    )


def reference() -> dict[str, tuple[str, dict[str, str]]]:
    """The heading of each page of the reference, and the names on it with their homes."""
    known = homes()
    pages = {group: (TITLES[group], {name: known[name] for name in names}) for group, names in groups().items()}
    return pages | {name: (f"lab.{name}", homes(f"perflab.{name}")) for name in packages()}


def pictures() -> dict[str, tuple[bytes, Path]]:
    """For each function, the first picture that a cell which calls it shows in a committed notebook, and the notebook."""
    found: dict[str, tuple[bytes, Path]] = {}
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            drawn = [
                output["data"]["image/png"]
                for output in cell.get("outputs", ())
                if "image/png" in output.get("data", {})
            ]
            for name in re.findall(r"\b(plot_\w+)\(", "".join(cell["source"])) if drawn else ():
                found.setdefault(name, (b64decode(drawn[0]), path))
    return found


def entry(name: str, home: str, shown: dict[str, tuple[bytes, Path]]) -> str:
    """A name of a reference page, with its picture."""
    if name not in shown:
        return f"::: {home}"
    notebook = shown[name][1]
    return f"::: {home}\n\n![{name}](pictures/{name}.png)\n\nFrom [{title(notebook)}](../notebooks/{notebook.name})."


def on_config(config: Any) -> Any:
    notebooks = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    for part in config["nav"]:
        if "Reference" in part:
            part["Reference"] = [{TITLES[group]: f"reference/{group}.md"} for group in groups()]
            part["Reference"] += [{f"lab.{name}": f"reference/{name}.md"} for name in packages()]
        if "Notebooks" in part:
            part["Notebooks"] = [{title(path): f"notebooks/{path.name}"} for path in notebooks]
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
    shown = pictures()
    for page, (heading, names) in reference().items():
        body = "\n\n".join(entry(name, home, shown) for name, home in names.items())
        files.append(File.generated(config, f"reference/{page}.md", content=f"# {heading}\n\n{body}\n"))
    for name, (picture, _) in shown.items():
        files.append(File.generated(config, f"reference/pictures/{name}.png", content=picture))
    files.append(File("iframe-worker.js", str(ROOT / ".ci"), config["site_dir"], config["use_directory_urls"]))
    files.append(File.generated(config, "changes.md", content=(ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))
    for path in [*(ROOT / "notebooks").rglob("*"), *(ROOT / "bench").glob("*.md")]:
        if path.suffix in (".ipynb", ".png", ".svg", ".md"):
            place = path.relative_to(ROOT).as_posix()
            files.append(File(place, str(ROOT), config["site_dir"], config["use_directory_urls"]))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links as they are right in the checkout lead to the pages of the site."""
    if page.file.src_uri.startswith("reference/"):
        return markdown
    markdown = markdown.replace("](../CHANGELOG.md", "](changes.md").replace("](docs/", "](")
    markdown = re.sub(r"\]\(\.\./(notebooks|bench)/", r"](\1/", markdown)
    return re.sub(r"\]\(\.\./(?:\.\./)*(README\.md|perflab/|datasets/)[^)]*\)", "](index.md)", markdown)


def on_post_build(config: Any) -> None:
    """Refuse a site in which a search finds no entry of a public name, or with a link to a file that it does not hold."""
    site, missing = Path(config["site_dir"]), set()
    found = {entry["location"] for entry in json.loads((site / "search" / "search_index.json").read_bytes())["docs"]}
    places = {f"reference/{page}.html#{home}" for page, (_, names) in reference().items() for home in names.values()}
    if places - found:
        raise PluginError("the search finds none of " + ", ".join(sorted(places - found)))
    for page in site.rglob("*.html"):
        for link in re.findall(r'(?:href|src)="([^"#?]+)', page.read_text(encoding="utf-8")):
            if (
                not re.match(r"\w+:|//", link)
                and not (site / link[1:] if link[0] == "/" else page.parent / link).exists()
            ):
                missing.add(f"{page.relative_to(site)}: {link}")
    if missing:
        raise PluginError("links that lead nowhere:\n" + "\n".join(sorted(missing)))
