"""The interface of the engine for running actions.

In: nothing. Out: the ``StepContext`` protocol, which ``e2i.execution`` implements. Tools only use it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar

from msgspec import Struct, field

from e2i.catalog.action import ToolSettings
from e2i.catalog.artifacts import Service, Stored, Table
from e2i.documents import Values

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from e2i.resilience.guard import Guard
    from e2i.telemetry.bodies import LLMCall


class RunInfo(Struct, frozen=True):
    """Identifies the step and the run being executed."""

    run: str
    pipeline: str
    step: str
    attempt: int = 1
    agent: str | None = None
    started_ms: int = 0
    """When the run started, milliseconds since the epoch."""


class QueryLimits(Struct, frozen=True):
    """What a query may take, by the policy for the author of the spec. None: no limit."""

    rows: int | None = None
    """Rows of one result."""
    seconds: float | None = None
    origin: str = ""
    """The author, for messages."""


NO_LIMITS = QueryLimits()


class ChildRun(Struct, frozen=True):
    """A child of the step's run in the tracker, such as one trial of a study. Times are milliseconds since the
    epoch.
    """

    name: str
    status: Literal["finished", "failed"]
    started_ms: int
    ended_ms: int
    params: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


class Connector(Protocol):
    """A tool's client behind one interface: its settings, the guard for every call, and its folder in the store."""

    tool: ClassVar[str]

    def __init__(self, settings: Any, guard: Guard, home: Path) -> None: ...


C = TypeVar("C", bound=Connector)
A = TypeVar("A", bound=Stored)


def idempotency_key(fingerprint: str, *parts: str) -> str:
    """Returns the idempotency key of one effect of a step with that fingerprint."""
    import hashlib  # with OpenSSL, which a plan does not need

    return hashlib.sha256("\0".join([fingerprint, *parts]).encode()).hexdigest()[:32]


class Superseded(str):
    """What is missing of an effect because a newer one has taken its place.

    A new run brings the effect about again. A run that had done so before it was resumed leaves it.
    """


class Look(Protocol):
    """The interface for checks of effects. For an embedded tool, the check may run in the engine's process: it then
    reads only files, and does not ``connect``.
    """

    def settings(self, tool: str) -> ToolSettings:
        """As ``StepContext.settings``."""

    def home(self, tool: str) -> Path:
        """As ``StepContext.home``."""

    def key(self, *parts: str) -> str:
        """As ``StepContext.key``: the key that the step used when it produced the result."""

    def connect(self, connector: type[C]) -> C:
        """As ``StepContext.connect``."""

    def placed(self, text: str) -> str | None:
        """As ``StepContext.placed``."""

    def placed_content(self, text: str) -> bytes | None:
        """As ``StepContext.placed_content``."""


class StepContext(Protocol):
    """Passed to every action. Everything an action reads or writes goes through this object."""

    info: RunInfo
    seed: int
    threads: int
    """Cores that this step may use."""
    query_limits: QueryLimits
    """What a query of this step may take."""
    withheld: Collection[str]
    """Permissions of the policy that the step does not have, such as ``promote_to_production``. Its parameters were
    checked before; this is for what only the action can find out.
    """
    scratch: Path
    """An empty folder that is removed after the step."""

    def settings(self, tool: str) -> ToolSettings:
        """Returns the tool's validated settings in this environment."""

    def connect(self, connector: type[C]) -> C:
        """Returns this worker's connector of that type, opened once, behind the tool's breaker."""

    def home(self, tool: str) -> Path:
        """Returns the tool's own folder inside the store, creating it if missing."""

    def held_file(self, text: str) -> Path:
        """Returns a private copy of a workspace file, under a path of the same name for this process alone.

        Its content is what the step's fingerprint covers. Later writes to the file change nothing. Raises StepError
        when there is no file (``no-such-file``) or its content has changed (``input-changed-during-run``), and Refused
        for a path that may not be read.
        """

    def held_files(self, text: str) -> Mapping[str, Path]:
        """Returns ``held_file`` for each file that a folder or a pattern names, by its path, sorted."""

    def place(self, content: Path, text: str) -> None:
        """Copies a finished file to a path of the workspace: whole, or not at all.

        Raises Refused for a path that may not be written, StepError when that fails.
        """

    def placed(self, text: str) -> str | None:
        """Returns the SHA-256 of the file at a path that may be written, as ``sha256:…``; None when there is none."""

    def placed_content(self, text: str) -> bytes | None:
        """Returns the content of a small file at a path that may be written; None when there is none."""

    def run_file(self, text: str) -> Values:
        """Returns the names that a Python file of the workspace defines, from the code that the step's fingerprint
        covers.

        Workspace modules that it imports, also later in the step, are those that the fingerprint covers. Raises the
        errors of ``held_file``, and those of the code.
        """

    def read_code(self, text: str) -> bytes:
        """Returns the content of a Python file of the workspace. Raises the errors of ``held_file``."""

    def confirm_files(self, patterns: Iterable[str] = ()) -> None:
        """Raises StepError (``input-changed-during-run``) when a data file that the step's fingerprint covers has
        changed, or another file matches a pattern, for actions whose code opens such files by itself. Raises it
        (``no-such-file``) when no file matches a pattern.
        """

    def arrow(self, table: Table, columns: Sequence[str] | None = None) -> pa.Table:
        """Returns the table's rows as they are stored, mapped from the file: they cost no memory until they are
        used.
        """

    def frame(self, table: Table, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Returns the table's rows for a library that works on pandas. The frame is shared within this worker: never
        change it in place.

        Stored again, unchanged columns are the same. Integers and booleans with nulls have pandas' nullable types;
        decimals, lists and structs keep their Arrow types (``workers/frames.py``).
        """

    def frames(self, table: Table, rows: int) -> Iterator[pd.DataFrame]:
        """Yields the table in frames, as of ``frame``, of at most so many rows: for tables larger than memory."""

    def table(self, rows: pa.Table | pd.DataFrame) -> Table:
        """Stores a table and returns the reference. Types are kept, except for the encoding of texts and lists.

        Of a frame, a named index becomes columns. Raises StepError naming a column that cannot be stored faithfully.
        """

    def batches(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Table:
        """Stores a table that arrives in record batches and need not fit in memory, and returns the reference."""

    def open(self, artifact: Stored) -> Path:
        """Returns the local, read-only file or folder of an artifact."""

    def keep(self, path: Path, kind: type[A], **facts: Any) -> A:
        """Moves a finished file or folder into the store, under its digest, and returns the reference."""

    def metric(self, name: str, value: float, step: int = 0) -> None:
        """Records a metric: stored immediately, delivered to the tracker in the background. NaN is refused."""

    def param(self, name: str, value: str | int | float | bool) -> None:
        """Records a parameter of the run for the tracker."""

    def child(self, child: ChildRun) -> None:
        """Records a child run for the tracker."""

    def llm(self, call: LLMCall) -> None:
        """Records a call of a language model, for Opik."""

    def attach(self, name: str, artifact: Stored) -> None:
        """Shows a stored artifact in the tracker under ``name`` (a path such as ``shap/importance.png``)."""

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Reports the progress of the step to the user."""

    def warn(self, message: str) -> None:
        """Records a warning about the step's data or result. It is shown in every run that has or reuses the result."""

    def key(self, *parts: str) -> str:
        """Returns an idempotency key: equal for every attempt of this step with equal inputs, different otherwise."""

    def serve(
        self, argv: Sequence[str], *, port: int, ready: str, env: Mapping[str, str], digest: str, keep: bool
    ) -> Service:
        """Starts a process that outlives the step, in a group of its own, and returns once ``GET ready`` answers 200.

        ``ready`` is a path such as ``/readyz``. The group is ended when the run ends, or when the engine exits, unless
        ``keep``. ``digest`` identifies what is served. Raises ToolUnavailable when the process ends or does not answer
        before the deadline.
        """

    def lasting(self, argv: Sequence[str], handed: int) -> list[str]:
        """Returns the command that runs ``argv`` so that it outlives the run, in a session of its own.

        It inherits the descriptor ``handed``. The caller starts it, and records how it is found and ended.
        """
