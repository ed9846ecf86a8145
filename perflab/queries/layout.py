"""A statement laid out for people: one clause to a line."""

from __future__ import annotations

from itertools import islice

from perflab.queries.tokens import tokens

_MOST_CHARACTERS, _MOST_TOKENS, _WIDTH = 8_000, 1_500, 100


def laid_out(sql: str, indent: str = "") -> str:
    """The statement with a line for each clause; unchanged where it is too long, or sqlparse refuses it.

    sqlparse's grouping is quadratic in some inputs, so its input is bounded in length and in tokens.

    >>> print(laid_out("select id from book where author_id = ?"))
    select id
    from book
    where author_id = ?
    """
    text = sql
    if len(sql) <= _MOST_CHARACTERS and len(list(islice(tokens(sql), _MOST_TOKENS + 1))) <= _MOST_TOKENS:
        import sqlparse
        from sqlparse.exceptions import SQLParseError

        try:
            text = sqlparse.format(sql, reindent=True, wrap_after=_WIDTH).strip() or sql
        except (SQLParseError, RecursionError):
            text = sql
    return "\n".join(f"{indent}{line}" for line in text.splitlines()) if indent else text
