"""Inside Locust: keeps the plan's settings in force, and notes each setting of the locustfile that they replace.

Locust reads LOCUST_* variables and configuration files. Its own settings there are ignored, or a run would get users, tags
or a host that no plan named; settings for arguments that the locustfile defines are kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import locust.argument_parser as arguments

_Parser = arguments.LocustArgumentParser
_unread: dict[str, list[str]] = {}
"""Where -> Locust's own settings that were ignored."""


@cache
def _own_options() -> tuple[frozenset[str], frozenset[str]]:
    """Locust's own options as a configuration file spells them, and its environment variables."""
    parser = arguments.get_empty_argument_parser(default_config_files=[])
    arguments.setup_parser_arguments(parser)
    actions = parser._actions
    options = {option.lstrip("-") for action in actions for option in action.option_strings}
    return frozenset(options), frozenset(filter(None, (getattr(a, "env_var", None) for a in actions)))


class OwnArguments(_Parser):
    """Locust's parser, which reads only the locustfile's arguments from configuration files."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._config_file_parser: Any = _OwnSettings(vars(self)["_config_file_parser"])


class _OwnSettings:
    """A reader of configuration files that drops Locust's own settings."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def parse(self, stream: Any) -> Any:
        found = self._reader.parse(stream)
        dropped = [name for name in found if name.replace("_", "-") in _own_options()[0]]
        if dropped:
            _unread[str(getattr(stream, "name", "a configuration file"))] = dropped
        return type(found)((name, value) for name, value in found.items() if name not in dropped)


def leave_unread() -> None:
    """Remove Locust's own settings from the environment; call it before Locust's main."""
    arguments.LocustArgumentParser = OwnArguments  # type: ignore[misc]
    dropped = sorted(_own_options()[1] & set(os.environ))
    for name in dropped:
        del os.environ[name]
    if dropped:
        _unread["the environment"] = dropped


def differing_hosts(classes: Mapping[str, Any], host: str) -> dict[str, str]:
    """Class -> host, where the classes have several hosts and none is the target's; else empty."""
    own = {name: str(c.host) for name, c in classes.items() if c.host}
    different = {value.rstrip("/") for value in own.values()}
    return own if len(different) > 1 and host.rstrip("/") not in different else {}


def run_time_s(settings: Mapping[str, Any]) -> float | None:
    """The length of the plan's load, as listeners of test_start read it.

    A worker gets it when the load starts: workers of Locust 2.40 that find a run time earlier stop themselves after it.
    """
    return sum(s["duration_s"] for s in settings["stages"]) if settings["stages"] else None


def _start_with(environment: Any, runner: Any, users: int) -> None:
    """Show listeners of test_start the plan's users, where a ramp starts with none."""
    started = environment.events.test_start
    fire = started.fire

    def fire_with_users(**given: Any) -> None:
        kept, runner.target_user_count = runner.target_user_count, users
        try:
            fire(**given)
        finally:
            runner.target_user_count = kept

    started.fire = fire_with_users


def restore_host(environment: Any, host: str | None) -> str | None:
    """Set the host that a listener of the locustfile changed back; return the listener's."""
    theirs = environment.host
    if (theirs or "") == (host or ""):
        return None
    environment.host = host
    return str(theirs)


def settle(environment: Any, runner: Any, settings: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Set the numbers that a locustfile reads to the plan's; yield notes on what was replaced."""
    for where, names in _unread.items():
        yield "unread", {"where": where, "names": names}
    stages, options = settings["stages"], environment.parsed_options
    if stages and options is not None:
        options.num_users = max(settings["workers"] if s["users"] is None else s["users"] for s in stages)
        options.spawn_rate = float(next((s["spawn_rate"] for s in stages if s["spawn_rate"]), options.num_users or 1))
        if runner.__class__.__name__ != "WorkerRunner":
            options.run_time = run_time_s(settings)
            _start_with(environment, runner, options.num_users)
    if environment.shape_class is not None:
        yield "shape", {"name": type(environment.shape_class).__name__}
    host = str(settings.get("host") or environment.host or "").rstrip("/")
    own = {c.__name__: str(c.host).rstrip("/") for c in environment.user_classes if c.host}
    if len(set(own.values())) > 1 and host in own.values():
        for user_class in environment.user_classes:
            user_class.host = user_class.host or host
        environment.host = None
    elif replaced := {name: theirs for name, theirs in own.items() if theirs != host}:
        yield "host", {"classes": sorted(replaced), "hosts": sorted(set(replaced.values()))}
    counts = [int(getattr(c, "fixed_count", 0) or 0) for c in environment.user_classes]
    yield "fixed", {"users": sum(counts) if all(counts) else None}
