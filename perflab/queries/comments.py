"""What an application writes into a comment of its SQL: trace and request ids, and the route.

sqlcommenter (https://google.github.io/sqlcommenter/spec/): ``/*route='%2Forders',traceparent='00-<32 hex>-<16 hex>-01'*/``;
Rails' marginalia and query logs: ``/*application:Shop,controller:orders,action:index,request_id:1f3a*/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import unquote

import pandas as pd

_IDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "trace": (r"traceparent='[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}'",),
        "span": (r"traceparent='[0-9a-f]{2}-[0-9a-f]{32}-([0-9a-f]{16})-[0-9a-f]{2}'",),
        "unit": (r"/\*[^*]*?\brequest_?id[=:]'?([\w.:+=@-]{4,128}?)(?='|,|\s|\*/)",),
    }
)
_ROUTES = (
    r"/\*[^*]*?\broute='([^'*]{1,200})'",
    r"/\*[^*]*?\bcontroller[=:]'?(\w[\w/%.]{0,99})'?,(?:[^*]*?,)?action[=:]'?\w",
)
_END = 1000
"""Characters at each end of a statement that are searched: that is where such comments stand."""
_ACTION = r"\baction[=:]'?(\w{1,99})"


def ids(sql: pd.Series[str], column: str) -> pd.Series[str] | None:
    """The trace or request ids in the comments (of a Series with a unique index); None where no statement has one."""
    found = _found(sql, _IDS[column][0])
    if found is None or column != "trace" or (spans := _found(sql, _IDS["span"][0])) is None:
        return found
    return requests(found, spans, routes(sql), sql)


_VALUES = r"/\*.*?\*/|'(?:[^']|'')*'|\b\d[\w.]*"


def requests(
    trace: pd.Series[str], span: pd.Series[str], route: pd.Series[str] | None, sql: pd.Series[str]
) -> pd.Series[str]:
    """The request of each statement: its trace, or the part of it where several requests share a trace.

    A page that calls an API twelve times is one trace. Its requests have different routes, or each has a span with
    several statements of which one (who is asking?) is in every span. A span for each statement, or for each pass of a
    loop, is no request.
    """
    table = pd.DataFrame({"trace": trace, "span": span, "route": route}, index=sql.index)
    spans = table.groupby("trace")["span"].transform("nunique")
    table = table[spans > 1]
    if table.empty:
        return trace
    kind = sql[table.index].str.replace(_VALUES, "?", regex=True).str.split().str.join(" ")
    table = table.assign(kind=pd.factorize(kind)[0], route=table["route"].fillna(""))
    of_trace = table.groupby("trace")
    several = (of_trace["route"].transform("nunique") > 1) & (table["route"] != "")
    key = [table["trace"], table["route"]]
    in_route = table.groupby(key)["span"].transform("nunique")
    everywhere = table.groupby([*key, table["kind"]])["span"].transform("nunique") == in_route
    common = everywhere.groupby(key).transform("any")
    size = table.groupby([*key, table["span"]])["span"].transform("size")
    by_span = common & (size.groupby(key).transform("median") >= 2) & ((in_route > 1) | several)
    found = table["trace"].where(~several, table["trace"] + " " + table["route"])
    return trace.where(~trace.index.isin(table.index), found.where(~by_span, table["trace"] + "-" + table["span"]))


def routes(sql: pd.Series[str]) -> pd.Series[str] | None:
    """The routes, or ``controller#action``, in the comments; None where no statement has one."""
    found = _found(sql, _ROUTES[0])
    if found is None:
        controllers = _found(sql, _ROUTES[1])
        actions = _found(sql, _ACTION)
        found = None if controllers is None or actions is None else controllers + "#" + actions.fillna("")
    return None if found is None else found.map(unquote, na_action="ignore")


def _found(sql: pd.Series[str], pattern: str) -> pd.Series[str] | None:
    commented = sql[sql.str.contains("/*", regex=False).fillna(False).astype(bool)]
    if commented.empty:
        return None
    ends = commented.str.slice(0, _END) + " " + commented.str.slice(-_END)  # bounded, whatever lies between
    values = ends.str.extract(pattern, expand=False)
    return None if values.isna().all() else values.reindex(sql.index)
