"""What an access log holds of traffic, counted part by part so that the log need not fit into memory."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np
import numpy.typing as npt

from perflab import formats, provenance
from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import access_json, access_log
from perflab.formats._access import Entries
from perflab.formats._routes import Routes, keys_of, merged, path_of
from perflab.notes import Note

Floats = npt.NDArray[np.float64]

_EXAMPLES = 20
_MOST_CLIENT_ROWS = 200_000
"""Beyond so many entries, every second client is left out of the think times; and so on."""
_READERS = {"access_log": access_log, "access_json": access_json}
_PERSON = re.compile(r"[^\s@/?&=\"']+(?:@|%40)[\w.-]+\.[a-z]{2,}", re.IGNORECASE)
"""The address of a person."""
_OPAQUE = re.compile(r"(?=.*\d)(?=.*[a-z])(?=.*[A-Z])[\w.+/=~-]{16,}|(?=.*\d)[\da-f]{24,}|.{65,}", re.DOTALL)
"""A value that is a token."""
_PRIVATE = re.compile(
    r"code|ticket|nonce|hash|card|invit\w*|saml\w*|(?:.*[._-])?(?:e?mail|phone|tel|mobile|msisdn|iban|ssn)",
    re.IGNORECASE,
)
"""Names of values that let someone in, or tell who someone is."""
_KEYED = re.compile(r"/\w+:[\w-]{16,}(?:/|$)")


@dataclass
class Counted:
    """Counts of one or more logs."""

    requests: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    sizes: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0]))
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    seconds: Counter[int] = field(default_factory=Counter)
    examples: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    duration_ms: list[float] = field(default_factory=lambda: [0.0, 0.0])
    notes: list[Note] = field(default_factory=list)
    _clients: list[npt.NDArray[np.float64]] = field(default_factory=list)
    _share: int = 1
    _seed: np.random.Generator = field(default_factory=lambda: np.random.default_rng(24))

    def add(self, part: Entries, routes: Routes) -> None:
        """Count the entries whose time is known."""
        start = part.start_us / 1e6
        known = ~np.isnan(start)
        codes, names = part.endpoints(routes)
        codes = codes[known]
        if not len(codes):
            return
        start, status, ok = start[known], part.status[known], part.ok[known]
        size, duration = part.size_bytes[known], part.duration_ms[known]
        sized = ~np.isnan(size)
        for name, count, bad, held, of in zip(
            names,
            np.bincount(codes, minlength=len(names)).tolist(),
            np.bincount(codes, ~ok, minlength=len(names)).tolist(),
            np.bincount(codes[sized], size[sized], minlength=len(names)).tolist(),
            np.bincount(codes[sized], minlength=len(names)).tolist(),
            strict=True,
        ):
            self.requests[name] += count
            self.errors[name] += int(bad)
            total = self.sizes[name]
            total[0], total[1] = total[0] + held, total[1] + of
        pairs, counts = np.unique(codes * 1000 + np.clip(status, 0, 999), return_counts=True)
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
            self.statuses[names[pair // 1000], pair % 1000] += count
        whole, counts = np.unique(np.floor(start).astype("int64"), return_counts=True)
        self.seconds.update(dict(zip(whole.tolist(), counts.tolist(), strict=True)))
        self._sample(part, np.flatnonzero(known), codes, names)
        timed = ~np.isnan(duration)
        self.duration_ms[0] += float(duration[timed].sum())
        self.duration_ms[1] += float(timed.sum())
        self._follow(part.who[known], start, start + np.nan_to_num(duration) / 1e3)

    def _sample(
        self, part: Entries, rows: npt.NDArray[np.int64], codes: npt.NDArray[np.int64], names: list[str]
    ) -> None:
        """Keep a sample of the targets of each endpoint: those with the smallest of random numbers, whatever the parts are."""
        draws = self._seed.random(len(codes))
        order = np.lexsort([draws, codes])
        first = np.searchsorted(codes[order], np.arange(len(names)))
        place = np.arange(len(order)) - first[codes[order]]
        for row in order[place < _EXAMPLES].tolist():
            held = self.examples.setdefault(names[codes[row]], [])
            held.append((float(draws[row]), part.target[int(rows[row])].as_py()))
        for name in names:
            if len(held := self.examples.get(name, [])) > _EXAMPLES:
                self.examples[name] = sorted(held)[:_EXAMPLES]

    def _follow(self, who: npt.NDArray[np.uint64], start: Floats, end: Floats) -> None:
        # A client is 52 bits of a hash, which a float holds exactly.
        client = (who >> np.uint64(12)).astype("float64")
        rows = np.column_stack([client, start, end])
        self._clients.append(rows[client % self._share == 0])
        if sum(map(len, self._clients)) > _MOST_CLIENT_ROWS:
            self._share *= 2
            rows = np.concatenate(self._clients)
            self._clients = [rows[rows[:, 0] % self._share == 0]]

    def merge_routes(self) -> None:
        """Join the endpoints of segments that have many values."""
        by_route: Counter[str] = Counter()
        for name, count in self.requests.items():
            by_route[name.partition(" ")[2]] += count
        became = merged(by_route)
        if all(route == new for route, new in became.items()):
            return

        def new(name: str) -> str:
            verb, _, route = name.partition(" ")
            return f"{verb} {became[route]}"

        requests, errors, statuses = Counter[str](), Counter[str](), Counter[tuple[str, int]]()
        sizes: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        examples: dict[str, list[tuple[float, str]]] = {}
        for name, count in self.requests.items():
            requests[new(name)] += count
            errors[new(name)] += self.errors[name]
            total = sizes[new(name)]
            total[0], total[1] = total[0] + self.sizes[name][0], total[1] + self.sizes[name][1]
            examples[new(name)] = sorted(examples.get(new(name), []) + self.examples.get(name, []))[:_EXAMPLES]
        for (name, status), count in self.statuses.items():
            statuses[new(name), status] += count
        self.requests, self.errors, self.statuses, self.sizes, self.examples = (
            requests,
            errors,
            statuses,
            sizes,
            examples,
        )

    def pauses(self) -> tuple[Floats, int]:
        """Seconds between a response and the same client's next request, and the number of clients."""
        if not self._clients:
            return np.empty(0), 0
        rows = np.concatenate(self._clients)
        rows = rows[np.lexsort([rows[:, 1], rows[:, 0]])]
        same = rows[1:, 0] == rows[:-1, 0]
        gaps = (rows[1:, 1] - rows[:-1, 2])[same]
        return gaps, int(len(same) + 1 - np.count_nonzero(same)) * self._share


def counted(
    files: Iterable[Path], *, routes: Sequence[str] = (), timezone: object = None, unit: object = None
) -> Counted:
    """The counts of the logs; FormatError where one is no access log."""
    found, naming = Counted(), Routes(routes)
    for path in files:
        name = formats.of_file(path)
        if name not in _READERS:
            raise FormatError(f"{path}: expected an access log, found {name}")
        tally, notes = Tally(), list[Note]()
        for part in _READERS[name].entries(path, tally, notes, unit=unit, timezone=timezone):
            untimed = np.isnan(part.at_us)
            tally.rows += int(np.count_nonzero(~untimed))
            if untimed.any():
                tally.skip(int(part.lines[untimed][0]), int(np.count_nonzero(untimed)), "no time that can be read")
            found.add(part, naming)
        found.notes += [*tally.account().notes(path.name), *tally.notes(path.name), *notes]
    if not found.requests:
        raise FormatError("the access log holds no requests")
    found.merge_routes()
    return found


def harmless(target: str) -> str | None:
    """A target without secrets; None where its path holds one.

    >>> harmless("/orders?page=2&token=hunter2&q=caf\\u00e9"), harmless("/reset/password/a1b2c3d4e5")
    ('/orders?page=2&q=caf%C3%A9', None)
    """
    path = path_of(target)
    if not path.startswith("/") or provenance.hidden(path) != path or keys_of(path) or has_person(path):
        return None
    if _KEYED.search(path):
        return None
    query = target.partition("?")[2].partition("#")[0] if "?" in target else ""
    kept = [pair for pair in query.split("&") if pair and _is_harmless(pair)]
    text = f"{path}?{'&'.join(kept)}" if kept else path
    text = re.sub(r"\\x([0-9A-Fa-f]{2})", r"%\1", text)
    return re.sub(r"[^\x21-\x7e]|[\"\\]", lambda found: quote(found[0]), text)


def has_person(text: str) -> bool:
    """Whether a text holds the e-mail address of a person."""
    return bool(_PERSON.search(text))


def _is_harmless(pair: str) -> bool:
    key, _, held = pair.partition("=")
    name, value = re.sub(r"[\[\]]+", "_", unquote(key)).strip("_"), unquote(held)
    plain = f"?{name}={value}"
    return not (
        provenance.hidden(f"?{pair}") != f"?{pair}"
        or provenance.hidden(plain) != plain
        or _PRIVATE.fullmatch(name)
        or _OPAQUE.fullmatch(value)
        or has_person(value)
    )
