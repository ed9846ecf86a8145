"""The words of a requirement: a line cut into statistics, operators, limits, endpoints and the rest."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 2_000
"""Longer lines are not requirements, and would cost a regular expression time."""

STATISTICS = ("quantile", "ordinal", "median", "mean", "every", "max", "success", "errors", "throughput", "vital")
RESOURCES = {"cpu": "cpu_cores", "memory": "rss_bytes", "io": "io_bytes_per_s", "size": "size_bytes"}
"""Kinds of tokens that name what is measured."""

PLAIN = frozenset(
    re.findall(
        r"\S+",
        "a an the all any each every overall total our this that these its of for in on to at with from by as than per "
        "under over during while when until after up down and or is are be has have will shall should "
        "must may can need needs needed remain remains stay stays kept keep keeps hold holds not no never exceed "
        "exceeds go rise drop fall complete completes completed finish finished respond responds answered answer served "
        "serve return returned processed handle handles handled sustain sustains sustained support supports supported "
        "take takes taken reach reaches load loads normal typical peak expected steady heavy full production traffic "
        "conditions users user clients concurrent service services system api apis application app site website web "
        "backend server servers frontend http https rest endpoint endpoints route routes request requests "
        "response responses call calls transaction transactions page pages latency latencies verify ensure check assert "
        "maintain achieve confirm expect aim then given show shows showing test tests time times duration durations "
        "performance rate ratio fraction percentage budget value values target targets goal goals objective objectives "
        "slo slos sla slas sli limit limits threshold thresholds requirement requirements required acceptable accepted "
        "allowed guaranteed guarantee desired ideal ideally maximum minimum max min least most usage utilization "
        "utilisation consumption use used rss process one single core cores disk file s slow slower we it "
        "they such so only also but answers returns responds serves finishes low high medium general overview details "
        "summary constraints about around approximately roughly http_req_duration http_req_failed temps réponse "
        "de des du la le les millisecond second defined well always strictly consistently typically usually "
        "across tail end-to-end round-trip processing percentile percentiles acceptance criteria criterion kpi kpis metric "
        "metrics non-functional functional nfr nfrs quality scalability reliability efficiency availability key indicator "
        "indicators respectively antwortzeit antwortzeiten latenz ",
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
_GROUP = "['’_\u00a0\u2009\u202f]"
_NUM = rf"(?:\d{{1,3}}(?:(?:{_GROUP}| )\d{{3}})+(?![\d/])(?:[.,]\d+)?|\d+(?:[.,]\d+)*|\.\d+)"
_TIME = r"µs|μs|us|ms|milliseconds?|msecs?|seconds?|secs?|s|minutes?|mins?|hours?|h"
_RATE = (
    r"rps|tps|qps"
    r"|(?:(?:requests?|reqs?|transactions?|queries)\s?)?(?:/\s?|per |an? )(?:seconds?|secs?|s|minutes?|mins?|hours?|h|days?|d)"
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
    "none": rf"\b(?:zero|no|0)\s+(?:failed {_ASKED}|failures|errors|{_ASKED}\s+(?:may |must |should |can )?fail"
    r"|(?:5xx|server|http) (?:errors|responses))\b"
    r"|\berrors?\s?[:=]\s?(?:none|zero|0(?![\d.,]))(?!\w)",
    "quantile": r"\bt?p\s?\(?(?P<q>\d{1,2}(?:\.\d{1,4})?)\)?(?![\w.]*\d)"
    r"|\b(?P<nth>\d{1,2}(?:\.\d{1,4})?)(?:st|nd|rd|th)?[ -]?(?:percentile|%-?ile|pctl)\b",
    "ordinal": r"\b(?P<ord>\d{1,2}(?:\.\d{1,4})?)(?:st|nd|rd|th)\b",
    "median": r"\bmedian\b",
    "mean": r"\b(?:mean|average|avg)\b",
    "every": rf"\bno (?:single )?{_ASKED}(?=\s+(?:\w+\s+){{0,2}}?(?:{_EXCEEDS}))",
    "max": r"\b(?:max(?:imum)?|slowest|longest|worst[ -]case)\s(?=latency|response|request|duration|time)"
    r"(?!\w+ (?:size|length|body|count|number)|time ?outs?)"
    r"|\bmax(?:imum)?(?=\s*(?:<|≤|=|:))",
    "success": r"\b(?:success(?:ful)?[ -]?(?:rate|ratio|fraction)|success(?=\s*(?:<|>|≥|=|:))|availability|uptime)\b",
    "errors": r"\b(?:(?:error|failure|failed)[ -]?(?:requests?[ -]?)?(?:rate|ratio|fraction|share|budget)"
    r"|errors|failed requests)\b",
    "throughput": r"\b(?:throughput|requests? (?:per|a|/) ?s(?:econd)?|requests/s(?:ec)?|rps|tps|qps|req/s)\b",
    "cpu": r"\bcpu\b",
    "memory": r"\b(?:memory|rss|ram)\b",
    "io": r"\b(?:disk |file )?i/?o\b",
    "size": r"\b(?:response|payload|body|transfer)\s(?:size|weight)\b|\bpayload\b",
    "vital": r"\b(?:lcp|cls|inp|fcp|ttfb|tbt|largest contentful paint|cumulative layout shift|interaction to next paint"
    r"|first contentful paint|time to first byte|total blocking time)\b",
    "retired": r"\b(?:fid|first input delay)\b",
    "foreign": r"\b(?:tti|time to interactive|speed index|(?:lighthouse|performance) score|lighthouse|apdex"
    r"|(?:page|bundle|image) weight|bundle size)\b",
    "quantity": r"\b(?:latency|latencies|(?:response|load|start(?:-?up)?|boot|build) times?|durations?"
    r"|quer(?:y|ies) per request)\b",
    "limit": rf"(?P<plus>(?:sub|under)-)?(?<![\w.])(?P<numbers>{_NUM}(?:\s?/\s?{_NUM}){{0,4}})"
    rf"(?P<kilo>k|m(?=\s(?:requests|transactions|queries)))?(?P<more>\s?\+)?\s?(?P<unit>{_UNIT})?(?!\w|/(?!\s?t?p\d))",
    "unit": rf"\(\s*(?:in\s+)?(?P<own>{_UNIT})\s*\)|\bin (?P<spelled>{_TIME})\b(?=\W)|(?<=\d)_(?P<suffix>{_TIME})\b",
    "except": r"\b(?:except(?:ing)?|exclud(?:es?|ed|ing)|other than|apart from|aside from|but not|not including|unless"
    r"|außer|sauf)\b",
    "cap": r"\brate[ -]limit\w*|\bthrottl\w+|\bquotas?\b",
    "apiece": r"\bper (?:node|instance|pod|replica|client|user|ip|core|host|worker|customer|tenant|session|connection)\b",
    "less": rf"\b(?:{_BELOW}|within|at most|no more than|not more than|no longer than|up to"
    rf"|max(?:imum)?(?: of)?|{_NOT}(?:{_EXCEEDS}))\b",
    "more": rf"\b(?:at least|min(?:imum)?(?: of)?|{_NOT}(?:{_BELOW})|{_EXCEEDS})\b",
    "orless": r"\bor (?:less|better|faster|below|fewer|lower|under)\b|\b(?:max(?:imum)?|at most|tops)\b(?=\W*$)",
    "ormore": r"\bor (?:more|higher|above|greater)\b|\b(?:min(?:imum)?|at least)\b(?=\W*$)",
    "symbol": r"<=|>=|=<|=>|==|!=|≤|≥|<|>",
    "fail": r"\b(?:fail(?:s|ed|ing)?|error(?:s|ed)?|(?:return|answer(?:ed)?|get)s?\s+(?:with\s+)?(?:an?\s+)?(?:error|[45]xx))\b",
    "succeed": r"\b(?:succeed(?:s|ed)?|successfully|(?:are|be|is) successful|return(?:s|ed)? 2(?:xx|00))\b",
    "is": r"[:=~]",
    "slash": r"/",
    "end": r";|,(?!\d{3}\b)|\band\b|\bbut\b|\.(?=\s|$)",
    "word": r"[^\W\d_][\w'’-]*",
    "stray": rf"(?<!\w)\d[\d.,]*\s?(?P<lost>{_UNIT})|[*×]\s?\d",
}  # fmt: skip
_TOKEN = re.compile(
    "|".join([f"(?P<endpoint>{ENDPOINT.pattern})", *(f"(?P<k_{kind}>{text})" for kind, text in _KINDS.items())]),
    re.IGNORECASE,
)
UNDER_LOAD = re.compile(
    r"(?:@|\b(?:at|for|with|under))\s*(?:up to\s+)?(?:(?:\w+\s){0,2}?load of\s+(?:up to\s+)?)?\d[\d,.]*\s?(?:\w+\s)?"
    r"(?:users|clients|VUs|rps|req|requests|connections|/s)(?:\s?(?:/|per\s|an?\s)\s?\w+)?"
    r"|(?<![\w.,-])\d[\d,.]*\s?k?\s(?:\w+\s)?(?:users|clients|VUs)\b",
    re.IGNORECASE,
)
_OF_LOAD = re.compile(
    r"(?P<number>\d[\d,.]*)\s?(?P<kilo>k\b)?.*?(?:(?P<users>users|clients|VUs)|(?P<rate>rps|req|requests|/s))",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    r"\((?:currently|today|now|was|baseline|measured|actual|previously|before|up from|down from)\b[^()]*\)",
    re.IGNORECASE,
)
"""What a line says of the past in brackets."""
_OR_EQUAL = tuple(
    (re.compile(rf"\b(?:{word}) (?:than )?or equal(?: to)?\b|\bequal to or (?:{word}) than\b", re.IGNORECASE), put)
    for word, put in (("less|lower|fewer|smaller", "at most"), ("greater|more|higher|larger", "at least"))
)
_CLOCK = re.compile(r"\b\d{1,2}:\d{2}\b(?:\s?[-–]\s?\d{1,2}:\d{2}\b)?")
_SIGNS = str.maketrans({"＜": "<", "＞": ">", "≦": "≤", "≧": "≥", "⩽": "≤", "⩾": "≥", "％": "%"}
                       | {chr(0x2080 + i): str(i) for i in range(10)})  # fmt: skip
_ID = re.compile(r"^\W*(?!T?P-)[A-Z]{1,10}(?:-[A-Z]{1,10})*-\d+(?:\.\d+)*(?=\W)")
_VERB_LIST = re.compile(
    rf"\b((?:{_VERBS})(?:\s*(?:,|/|&|\||\band\b|\bor\b)\s*(?:{_VERBS}))+)\s+(/[^\s`|,;)*]{{0,200}})"
)
_MARKUP = (r"(?<=[A-Za-z])_(?=t?p\d)", " "), (r"~~.*?~~", " "), (r"\[[ xX]\]", " "), (r"!?\[([^\]]*)\]\([^)]*\)", r"\1")


@dataclass(frozen=True)
class Token:
    """One word of a line; ``found`` is its match."""

    kind: str
    text: str
    found: re.Match[str]


def cleaned(text: str) -> str:
    """A line without Markdown: emphasis, code marks, links, check boxes, what is struck out, quotation marks of a block."""
    line = re.sub(r"\\(?=[<>~*_])", "", html.unescape(text[:LONGEST]).translate(_SIGNS))
    for pattern, put in _MARKUP:
        line = re.sub(pattern, put, line)
    return re.sub(r"^[\s>]+|\*{1,3}(?=\S)|(?<=\S)\*{1,3}|(?<!\w)_{1,3}(?=\S)|(?<=\S)_{1,3}(?!\w)|`", "", line)


def spelled_out(line: str) -> str:
    """A cleaned line as it is cut into tokens: without the load and what was before, each verb with its path.

    >>> spelled_out("p95 (was 350 ms) of GET and POST /orders < 1 s")
    'p95   of GET /orders, POST /orders < 1 s'
    """
    for written, put in _OR_EQUAL:
        line = written.sub(put, line)
    line = _ID.sub("", _CLOCK.sub(" ", _BEFORE.sub(" ", UNDER_LOAD.sub(" ", line))))
    return _VERB_LIST.sub(lambda m: ", ".join(f"{v} {m[2]}" for v in re.findall(_VERBS, m[1])), line)


def number(text: str, unit: str = "") -> str:
    """A number of a text as Python writes it; ValueError where its separators can be read in two ways.

    >>> number("1,500"), number("1'500"), number("0,125"), number("99,95"), number("1.500,5"), number("1.250", "s")
    ('1500', '1500', '0.125', '99.95', '1500.5', '1.250')
    """
    plain = re.sub(_GROUP, "", text)
    thousands = r"[1-9]\d{0,2}%s\d{3}"
    if re.fullmatch(r"\d+|\d*\.\d+", plain):
        if unit in ("s", "min", "h", "%", "cores") or not re.fullmatch(thousands % r"\.", plain):
            return plain
    elif re.fullmatch(r"\d+,\d+", plain):
        if not re.fullmatch(thousands % ",", plain) or unit == "%":
            return plain.replace(",", ".")
        if unit not in ("s", "min", "h"):
            return plain.replace(",", "")
    elif re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", plain):
        return plain.replace(",", "")
    elif re.fullmatch(r"\d{1,3}(?:\.\d{3})+(?:,\d+)?", plain):
        return plain.replace(".", "").replace(",", ".")
    raise ValueError(f"{text!r} can be read as two numbers: write it without separators, with a decimal point")


def load_in(text: str) -> str:
    """The load that a requirement is about, "100 users" or "50/s"; "" where it names none, or in other words.

    >>> load_in("p95 < 200 ms at 1,000 concurrent users"), load_in("p95 < 200 ms @ 50 req/s"), load_in("under load")
    ('1000 users', '50/s', '')
    """
    found = UNDER_LOAD.search(cleaned(text))
    return _load(found)


def loads_in(text: str) -> set[str]:
    """The loads that a text names."""
    return {_load(found) for found in UNDER_LOAD.finditer(cleaned(text))}


def _load(found: re.Match[str] | None) -> str:
    part = _OF_LOAD.search(found[0]) if found else None
    if not part:
        return ""
    try:
        many = float(number(part["number"].rstrip(".,"))) * (1000 if part["kilo"] else 1)
    except ValueError:
        return ""
    return f"{many:.10g} users" if part["users"] else f"{many:.10g}/s"


def tokens(line: str) -> Iterator[Token]:
    """The tokens of a cleaned line."""
    for found in _TOKEN.finditer(line):
        groups = found.groupdict()
        kind = next((k for k in _KINDS if groups[f"k_{k}"] is not None), "endpoint")
        yield Token(kind, found[0], found)


def segments(words: list[Token]) -> Iterator[list[Token]]:
    """The parts of a line between commas, semicolons, full stops and "and"; a part without a limit goes with the next."""
    part: list[Token] = []
    for token in words:
        if token.kind == "end" and (token.text == "." or any(ends(t) for t in part)):
            yield part
            part = []
        elif token.kind != "end":
            part.append(token)
    yield part


def ends(token: Token) -> bool:
    """Whether a token is one that a part of a line ends with."""
    return token.kind in ("limit", "none", "odds", "range")


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
