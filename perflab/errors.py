"""The exceptions of perflab.

    PerflabError
    ├── FormatError         a file that is not what it should be: name, line, expected, found
    ├── SchemaError         a table that breaks its schema; lists every problem at once
    ├── MissingTableError   a table that these measurements lack; lists those present
    ├── ComparisonError     two sides that must not be compared, and why
    ├── LoadTestError       Locust could not run; has its exit code and the end of its log
    ├── TargetError         the system under test did not start, or exited; has its last output
    ├── StoreError          a store of runs that cannot be read or written
    └── MissingExtraError   an optional dependency is not installed; names the extra to install

Invalid arguments raise plain ``ValueError`` with the parameter, the options and the value.
Statistical doubt is never raised: it is in the ``warnings`` of a result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class PerflabError(Exception):
    """The base class of all exceptions that perflab raises on purpose."""


class FormatError(PerflabError):
    """A file could not be read in any format, or in the named one.

    The message starts with ``path:line:`` and says what was expected and what was found.
    """


class SchemaError(PerflabError):
    """A table does not have the columns or values of its schema.

    ``problems`` lists all of them, so that one round of fixes is enough.
    """

    def __init__(self, table: str, problems: Sequence[str]) -> None:
        self.table = table
        self.problems = tuple(problems)
        super().__init__(f"table {table!r}: " + "; ".join(self.problems))


class MissingTableError(PerflabError):
    """The measurements have no table of that name; the message lists those present."""


class ComparisonError(PerflabError):
    """The two sides must not be compared as they are; the message says why, and what would allow it."""


class StoreError(PerflabError):
    """A store folder could not be read or written."""


class MissingExtraError(PerflabError):
    """An optional dependency is missing; the message names the extra to install."""

    @classmethod
    def of(cls, packages: str | ImportError | None, extra: str, what: str = "this") -> MissingExtraError:
        """The error for missing packages (or a failed import) that an extra would install."""
        missing = packages.name if isinstance(packages, ImportError) else packages
        return cls(f"{what} needs {missing}: pip install 'perflab[{extra}]'")


class _ChildProcessError(PerflabError):
    """A child process failed; has its exit code and the end of its output."""

    def __init__(self, text: str, *, exit_code: int | None = None, output: str = "") -> None:
        self.exit_code = exit_code
        self.output = output
        super().__init__(f"{text}\n{_indent_tail(output)}" if output.strip() else text)


class LoadTestError(_ChildProcessError):
    """Locust could not start or did no work; has ``exit_code`` and ``output`` (the end of its log)."""


class TargetError(_ChildProcessError):
    """The target exited, or did not become ready; has ``exit_code`` and ``output`` (its last lines)."""


def one_of(parameter: str, value: object, options: Iterable[object]) -> ValueError:
    """The ValueError for a value outside its options, with parameter, options and value."""
    listed = ", ".join(repr(option) for option in options)
    return ValueError(f"{parameter} must be one of {listed}; got {value!r}")


def _indent_tail(output: str, lines: int = 25) -> str:
    tail = output.rstrip().splitlines()[-lines:]
    return "\n".join(f"    | {line[:500]}" for line in tail)
