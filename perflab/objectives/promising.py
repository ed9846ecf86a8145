"""What in a line looks like a requirement, and what of a requirement's line no requirement took."""

from __future__ import annotations

import re
from collections.abc import Collection

from perflab.metrics import Metric, canonical
from perflab.objectives.words import PLAIN, RESOURCES, STATISTICS, Token, cleaned, spelled_out, tokens

_NAMED = {"median": "p50", "mean": "mean", "every": "max", "max": "max", "success": "error_fraction",
          "errors": "error_fraction", "throughput": "throughput_per_s"} | RESOURCES  # fmt: skip
_NAMES = (*STATISTICS, *RESOURCES)
_COMPARED = re.compile(r"\b(?:than|baseline|main|master|previous(?:ly)?|today|now|current(?:ly)?)$", re.IGNORECASE)
_OF_HEADINGS = re.compile(
    r"current|initial|proposed|new|main|global|default|baselines?|additional|other|resources?|hardware|infrastructure|"
    r"environments?|scope|notes|mvp|phase"
)
_TIME = re.compile(r"µs|μs|us|ms|milli\w+|msecs?|s|secs?|seconds?|m|min\w*|h|hours?", re.IGNORECASE)
_WINDOW = re.compile(
    r"\b(?:for|during|every|last|over|across|after|rolling|first|per)\s+(?:(?:any|a|the|all|at least|each|last)\s+){0,2}$",
    re.IGNORECASE,
)
_OF_WINDOW = re.compile(r"[- ]?(?:rolling|sliding|windows?|intervals?|periods?|test|run|soak|of load)\b", re.IGNORECASE)


def metric_in(text: str) -> tuple[str, str] | None:
    """The metric that a heading names and the words that a limit of it is read after: "p95 (ms)" gives ("p95", "p95").

    A limit of "Availability" is a lower one, so those words stay.
    """
    named = (t for t in tokens(cleaned(text)) if t.kind in (*STATISTICS, *RESOURCES) and t.kind != "ordinal")
    if (found := next(named, None)) is None:
        return None
    metric = Metric.of(metric_of(found))
    words = f"{metric.label} latency" if metric.is_maximum else metric.label
    return metric.name, "availability" if found.kind == "success" else words


def metric_of(token: Token) -> str:
    """The name of a statistic."""
    if token.kind == "share":
        return token.text
    if token.kind in ("quantile", "ordinal"):
        found = token.found
        return f"p{float(found['q'] or found['nth'] or found['ord']):g}"
    return canonical(token.text) if token.kind == "vital" else _NAMED[token.kind]


def promises(text: str) -> bool:
    """Whether a line looks like a performance requirement: it names a metric and holds a number."""
    found = list(tokens(cleaned(text)))
    kinds = [t.kind for t in found]
    units = any(t.kind == "limit" and t.found["unit"] for t in found)
    # "Average order value: 50" is a requirement of something else.
    weak = ("ordinal",) if units else ("ordinal", "mean", "max")
    about = any(k in (*STATISTICS, "none") and k not in weak for k in kinds)
    bound = any(k in ("less", "more", "symbol", "limit") for k in kinds)
    measured = any(k in ("quantity", "retired", "foreign", *RESOURCES) for k in kinds)
    return "limit" in kinds and (about or (measured and any(k in ("less", "more", "symbol") for k in kinds) and bound))


def bounds(text: str) -> bool:
    """Whether a text names a statistic and an operator ("p95 at most twice the baseline")."""
    kinds = {t.kind for t in tokens(cleaned(text))}
    return bool(kinds & set(STATISTICS) - {"ordinal"}) and bool(kinds & {"less", "more", "symbol"})


def limit_in(text: str) -> bool:
    """Whether a text holds an operator and a limit with its unit ("under 2 s")."""
    seen = ""
    for token in tokens(cleaned(text)):
        if token.kind == "limit" and token.found["unit"] and seen in ("less", "more", "symbol"):
            return True
        seen = token.kind if token.kind != "word" else seen
    return False


def statistic_in(text: str) -> str:
    """The words of a heading or an item that name a statistic or a resource, "" where there are none, or several."""
    found = [t for t in tokens(spelled_out(cleaned(text))) if t.kind in _NAMES and t.kind != "ordinal"]
    return found[0].text.strip() if len(found) == 1 else ""


def completed(text: str, statistic: str) -> str:
    """A limit that names no statistic, with the one of its heading: "GET /orders: < 200 ms" below "Latency (p95)"."""
    found = list(tokens(spelled_out(cleaned(text))))
    kinds = {t.kind for t in found}
    own = kinds & {*_NAMES, "share", "odds", "none", "fail", "succeed", "retired", "foreign"}
    limits = any(t.kind == "limit" and (t.found["unit"] or "endpoint" in kinds) for t in found)
    return f"{statistic} {text}" if statistic and limits and not own else text


def unknown(text: str, *, most: int) -> bool:
    """Whether a short heading or item names something other than everything ("Checkout")."""
    words = [t.text.lower() for t in tokens(spelled_out(cleaned(text))) if t.kind == "word"]
    return 0 < len(words) <= most and not all(word in PLAIN or _OF_HEADINGS.fullmatch(word) for word in words)


def unfinished(text: str) -> bool:
    """Whether a line that holds no requirement holds a part of one, which the next line may end."""
    return any(t.kind in ("limit", "endpoint", "share", "odds", *_NAMES) for t in tokens(cleaned(text)))


def of_an_endpoint(text: str) -> bool:
    """Whether a line limits the time of an endpoint without a statistic: "GET /orders < 200 ms"."""
    found = list(tokens(spelled_out(cleaned(text))))
    times = [t for t in found if t.kind == "limit" and _TIME.fullmatch(t.found["unit"] or "") and not is_window(t)]
    return bool(times) and {"endpoint"} < {t.kind for t in found if t.kind in ("endpoint", "less", "symbol")}


def bounded(text: str) -> bool:
    """Whether a text holds a sign and a number behind it: ">= 10"."""
    kinds = [t.kind for t in tokens(cleaned(text))]
    return any(pair == ("symbol", "limit") for pair in zip(kinds, kinds[1:], strict=False))


def caps(text: str) -> bool:
    """Whether a line is about what clients may do ("Rate limit: 100 requests/minute")."""
    return any(t.kind == "cap" for t in tokens(cleaned(text)))


def needs_statistic(heading: str) -> bool:
    """Whether a heading names a quantity ("Latency") without a statistic."""
    kinds = {t.kind for t in tokens(cleaned(heading))}
    return "quantity" in kinds and not kinds & set(_NAMES)


def measured(text: str, *, item: bool) -> bool:
    """Whether a line below a heading about performance holds what may be a limit, in whatever words.

    That is a time, a rate or a share in a list item, and in other text a time next to a share or a percentile.
    """
    found = list(tokens(spelled_out(cleaned(text))))
    units = [t.found["unit"] or "" for t in found if t.kind in ("limit", "stray") and not is_window(t)]
    times = [unit for unit in units if _TIME.fullmatch(unit)]
    shares = "%" in units or any(t.kind in ("share", "quantile", "ordinal") for t in found)
    rates = any(re.search(r"/|per |ps$", unit) for unit in units)
    other = re.search(
        r"[^\x00-\x7f\W]\d[\d.,]*\s?(?:ms|s|%)(?![a-z\d])|\d\D{0,20}(?:/|per )\s?(?:s|sec|second|min|minute)\b", text
    )
    return (
        bool(times and shares)
        or (item and bool(other))
        or (item and bool(times or rates or "%" in units or any(t.kind == "share" for t in found)))
    )


def missing(words: list[Token]) -> str:
    """Why a line without a requirement looks like one, "" where it does not."""
    kinds = {t.kind for t in words}
    limits = "limit" in kinds or "range" in kinds
    if "retired" in kinds and limits:
        return "FID was retired in favour of INP in March 2024: state an objective for INP"
    if "foreign" in kinds and limits:
        return "not a metric of run_pages: use LCP, INP, CLS, FCP, TTFB or TBT"
    if "quantity" in kinds and limits and kinds & {"less", "more", "symbol"} and not kinds & set(STATISTICS):
        return 'expected a statistic, like "p95 < 100 ms": a mean, a median and a p95 are different requirements'
    return ""


def compared(part: list[Token], limit: Token) -> bool:
    """Whether a limit is one on a difference: "20 ms slower than main", "10 ms above the baseline"."""
    behind = part[part.index(limit) + 1 :]
    ends = next((i for i, t in enumerate(behind) if t.kind == "limit"), len(behind))
    return any(_COMPARED.search(t.text) for t in behind[:ends])


def left_over(words: list[Token], used: Collection[Token]) -> str:
    """Why a line is not understood that has a number no requirement took; "" where each is taken or is no limit.

    No limit is a number without a unit (unless an operator is before it), and the time over which something is measured.
    """
    for place, token in enumerate(words):
        if token in used or token.kind not in ("limit", "share", "odds", "range", "stray"):
            continue
        if token.kind == "limit" and not token.found["unit"] and not (place and words[place - 1].kind == "symbol"):
            continue
        if not is_window(token):
            return f"{token.text.strip()!r} belongs to no metric"
    return ""


def is_window(token: Token) -> bool:
    """Whether a time is the one over which something is measured: "over 5 minutes", "in a 30 s window"."""
    if token.kind not in ("limit", "range") or not re.search(
        r"(?:\bs|sec\w*|m|min\w*|h|hours?|\ds)\s*$", token.text, re.IGNORECASE
    ):
        return False
    if re.search(r"(?:ms|msecs?|milli\w*)\s*$", token.text, re.IGNORECASE):
        return False
    text = token.found.string
    return bool(_WINDOW.search(text[: token.found.start()]) or _OF_WINDOW.match(text[token.found.end() :]))
