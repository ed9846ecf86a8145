"""Outputs of load tools and profilers that cannot be read, known by how they begin, and what to save instead."""

from __future__ import annotations

import re

_EVERY = "a tool that writes every request (vegeta, k6 --out csv)"
_KNOWN: tuple[tuple[str, str, str], ...] = (
    (r"Running \S+ test @ \S+\s+\d+ connections", "autocannon's table", "autocannon --json"),
    (
        r'\s*\{[^{]*"(RunType|RequestedQPS)"',
        "fortio's histogram",
        _EVERY,
    ),
    (r"\s*Summary:\s+Count:", "ghz's summary", "ghz --format json (its details hold every call)"),
    (r"Bombarding ", "bombardier's summary", _EVERY),
    (r"starting benchmark\.\.\.|finished in \S+, \S+ req/s", "h2load's summary", _EVERY),
    (r"\*\* SIEGE|Transactions:\s+\d+ hits", "siege's summary", _EVERY),
    (r'\s*\{\s*"collection"\s*:', "newman's JSON", "a load test: newman measures a request or two"),
    (r"summary [+=] +\d+ in ", "the summariser's lines of JMeter", "its JTL (jmeter -l results.jtl)"),
    (r"Type +Name +# reqs", "Locust's console table", "its --csv or --json-file, or run it through perflab"),
    (
        r'\s*\{\s*"aggregate"\s*:\s*\{[^}]*"(latency|scenariosCreated)"',
        "a report of Artillery 1",
        "that of Artillery 2",
    ),
    (
        r"All VUs finished|(?:-{20,}\s+)?Summary report @ ",
        "Artillery's console output",
        "its report (artillery run --output)",
    ),
    (r"Bucket +# +% +Histogram|Value\(ms\) +Percentile +TotalCount", "a histogram of vegeta", "vegeta encode --to csv"),
    (
        r'\s*\{\s*"(type"\s*:\s*"GROUP"|name"\s*:\s*"All Requests")\s*,',
        "the statistics of Gatling's report",
        "its simulation.log",
    ),
    (r"Benchmarking \S+ for \S+ using \d+ connection", "plow's summary", _EVERY),
    (r"Time taken for tests +[\d.]+ seconds\s+Total requests", "drill's statistics", _EVERY),
    (r"# stats: dump at \d+", "tsung's statistics", _EVERY),
    (r"test_suite,test_name,scenario,", "NBomber's statistics", _EVERY),
    (
        r"Count,Message,Traceback,Nodes|Method,Name,Error,Occurrences",
        "Locust's failures or exceptions",
        "its _stats.csv",
    ),
    (r"PERFILE2|2ELIFREP", "perf's recording", "what perf script prints"),
    (r"# (Overhead|To display the perf\.data header)", "perf's report", "what perf script prints"),
    (r"MOJ", "Austin's binary format", "its text (mojo2austin, or austin without --binary)"),
    (r"FLR\x00", "a Java flight recording", "collapsed stacks (asprof -o collapsed, jfrconv)"),
    (
        r"\s*(<\?xml[^>]*>\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg",
        "a picture",
        "the stacks it shows (py-spy --format raw or speedscope)",
    ),
    (
        r"\s*\d+ function calls( \(\d+ primitive calls\))? in |\S[^\n]*\n\n\s+\d+ function calls",
        "what cProfile prints",
        "python -m cProfile -o FILE",
    ),
    (r"\s*_ +\._ +__/__ ", "what pyinstrument prints", "pyinstrument -r json (or session)"),
    (
        r"Showing nodes accounting for|File: \S+\n(Build ID: \S+\n)?Type: ",
        "what pprof prints",
        "the profile itself (.pb.gz)",
    ),
    (r"Statistical profiling result from |v8-version,", "node --prof's log", "node --cpu-prof"),
    (r'\s*\{\s*"head"\s*:\s*\{[^}]*\}[^}]*"selfSize"', "a heap profile of V8", "node --cpu-prof for time"),
    (r"[\x00-\xff]{0,40}[\x01-\x40]\x06Result\x01", "vegeta's binary results", "vegeta encode --to csv"),
)
_SLOW = "the slow log (long_query_time = 0)"
_KNOWN += (
    (
        r".{0,300}(?:日志|日誌|СООБЩЕНИЕ|로그):  ".encode().decode("latin-1"),
        "a PostgreSQL log in another language",
        "it with lc_messages = 'C'",
    ),
    (
        r"\d{8} \d\d:\d\d:\d\d,[^,]*,[^,]*,[^,]*,\d+,\d+,[A-Z]+,|\d{16},[^,]*,[^,]*,[^,]*,\d+,\d+,[A-Z]+,",
        "an audit log",
        _SLOW,
    ),
    (r'\{"client": ?"[^{}]*"digest"', "ProxySQL's log of events", _SLOW),
    (r"\+-+\+[^\n]*\n\| start_time ", "a table that the mysql client prints", "the rows with mysql --batch"),
    (r'"?event_time"?[,\t]"?user_host', "the table of the general log", _SLOW),
    (
        r"Query: \S.* -- params: \[|\[query\] |\{\n +method: \'|[^\n]*(?:QUERY OK (?:source=|db=)|==> +Preparing: |jdbc\.sql"
        r"|SLF4JQueryLoggingListener|sqlx::query: |ActiveRecord -- |org\.hibernate\.SQL_SLOW)"
        r"|\s*\(\S+:\d+\) \n\[[^\]]*\]  \[[\d.]+ms\]",
        "an application's log of its statements in a form that is not read",
        "the server's log, a trace, or perflab's recorder",
    ),
)
_COMPANION = re.compile(rb"(Count,Message,Traceback,Nodes|Method,Name,Error,Occurrences)\r?\n")


def instead(head: bytes) -> str:
    """What the file is and what to save instead, as the end of a sentence; empty where it is not known."""
    text = head[:4096].decode("latin-1")
    for pattern, what, better in _KNOWN:
        if re.match(pattern, text) or (text.startswith(("$ ", "> ")) and re.match(pattern, text.partition("\n")[2])):
            return f"; this looks like {what}: save {better}"
    return ""


def is_companion(head: bytes) -> bool:
    """Whether this is a file that Locust writes besides its statistics, and that holds no latencies."""
    return _COMPANION.match(head) is not None
