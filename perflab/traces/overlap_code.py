"""The fix for calls in a row, as code."""

from __future__ import annotations

import re
from collections.abc import Sequence

GATHER, TASK_GROUP, THREADS = STYLES = ("gather", "TaskGroup", "ThreadPoolExecutor")
_WORDS = re.compile(r"[A-Za-z_]\w*")
_NO_NAMES = frozenset(
    "get head options post put patch delete select from where http https com org net api www localhost as and or in id "  # noqa: SIM905
    "find request limit order by count sum max min distinct join left inner on null".split()
)


def names_of(labels: Sequence[str]) -> list[str]:
    """A variable for each call, by what it asks for.

    >>> names_of(["GET shop:80/price/{}", "GET shop:80/stock/{}", "select name from category"])
    ['price', 'stock', 'category']
    """
    found: list[str] = []
    for label in labels:
        path = label.partition(" ")[2].partition("/")[2] if "/" in label else ""
        table = re.search(r"\bfrom\W+(\w+)", label)
        words = [w for w in _WORDS.findall(path or (table[1] if table else label)) if w.lower() not in _NO_NAMES]
        name = re.sub(r"\W", "_", (words[-1] if words else "answer")).lower()[:24]
        found.append(name if name not in found else f"{name}_{len(found) + 1}")
    return found


def code_of(labels: Sequence[str], style: str, *, database: bool = False) -> str:
    """The calls made together, in one of `STYLES`.

    >>> print(code_of(["GET shop/price/{}", "GET shop/stock/{}"], "gather"))
    price, stock = await asyncio.gather(get_price(...), get_stock(...))
    """
    names = names_of(labels)
    connection = "  # each with a connection of its own" if database else ""
    if style == GATHER:
        calls = ", ".join(f"get_{name}(...)" for name in names)
        return f"{', '.join(names)} = await asyncio.gather({calls}){connection}"
    if style == TASK_GROUP:
        lines = [f"async with asyncio.TaskGroup() as group:{connection}"]
        lines += [f"    {name} = group.create_task(get_{name}(...))" for name in names]
        return "\n".join(lines)
    lines = [f"with ThreadPoolExecutor({len(names)}) as pool:{connection}  # or one pool for the application"]
    lines += [f"    {name} = pool.submit(get_{name}, ...)" for name in names]
    results = ", ".join(f"{name}.result()" for name in names)
    return "\n".join([*lines, f"{', '.join(names)} = {results}"])


def fix(labels: Sequence[str], *, loop: bool | None, database: bool) -> str:
    """For an application with an event loop (True), with threads (False), or one of which that is not known."""
    if loop is None:
        return code_of(labels, THREADS, database=database) + "\n# with asyncio:\n" + code_of(labels, GATHER)
    if loop:
        together = code_of(labels, TASK_GROUP, database=database)
        return (
            f"{together}\n# before Python 3.11, or where one may fail and the others count:\n{code_of(labels, GATHER)}"
        )
    return code_of(labels, THREADS, database=database)
