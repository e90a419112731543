"""What the drivers have in common: calls behind a guard, names in SQL, errors of a database as step errors.

In: a guard, a driver's functions. Out: their results, ``StepError`` or ``ToolUnavailable``.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from msgspec import Struct

from e2i.errors import StepError, ToolUnavailable
from e2i.resilience.guard import Guard

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
BATCH = 65_536
"""Rows that are read or staged in one call."""
PATIENCE = 5.0
"""Seconds that closing a connection waits for an abandoned call."""
STAGE = "e2i_stage"
"""The temporary table that rows wait in."""


class Target(Struct, frozen=True):
    """A table of a database."""

    schema: str | None
    name: str

    @classmethod
    def of(cls, text: str) -> Target:
        schema, dot, name = text.partition(".")
        return cls(schema, name) if dot else cls(None, schema)

    def beside(self, name: str) -> Target:
        """Return the table of that name in the same schema."""
        return Target(self.schema, name)

    def __str__(self) -> str:
        return ".".join(map(quoted, filter(None, (self.schema, self.name))))


class Asked(Protocol):
    """A database that is asked what it has."""

    def columns(self, table: Target) -> Mapping[str, str] | None:
        """Return the columns of a table with their types in SQL; None when there is no such table."""

    def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement; return its rows, if it has any. ``$1`` in it is the first value."""


class Session(Asked, Protocol):
    """One connection to a database, for one step. Raises StepError for what the database refuses, ToolUnavailable."""

    def read(self, query: str, params: Sequence[Any], contract: Mapping[str, str]) -> Iterator[pa.Table]:
        """Yield the rows of one SELECT, in pieces with equal types, at least one. Nothing can be written meanwhile.

        Columns of the contract may have any type that can be converted to their declared one.
        """

    def declared(self, table: Target) -> Mapping[str, str]:
        """Return the types that the table declares and its values may not show, in terms of contracts."""

    def filled(self, table: Target) -> Collection[str]:
        """Return the columns that the database fills by itself: defaults, numbers of rows."""

    def types(self, content: pa.Table) -> Mapping[str, str]:
        """Return the SQL types that hold the columns faithfully. Raises StepError naming another column."""

    def stage(self, content: pa.Table, types: Mapping[str, str], present: Mapping[str, str] | None) -> None:
        """Put the rows into the temporary table ``STAGE``. Raises StepError when the ``present`` table's column would
        change a value.
        """

    def staged(self, name: str, kind: str) -> str:
        """Return SQL for the values of a staged column in a column of that type."""

    def lock(self, table: Target) -> None:
        """Begin the transaction that writes, alone with the table among all deliveries."""

    def commit(self) -> None: ...

    def undo(self) -> None:
        """End the transaction without an effect."""

    def close(self) -> None:
        """Close the connection. What was not committed is undone."""


class Calls:
    """Calls of a driver that end in time. ``abandon`` ends a call that did not.

    The thread of an abandoned call may still be inside the driver for a moment. No other call begins until it has
    left: a driver in C that closes a connection in use ends the process.
    """

    def __init__(self, guard: Guard, shown: str, seconds: float) -> None:
        self._guard = guard
        self._shown = shown
        self.seconds = seconds
        """Limit of one statement, which the database keeps by itself; the guard waits a little longer."""
        self._running = threading.Lock()
        self.abandon: Callable[[], object] = lambda: None
        self.refusal: Callable[[Exception], str | None] = lambda error: None
        """Return what the database says in an exception of its driver; None for other exceptions."""

    def __call__(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        try:
            return self._guard.call(self._alone(function), *args, deadline=self.seconds + 2, **kwargs)
        except ToolUnavailable as error:
            if error.code == "deadline-missed":
                self.abandon()
            raise
        except Exception as error:  # of the driver, about the request
            said = self.refusal(error)
            if said is None:
                raise
            raise self.refused(said) from error

    def close(self, function: Callable[[], object]) -> None:
        """Close the connection, unless an abandoned call does not end: then it stays open until that call ends."""
        if self._running.acquire(timeout=PATIENCE):
            try:
                function()
            finally:
                self._running.release()

    def _alone(self, function: Callable[..., T]) -> Callable[..., T]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> T:
            with self._running:
                return function(*args, **kwargs)

        return call

    def refused(self, said: str) -> StepError:
        return StepError(f"{self._shown}: {said}", code="database-refused")

    def too_slow(self) -> StepError:
        return StepError(
            f"{self._shown}: a statement took more than {self.seconds:g} s",
            code="query-too-slow",
            hint="read fewer rows, add an index, or have the operator raise `statement_timeout` of the connection",
        )


def quoted(name: str) -> str:
    """Return a name as an SQL identifier, whatever its characters are."""
    return '"' + name.replace('"', '""') + '"'


def listed(names: Sequence[str]) -> str:
    return ", ".join(map(quoted, names))


def shape(types: Mapping[str, str]) -> str:
    """Return the columns of a table, as CREATE TABLE has them."""
    return ", ".join(f"{quoted(name)} {kind}" for name, kind in types.items())


def unfit(name: str, why: str, hint: str | None = None) -> StepError:
    return StepError(f"column {name!r} {why}", code="bad-column", hint=hint)
