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
        "unit": (r"/\*[^*]*?\brequest_?id[=:]'?([\w.:+=@-]{4,128}?)(?='|,|\s|\*/)",),
    }
)
_ROUTES = (
    r"/\*[^*]*?\broute='([^'*]{1,200})'",
    r"/\*[^*]*?\bcontroller[=:]'?(\w[\w/%.]{0,99})'?,(?:[^*]*?,)?action[=:]'?\w",
)
_ACTION = r"\baction[=:]'?(\w{1,99})"


def ids(sql: pd.Series[str], column: str) -> pd.Series[str] | None:
    """The trace or request ids in the comments (of a Series with a unique index); None where no statement has one."""
    return _found(sql, _IDS[column][0])


def routes(sql: pd.Series[str]) -> pd.Series[str] | None:
    """The routes, or ``controller#action``, in the comments; None where no statement has one."""
    found = _found(sql, _ROUTES[0])
    if found is None:
        controllers = _found(sql, _ROUTES[1])
        found = None if controllers is None else controllers + "#" + sql.str.extract(_ACTION, expand=False).fillna("")
    return None if found is None else found.map(unquote, na_action="ignore")


def _found(sql: pd.Series[str], pattern: str) -> pd.Series[str] | None:
    commented = sql[sql.str.contains("/*", regex=False).fillna(False).astype(bool)]
    if commented.empty:
        return None
    values = commented.str.extract(pattern, expand=False)
    return None if values.isna().all() else values.reindex(sql.index)
