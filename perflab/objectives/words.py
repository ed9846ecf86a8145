"""The words of a requirement: a line cut into statistics, operators, limits, endpoints and the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 2_000
"""Longer lines are not requirements, and would cost a regular expression time."""

PLAIN = frozenset(
    re.findall(
        r"\S+",
        "a an the all any each every overall total our this that these its of for in on to at with from by as than per "
        "under over during while when until after up down and or is are be been was were has have had will shall should "
        "must may can need needs needed remain remains stay stays kept keep keeps hold holds not no never exceed "
        "exceeds go rise drop fall complete completes completed finish finished respond responds answered answer served "
        "serve return returned processed handle handles handled sustain sustains sustained support supports supported "
        "take takes taken reach reaches load loads normal typical peak expected steady heavy full production traffic "
        "conditions users user clients concurrent service services system api apis application app site website web "
        "backend server servers database cluster http https rest endpoint endpoints route routes request requests "
        "response responses call calls transaction transactions page pages latency latencies verify ensure check assert "
        "maintain achieve confirm expect aim then given show shows showing test tests time times duration durations "
        "performance rate ratio fraction percentage budget value values target targets goal goals objective objectives "
        "slo slos sla slas sli limit limits threshold thresholds requirement requirements required acceptable accepted "
        "allowed guaranteed guarantee desired ideal ideally maximum minimum max min least most usage utilization "
        "utilisation consumption use used rss process one single core cores disk file read write s slow slower we it "
        "they such so only also about around approximately roughly http_req_duration http_req_failed temps réponse de "
        "la le les millisecond second ",
    )
)
"""Words of a requirement without a meaning of their own."""

_VERBS = "GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS"
# "/s", "/min" and "and/or" are no paths.
ENDPOINT = re.compile(
    rf"\b(?P<verb>{_VERBS})\s+(?P<path>/[^\s`|,;)*]{{0,200}})"
    r"|(?<![\w/.}\])%])(?<!\d )(?P<bare>/(?!(?:s|sec|second|min|minute|h|hour)\b)[A-Za-z{:<\[][^\s`|,;)*]{0,200})"
    r"|(?<=\bof )(?P<root>/)(?=\s)"
)
_NUM = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
_TIME = r"µs|μs|us|ms|milliseconds?|msecs?|seconds?|secs?|s|minutes?|mins?|hours?|h"
_RATE = (
    r"rps|tps|qps"
    r"|(?:(?:requests?|reqs?|transactions?|queries)\s?)?(?:/\s?|per |an? )(?:seconds?|secs?|s|minutes?|mins?|hours?|h)"
)
_SIZE = r"(?:(?:[KMG]i?)?B|bytes?|kilobytes|megabytes|gigabytes)(?:\s?(?:/\s?|per )s(?:ec(?:ond)?)?)?"
_UNIT = rf"(?:{_RATE}|{_SIZE}|{_TIME}|%|percent|per cent|cores?|m)(?![\w])"
_ALL = r"(?:all|the|our|any|http|api)\s+"
_ASKED = r"(?:requests?|responses?|calls?|transactions?|traffic|queries|page (?:loads|views)|users|hits|time)"
_NOT = r"(?:not|never|no|n't|cannot)\s+(?:\w+\s+){0,2}?"
_EXCEEDS = (
    r"above|over|more than|longer than|slower than|greater than|higher than|larger than|worse than|exceed(?:s|ing)?"
)
_BELOW = r"below|under|less than|fewer than|lower than|faster than|quicker than|smaller than"

_KINDS = {
    "range": rf"\bbetween\s+{_NUM}\s?(?:{_UNIT})?\s+and\s+{_NUM}|(?:±|\+/-)\s?{_NUM}"
    rf"|(?<![\w-]){_NUM}\s?(?:{_UNIT})?\s?(?:–|-|to)\s?{_NUM}\s?(?:{_UNIT})",
    "share": rf"(?P<of>{_NUM})\s?(?:%|percent|per cent)(?:\s+of\s+(?:{_ALL}){{0,3}}{_ASKED}"
    rf"|(?=\s*(?:<=?|≤|within|under|below|in)\s*{_NUM}))",
    "odds": rf"\b(?P<one>\d+)\s+(?:in|per|out of)\s+(?P<out>{_NUM})\s+(?:of\s+)?{_ASKED}",
    "none": rf"\b(?:zero|no|0)\s+(?:failed {_ASKED}|failures|errors|{_ASKED}\s+(?:may |must |should |can )?fail)\b",
    "quantile": r"\bt?p\s?\(?(?P<q>\d{1,2}(?:\.\d{1,4})?)\)?(?![\w.]*\d)"
    r"|\b(?P<nth>\d{1,2}(?:\.\d{1,4})?)(?:st|nd|rd|th)?[ -]?(?:percentile|%-?ile|pctl)\b",
    "ordinal": r"\b(?P<ord>\d{1,2}(?:\.\d{1,4})?)(?:st|nd|rd|th)\b",
    "median": r"\bmedian\b",
    "mean": r"\b(?:mean|average|avg)\b",
    "every": rf"\bno (?:single )?{_ASKED}(?=\s+(?:\w+\s+){{0,2}}?(?:{_EXCEEDS}))",
    "max": r"\b(?:max(?:imum)?|slowest|longest|worst[ -]case)\s(?=latency|response|request|duration|time)"
    r"|\bmax(?:imum)?(?=\s*(?:<|≤|=|:))",
    "success": r"\b(?:success(?:ful)?[ -]?(?:rate|ratio|fraction)|success(?=\s*(?:<|>|≥|=|:))|availability|uptime)\b",
    "errors": r"\b(?:(?:error|failure|failed)[ -]?(?:requests?[ -]?)?(?:rate|ratio|fraction|share|budget)"
    r"|errors|failed requests)\b",
    "throughput": r"\b(?:throughput|requests? (?:per|a|/) ?s(?:econd)?|requests/s(?:ec)?|rps|req/s)\b",
    "cpu": r"\bcpu\b",
    "memory": r"\b(?:memory|rss|ram)\b",
    "io": r"\b(?:disk |file )?i/?o\b",
    "size": r"\b(?:response|payload|body|page|transfer)\s(?:size|weight)\b|\bpayload\b",
    "vital": r"\b(?:lcp|cls|inp|fcp|ttfb|tbt|largest contentful paint|cumulative layout shift|interaction to next paint"
    r"|first contentful paint|time to first byte|total blocking time)\b",
    "retired": r"\b(?:fid|first input delay)\b",
    "foreign": r"\b(?:tti|time to interactive|speed index|(?:lighthouse|performance) score|lighthouse)\b",
    "quantity": r"\b(?:latency|latencies|(?:response|load|start(?:-?up)?|boot|build) times?|durations?"
    r"|quer(?:y|ies) per request)\b",
    "limit": rf"(?P<plus>(?:sub|under)-)?(?<![\w.])(?P<numbers>{_NUM}(?:\s?/\s?{_NUM}){{0,4}})"
    rf"(?P<kilo>k)?(?P<more>\s?\+)?\s?(?P<unit>{_UNIT})?(?![\w/])",
    "less": rf"\b(?:{_BELOW}|within|at most|no more than|not more than|no longer than|up to"
    rf"|max(?:imum)?(?: of)?|{_NOT}(?:{_EXCEEDS}))\b",
    "more": rf"\b(?:at least|min(?:imum)?(?: of)?|{_NOT}(?:{_BELOW})|{_EXCEEDS})\b",
    "orless": r"\bor (?:less|better|faster|below|fewer|lower|under)\b|\b(?:max(?:imum)?|at most|tops)\b(?=\W*$)",
    "ormore": r"\bor (?:more|higher|above|greater)\b|\b(?:min(?:imum)?|at least)\b(?=\W*$)",
    "symbol": r"<=|>=|=<|=>|==|!=|≤|≥|<|>",
    "fail": r"\b(?:fail(?:s|ed|ing)?|error(?:s|ed)?|(?:return|answer(?:ed)?|get)s?\s+(?:with\s+)?(?:an?\s+)?(?:error|[45]xx))\b",
    "succeed": r"\b(?:succeed(?:s|ed)?|(?:are|be|is) successful|return(?:s|ed)? 2(?:xx|00))\b",
    "is": r"[:=~]",
    "slash": r"/",
    "end": r";|,(?!\d{3}\b)|\band\b|\bbut\b|\.(?=\s|$)",
    "word": r"[^\W\d_][\w'’-]*",
}  # fmt: skip
_TOKEN = re.compile(
    "|".join([f"(?P<endpoint>{ENDPOINT.pattern})", *(f"(?P<k_{kind}>{text})" for kind, text in _KINDS.items())]),
    re.IGNORECASE,
)
UNDER_LOAD = re.compile(
    r"(?:@|\b(?:at|for|with|under))\s*(?:a load of\s+)?\d[\d,.]*\s?(?:\w+\s)?"
    r"(?:users|clients|VUs|rps|req|requests|connections|/s)[\w/ ]{0,20}",
    re.IGNORECASE,
)
_OF_LOAD = re.compile(
    r"(?P<number>\d[\d,.]*).*?(?:(?P<users>users|clients|VUs)|(?P<rate>rps|req|requests|/s))", re.IGNORECASE
)
_MARKUP = (r"~~.*?~~", " "), (r"\[[ xX]\]", " "), (r"!?\[([^\]]*)\]\([^)]*\)", r"\1")


@dataclass(frozen=True)
class Token:
    """One word of a line; ``found`` is its match."""

    kind: str
    text: str
    found: re.Match[str]


def cleaned(text: str) -> str:
    """A line without Markdown: emphasis, code marks, links, check boxes, what is struck out, quotation marks of a block."""
    line = text[:LONGEST]
    for pattern, put in _MARKUP:
        line = re.sub(pattern, put, line)
    return re.sub(r"^[\s>]+|\*{1,3}(?=\S)|(?<=\S)\*{1,3}|(?<!\w)_{1,3}(?=\S)|(?<=\S)_{1,3}(?!\w)|`", "", line)


def load_in(text: str) -> str:
    """The load that a requirement is about, "100 users" or "50/s"; "" where it names none, or in other words.

    >>> load_in("p95 < 200 ms at 1,000 concurrent users"), load_in("p95 < 200 ms @ 50 req/s"), load_in("under load")
    ('1000 users', '50/s', '')
    """
    found = UNDER_LOAD.search(cleaned(text))
    part = _OF_LOAD.search(found[0]) if found else None
    if not part:
        return ""
    number = part["number"].rstrip(".,").replace(",", "")
    if not re.fullmatch(r"\d+(?:\.\d+)?", number):
        return ""
    return f"{number} users" if part["users"] else f"{number}/s"


def tokens(line: str) -> Iterator[Token]:
    """The tokens of a cleaned line."""
    for found in _TOKEN.finditer(line):
        groups = found.groupdict()
        kind = next((k for k in _KINDS if groups[f"k_{k}"] is not None), "endpoint")
        yield Token(kind, found[0], found)


def endpoint_in(text: str) -> str:
    """The first endpoint that a text names, "" when it names none.

    >>> endpoint_in("### `GET /orders/{id}`"), endpoint_in("100 requests/s")
    ('GET /orders/{id}', '')
    """
    found = ENDPOINT.search(text[:LONGEST])
    if not found or found["root"]:
        return "/" if found or text == "/" else ""
    path = (found["path"] or found["bare"]).rstrip(".:?!>\"'" if "<" not in found[0] else ".:?!\"'")
    return f"{found['verb']} {path}" if found["verb"] else path
