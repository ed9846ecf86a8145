"""What an audit of exchanges, or a reader of browsers' tools, leaves open: the kinds of notes of this package."""

from __future__ import annotations

from perflab.notes import DATA, DESIGN, GENERATOR, TARGET, YOU, Kind

OVERLAP = Kind(
    "savings-overlap",
    DESIGN,
    "downloads run in parallel, so the times of several findings do not add up; fix the first and measure again",
)
IMAGES_NOT_MEASURED = Kind(
    "images-not-measured",
    YOU,
    "{images:image} of {size_bytes} in total were not encoded again, so smaller formats are unknown; {remedy} measures them",
)
NO_HEADERS = Kind(
    "no-headers",
    DATA,
    "{exchanges} of {total:exchange} have no response headers; their caching and compression are unknown",
)
ESTIMATES = Kind(
    "savings-estimated",
    DESIGN,
    "{findings} without a recorded body are estimated from typical ratios (text after gzip: 30 %)",
)
MODULES_DIFFER = Kind(
    "other-bundler",
    GENERATOR,
    "the modules are from {before:raw} and {after:raw}: each bundler counts bytes in its own way",
)
DUPLICATES = Kind(
    "bundled-twice",
    DATA,
    "{packages:package} bundled more than once, {wasted_bytes} too much; see web.find_duplicate_modules",
)
BEFORE_MINIFICATION = Kind(
    "sizes-before-minification",
    DATA,
    "{source:raw}: webpack counts a module before minification; the bundle is smaller, in about the same proportions",
)
LIGHTHOUSE_SAID = Kind("lighthouse-warning", GENERATOR, "Lighthouse: {text:raw}")
METRICS_FAILED = Kind(
    "lighthouse-metrics-failed",
    TARGET,
    "{source:raw}: Lighthouse could not measure {metrics} ({problem:raw}), so the table lacks it; run it again",
)
SLOW_MACHINE = Kind(
    "slow-machine",
    GENERATOR,
    "{source:raw}: Lighthouse's benchmark of this machine gave {index}, below 1,000: its CPU times are exaggerated",
)
SIMULATED = Kind(
    "simulated-throttling",
    GENERATOR,
    "{source:raw}: the times are simulated from an unthrottled load (throttlingMethod simulate), not observed; they are compared "
    "only with others of the same settings",
)
DOCUMENT_ONLY = Kind(
    "compression-of-document-only",
    GENERATOR,
    "{source:raw}: since version 13 Lighthouse checks the compression of the document only; audit a HAR file for the other files",
)
NOT_CHECKED = Kind(
    "findings-not-checked",
    GENERATOR,
    "{source:raw}: not checked, because the audit failed or this version of Lighthouse has none: {findings}",
)
