"""CPU samples of V8 (Node.js, Chrome), as .cpuprofile files and Chrome's traces hold them.

https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile
A sample lasts until the next one; the first delta comes before any sample. Deltas may be negative; the clock then stands
still. ``(root)`` is no frame, ``(idle)`` no stack, and ``(program)`` and ``(garbage collector)`` interrupt the stack that
they follow. Lines are from 0 in the file and from 1 in the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from perflab.data.accounting import Tally
from perflab.formats import _profile_notes as kinds
from perflab.formats import _profiles
from perflab.profiles.call_trees import Floats, Frames, Tree, from_parents

_IGNORED = frozenset({"(root)", "(idle)"})
_GLUE = "native dummy.js"
"""The file of frames that V8 puts between its own functions written in JavaScript and their callers."""
_ON_TOP = frozenset({"(program)", "(garbage collector)"})


def tree_of(found: Mapping[str, Any], frames: Frames, tally: Tally) -> tuple[str, Tree, float] | None:
    """The unit, the tree and the idle time (ms) of one profile; None if it has no nodes."""
    listed = _listed(found)
    if listed is None:
        return None
    nodes = _Nodes(listed, frames, tally)
    samples = found.get("samples")
    if not isinstance(samples, list):
        return "samples", nodes.by_hits(), 0.0
    deltas = found.get("timeDeltas")
    if not isinstance(deltas, list):
        deltas = _deltas(found)
    count = min(len(samples), len(deltas))
    tally.note(kinds.NO_PARTNER, max(len(samples), len(deltas)) - count, "the end")
    tree, idle = nodes.by_time(samples[:count], _durations(samples[:count], deltas[:count], tally))
    return "ms", tree, idle


def _listed(found: Mapping[str, Any]) -> list[Any] | None:
    """The nodes; old V8 versions nest them below ``head``."""
    if isinstance(found.get("nodes"), list):
        return list(found["nodes"])
    if not isinstance(found.get("head"), dict):
        return None
    listed, pending = [], [found["head"]]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            children = [c for c in node.get("children") or () if isinstance(c, dict)]
            pending += children
            listed.append({**node, "callFrame": node, "children": [c.get("id") for c in children]})
    return listed


def _deltas(found: Mapping[str, Any]) -> list[Any]:
    stamps = found.get("timestamps")
    if not isinstance(stamps, list):
        return []
    times = [t if isinstance(t, (int, float)) else 0 for t in stamps]
    return [0, *(b - a for a, b in zip(times, times[1:], strict=False))]


def _durations(samples: Sequence[Any], deltas: Sequence[Any], tally: Tally) -> Floats:
    """How long each sample lasts, in ms: to the time of the next sample of another node, which never runs back."""
    good = [type(d) in (int, float) and abs(d) < _profiles.MAX_WEIGHT for d in deltas]
    _profiles.flagged(tally, kinds.BAD_WEIGHT, "delta", ~np.array(good, dtype=bool))
    deltas = [d if fine else 0 for d, fine in zip(deltas, good, strict=True)]
    steps = np.array(deltas, dtype="float64")
    _profiles.flagged(tally, kinds.DELTA_NEGATIVE, "delta", steps < 0)
    times = np.cumsum(steps)
    # The time of a sample only counts where the node changes (and at the end), as in speedscope: a negative
    # delta within a run of equal samples is made up for by its neighbours.
    changes = np.ones(len(times), dtype=bool)
    changes[1:] = [a != b for a, b in zip(samples[1:], samples[:-1], strict=True)]
    if len(changes):
        changes[-1] = True
    seen = np.maximum.accumulate(times[changes])
    durations = np.zeros(len(times))
    durations[np.flatnonzero(changes)[:-1]] = np.diff(seen)
    return durations / 1e3


class _Nodes:
    """The nodes of the file by their position, parents resolved."""

    def __init__(self, listed: list[Any], frames: Frames, tally: Tally) -> None:
        self.tally, self.frames = tally, frames
        good = [
            n
            for n in listed
            if isinstance(n, dict) and type(n.get("id")) is int and isinstance(n.get("callFrame"), dict)
        ]
        tally.note(kinds.BAD_NODE, len(listed) - len(good), "the nodes")
        self.position: dict[int, int] = {}
        kept: list[dict[str, Any]] = []
        for node in good:
            if node["id"] in self.position:
                tally.note(kinds.BAD_NODE, 1, f"id {node['id']}")
            else:
                self.position[node["id"]] = len(kept)
                kept.append(node)
        self.names = [_profiles.name(n["callFrame"].get("functionName") or "(anonymous)", tally) for n in kept]
        self.code = [self._frame(n["callFrame"], name) for n, name in zip(kept, self.names, strict=True)]
        self.parent = self._parents(kept)
        self.hits = [n.get("hitCount") for n in kept]
        self._break_circles()
        self.glue = [str(n["callFrame"].get("url")).startswith(_GLUE) for n in kept]
        self._fold(self.glue)

    def _frame(self, frame: Mapping[str, Any], name: str) -> int:
        url, line = frame.get("url"), frame.get("lineNumber")
        first = _profiles.line_number(line + 1) if isinstance(line, int) and line >= 0 else None
        return self.frames.number(name, _profiles.name(url, self.tally) if url else None, first)

    def _parents(self, kept: list[dict[str, Any]]) -> list[int]:
        parent = [-1] * len(kept)
        for place, node in enumerate(kept):
            above = node.get("parent")
            if type(above) is int:
                parent[place] = self.position.get(above, -1)
            children = node.get("children")
            for child in children if isinstance(children, list) else ():
                if type(child) is int and child in self.position:
                    parent[self.position[child]] = place
        return parent

    def _fold(self, glue: list[bool]) -> None:
        """Give frames of V8's own glue to their callers, as DevTools and speedscope do."""
        if not any(glue):
            return
        nearest: list[int] = []
        for node in range(len(glue)):
            above = node
            while above >= 0 and glue[above]:
                above = self.parent[above]
            nearest.append(above)
        for node, above in enumerate(nearest):
            hits = self.hits[node]
            if above != node and above >= 0 and isinstance(hits, (int, float)):
                self.hits[above], self.hits[node] = hits + (self.hits[above] or 0), 0
        self.parent = [nearest[above] if above >= 0 else -1 for above in self.parent]
        self.position = {number: nearest[node] for number, node in self.position.items()}

    def _break_circles(self) -> None:
        """Nodes whose parents go in a circle lose their parents, so that following them ends."""
        state = [0] * len(self.parent)
        for start in range(len(state)):
            path, node = [], start
            while node >= 0 and state[node] == 0:
                state[node] = 1
                path.append(node)
                node = self.parent[node]
            if node >= 0 and state[node] == 1:
                self.tally.note(kinds.CIRCULAR, 1, f"node {node + 1}")
                self.parent[node] = -1
            for done in path:
                state[done] = 2

    def by_hits(self) -> Tree:
        """Without samples there are only counts of hits."""
        hits = _profiles.good_weights([0 if h is None else h for h in self.hits], self.tally, "hit count")
        keep = [name not in _IGNORED and not glue for name, glue in zip(self.names, self.glue, strict=True)]
        parent = np.array([self._kept_parent(i, keep) for i in range(len(keep))], dtype="int64")
        kept = np.array(keep, dtype=bool)
        self.tally.total += len(keep)
        self.tally.rows += int(kept.sum())
        self.tally.known += int((~kept).sum())
        number = np.cumsum(kept) - 1
        above = np.where(parent[kept] < 0, -1, number[parent[kept]])
        tree, lost = from_parents(above, np.array(self.code, dtype="int64")[kept], hits[kept])
        self.tally.note(kinds.TOO_DEEP, lost, "the deepest")
        return tree

    def _kept_parent(self, node: int, keep: list[bool]) -> int:
        above = self.parent[node]
        return above if above >= 0 and keep[above] else -1

    def by_time(self, samples: Sequence[Any], durations: Floats) -> tuple[Tree, float]:
        """The stacks of the samples; interruptions are on top of the stack before them."""
        parent: list[int] = []
        code: list[int] = []
        weights: list[float] = []
        children: dict[tuple[int, int], int] = {}
        of_node: dict[int, int] = {}
        source: list[int] = []

        def child(above: int, node: int) -> int:
            key = (above, node)
            if key not in children:
                children[key] = len(parent)
                parent.append(above)
                code.append(self.code[node])
                weights.append(0.0)
                source.append(node)
            return children[key]

        def of(node: int) -> int:
            """The stack of a node itself, without (root) and (idle)."""
            path_down = []
            while node >= 0 and node not in of_node and self.names[node] not in _IGNORED:
                path_down.append(node)
                node = self.parent[node]
            current = of_node.get(node, -1) if node >= 0 and self.names[node] not in _IGNORED else -1
            for step in reversed(path_down):
                current = of_node[step] = child(current, step)
            return current

        current, idle = -1, 0.0
        before = self.tally.total
        self.tally.total += len(samples)
        for number, (sample, duration) in enumerate(zip(samples, durations.tolist(), strict=True), start=1):
            node = self.position.get(sample, -1) if type(sample) is int else -1
            if node < 0:
                self.tally.skip(before + number, why="it names a node that is not there, so the sample before goes on")
            elif self.names[node] in _ON_TOP:
                current = self._on_top(current, node, parent, source, child)
            else:
                current = of(node)
            if current >= 0:
                weights[current] += duration
                self.tally.rows += node >= 0
            else:
                idle += duration
                self.tally.known += node >= 0
        tree, lost = from_parents(
            _profiles.integers(parent), _profiles.integers(code), np.array(weights, dtype="float64")
        )
        self.tally.note(kinds.TOO_DEEP, lost, "the deepest")
        return tree, idle

    def _on_top(self, current: int, node: int, parent: list[int], source: list[int], child: Any) -> int:
        """An interruption on the current stack; one that is there already goes on."""
        at = current
        while at >= 0 and self.names[source[at]] in _ON_TOP:
            if source[at] == node:
                return at
            at = parent[at]
        return int(child(current, node))
