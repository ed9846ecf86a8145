"""What ab (ApacheBench) prints: https://httpd.apache.org/docs/2.4/programs/ab.html; whole milliseconds, percentiles only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data.tables import AGGREGATED
from perflab.formats import Tables
from perflab.formats import _caveats as caveats
from perflab.formats import _requests as common
from perflab.formats._printouts import Printout, printout

_FIRST = re.compile(rb"(?:^|\n)This is ApacheBench, Version ")
_BEGINS = re.compile(r"This is ApacheBench, Version ")
_NUMBER = r"(\d{1,15}(?:\.\d+)?)"
_FIELD = re.compile(rf"(Complete requests|Non-2xx responses):\s+{_NUMBER}\s*")
_REASONS = re.compile(rf"\s+\(Connect: {_NUMBER}, Receive: {_NUMBER}, Length: {_NUMBER}, Exceptions: {_NUMBER}\)\s*")
_FAILED = re.compile(rf"Failed requests:\s+{_NUMBER}\s*")
_RATE = re.compile(rf"Requests per second:\s+{_NUMBER} \[#/sec\] \(mean\)\s*")
_TOTAL = re.compile(rf"Total:\s+{_NUMBER}\s+{_NUMBER}\s+{_NUMBER}\s+{_NUMBER}\s+{_NUMBER}\s*")
_SHARE = re.compile(rf"\s+(\d+)%\s+{_NUMBER}(?: \(longest request\))?\s*")
_PLACE = re.compile(r"(Server Hostname|Server Port|Document Path|TLS Protocol|SSL/TLS Protocol):\s+(\S+).*")
_KNOWN = re.compile(
    r"This is|Copyright|Licensed|Benchmarking|Completed \d|Finished|Server |TLS |SSL|Document |Concurrency|Time |Total |HTML |"
    r"Keep-Alive|Total body|Transfer|Connection Times|\s+min  mean|Connect:|Processing:|Waiting:|Percentage|WARNING|apr_|"
    r"\s+[\d.]+ kb/s|Failed requests:|\s+\d+%\s|Send request|LOG:"
)


def sniff(head: bytes) -> bool:
    return b"This is ApacheBench" in head and _FIRST.search(head) is not None


def read(path: Path, **_: Any) -> Tables:
    expected = "what ab prints"
    found = printout(path, _BEGINS, expected)
    url, rows = _url(found), list(_rows(found))
    notes = [caveats.coarse("ab", "whole milliseconds")]
    other = sum(int(float(match[3])) for match in found.matches(_REASONS))
    if other:
        notes.append(caveats.OTHER_LENGTH(count=other))
    return common.summarized(
        path, common.of_url(rows, url), expected, tally=found.closed(_KNOWN), warnings=notes, generator="ab", url=url,
        instead="run ab with -g requests.tsv",
    )  # fmt: skip


def _url(found: Printout) -> str:
    place = {match[1]: match[2] for match in found.matches(_PLACE)}
    host, port = place.get("Server Hostname"), place.get("Server Port", "80")
    secure = any("TLS" in name for name in place)
    return f"{'https' if secure else 'http'}://{host}:{port}{place.get('Document Path', '/')}" if host else ""


def _rows(found: Printout) -> Iterator[tuple[str, str, Any]]:
    for total in found.matches(_TOTAL):
        for group, statistic in ((1, "min"), (2, "mean"), (5, "max")):
            yield AGGREGATED, statistic, float(total[group])
    for share in found.matches(_SHARE):
        if int(share[1]) < 100:
            yield AGGREGATED, f"p{int(share[1])}", float(share[2])
    for rate in found.matches(_RATE):
        yield AGGREGATED, "throughput_per_s", float(rate[1])
    fields = {match[1]: float(match[2]) for match in found.matches(_FIELD)}
    # Responses of another length are no failures by themselves, and those that are not 2xx are counted separately.
    lost = [float(m[1]) + float(m[2]) + float(m[4]) for m in found.matches(_REASONS)]
    list(found.matches(_FAILED))
    if "Complete requests" in fields:
        yield AGGREGATED, "count", fields["Complete requests"]
        yield AGGREGATED, "errors", min(fields["Complete requests"], fields.get("Non-2xx responses", 0.0) + sum(lost))
