"""Bundles: large packages, copies, before and after; by tables built here and by the stats of real builds."""

from __future__ import annotations

import json

import pandas as pd
import pytest

import perflab as lab
from perflab.notes import codes
from perflab.web.bundles import OWN, find_duplicate_modules, package_of

PATHS = {
    "./node_modules/lodash/get.js": ("lodash", ""),
    "node_modules/@mui/material/Button/Button.js": ("@mui/material", ""),
    "../../node_modules/.pnpm/react-dom@18.3.1_react@18.3.1/node_modules/react-dom/index.js": ("react-dom", "18.3.1"),
    "node_modules/.pnpm/@babel+runtime@7.24.0/node_modules/@babel/runtime/helpers/a.js": ("@babel/runtime", "7.24.0"),
    ".yarn/cache/lodash-npm-4.17.21-6382451519-8.zip/node_modules/lodash/get.js": ("lodash", "4.17.21"),
    "C:\\app\\node_modules\\moment\\moment.js": ("moment", ""),
    "./src/node_modules_list.js": (OWN, ""),
    "node_modules/a/node_modules/b/c.js": ("b", ""),
    "webpack/runtime/chunk loaded": (OWN, ""),
    "": (OWN, ""),
}


@pytest.mark.parametrize("path", PATHS)
def test_the_package_of_a_path(path):
    assert package_of(path) == PATHS[path]


def built(**sizes):
    rows = [("a", "main.js", f"node_modules/{name}/index.js", name, size) for name, size in sizes.items()]
    return pd.DataFrame(
        [*rows, ("a", "main.js", "src/app.js", OWN, 1000)], columns=["run", "chunk", "module", "package", "size_bytes"]
    )


def test_large_packages_come_first_with_a_way_out():
    table = lab.find_large_modules(built(moment=70_000, clsx=500))
    assert table["package"].to_list() == ["moment", OWN, "clsx"]
    assert table["suggestion"].map(bool).to_list() == [True, False, False]
    assert table["share_fraction"].sum() == pytest.approx(1)
    assert lab.find_large_modules(built(moment=1), by="module").columns[0] == "module"


def test_before_and_after():
    table = lab.find_large_modules(built(moment=70_000, clsx=500), baseline=built(clsx=400, lodash=90_000))
    changes = dict(zip(table["package"], table["change_bytes"], strict=True))
    assert changes == {"lodash": -90_000, "moment": 70_000, "clsx": 100, OWN: 0}
    assert table["package"].iloc[0] == "lodash"
    same = lab.find_large_modules(built(moment=1), baseline=built(moment=1))
    assert (same["change_bytes"] == 0).all()


def test_copies_of_a_package_are_found():
    rows = [
        ("main.js", "node_modules/clsx/index.js", 500), ("main.js", "node_modules/a/node_modules/clsx/index.js", 400),
        ("main.js", "node_modules/react/index.js", 3000), ("admin.js", "node_modules/react/index.js", 3000),
    ]  # fmt: skip
    table = pd.DataFrame(
        [("a", chunk, module, package_of(module)[0], size) for chunk, module, size in rows],
        columns=["run", "chunk", "module", "package", "size_bytes"],
    )
    twice = find_duplicate_modules(table)
    assert twice[["package", "where", "copies", "wasted_bytes"]].values.tolist() == [
        ["react", "chunks", 2, 3000], ["clsx", "versions", 2, 400],
    ]  # fmt: skip
    assert "bundled-twice" in codes(lab.find_large_modules(table).warnings)
    assert not len(find_duplicate_modules(built(moment=1)))


@pytest.mark.parametrize(
    "text",
    [
        '{"hash": "a", "version": "5", "assets": [], "chunks": [], "modules": []}',
        '{"inputs": {}, "outputs": {}}',
        "{}",
        "[]",
        "7",
    ],
)
@pytest.mark.parametrize("name", ["webpack_stats", "esbuild_metafile"])
def test_a_file_without_modules_is_an_error(name, text, tmp_path):
    (tmp_path / "stats.json").write_text(text)
    with pytest.raises(lab.FormatError, match="expected"):
        lab.read(tmp_path / "stats.json", format=name)


def test_odd_stats_of_webpack_are_read(tmp_path):
    """Modules within chunks only, joined modules, groups of a shortened list, several configurations, orphans, broken ones."""
    whole = {"name": "./src/a.js + 2 modules", "size": 30, "chunks": [1], "modules": [
        {"name": "./src/a.js", "size": 10}, {"name": "./node_modules/clsx/x.mjs", "size": 20}]}  # fmt: skip
    cases = {
        "joined": {"modules": [whole], "chunks": [{"id": 1, "files": ["main.js"]}]},
        "in chunks": {"chunks": [{"id": 1, "names": ["main"], "modules": [{"name": "./a.js", "size": 30}]}]},
        "groups": {"modules": [{"type": "hidden modules", "size": 30, "chunks": [1], "children": [
            {"name": "babel-loader!./a.js", "size": 30, "chunks": [1]}]}]},
        "several": {"children": [{"modules": [{"name": "a", "size": 10, "chunks": [0]}]},
                                 {"modules": [{"name": "b", "size": 20, "chunks": [0]}]}]},
        "broken": {"modules": [{"name": "./a.js", "size": 30, "chunks": [1]}, {"name": "b", "size": "x", "chunks": [1]},
                               {"name": "c", "size": 5, "chunks": []}, None]},
    }  # fmt: skip
    for name, part in cases.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({"hash": "1", "version": "5.99.0", "assetsByChunkName": {}, "assets": [], **part}))
        found = lab.read(path)
        assert found.modules["size_bytes"].sum() == 30, name
        assert found.meta["tool"] == "webpack 5.99.0"
    assert lab.read(tmp_path / "joined.json").modules["package"].to_list() == [OWN, "clsx"]
    assert lab.read(tmp_path / "groups.json").modules["module"].item() == "./a.js"
    assert "skipped" in codes(lab.read(tmp_path / "broken.json").warnings)


def test_builds_are_never_added_up():
    two = pd.concat([built(moment=70_000), built(moment=70_000).assign(run="b")])
    for find in (lab.find_large_modules, find_duplicate_modules):
        with pytest.raises(ValueError, match=r"one build; got 2 \(a, b\)"):
            find(two)


MODULE = {"name": "./node_modules/moment/moment.js", "size": 900, "chunks": [1]}
CUT = {
    "modules": {"modules": [MODULE], "filteredModules": 7},
    "groups": {"modules": [{"type": "modules by path", "children": [MODULE], "filteredChildren": 7}]},
    "chunks": {"chunks": [{"id": 1, "modules": [MODULE], "filteredModules": 7}]},
    "nothing": {"modules": [{**MODULE, "modules": [MODULE]}], "filteredModules": 0},
}


@pytest.mark.parametrize("where", CUT)
def test_modules_that_webpack_left_out_are_counted(where, tmp_path):
    place = tmp_path / "stats.json"
    place.write_text(json.dumps({"hash": "a", "version": "5.1", "outputPath": "/", "assets": [], **CUT[where]}))
    found = lab.read(place, format="webpack_stats")
    skipped = [note.facts["skipped"] for note in found.warnings if note.code == "skipped"]
    assert skipped == ([] if where == "nothing" else [7])
    assert found.modules["size_bytes"].sum() == 900
