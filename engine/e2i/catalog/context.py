"""What a running action may ask of the engine.

In: nothing. Out: the ``StepContext`` protocol; ``e2i.execution`` implements it, tools only use it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar

from msgspec import Struct, field

from e2i.catalog.action import ToolSettings
from e2i.catalog.artifacts import Service, Stored, Table

if TYPE_CHECKING:
    import pandas as pd

    from e2i.resilience.guard import Guard


class RunInfo(Struct, frozen=True):
    """Which step of which run is being executed."""

    run: str
    pipeline: str
    step: str
    attempt: int = 1
    agent: str | None = None
    started_ms: int = 0
    """When the run started, milliseconds since the epoch."""


class ChildRun(Struct, frozen=True):
    """A run below the step's run in the tracker, such as one trial of a study. Times are milliseconds since the
    epoch.
    """

    name: str
    status: Literal["finished", "failed"]
    started_ms: int
    ended_ms: int
    params: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


class Connector(Protocol):
    """A tool's client behind one interface: its settings, the guard every call goes through, and its folder in the
    store.
    """

    tool: ClassVar[str]

    def __init__(self, settings: Any, guard: Guard, home: Path) -> None: ...


C = TypeVar("C", bound=Connector)
A = TypeVar("A", bound=Stored)


def idempotency_key(fingerprint: str, *parts: str) -> str:
    """Returns the key that a step of that fingerprint uses for one of its effects."""
    return hashlib.sha256("\0".join([fingerprint, *parts]).encode()).hexdigest()[:32]


class Look(Protocol):
    """What a check of an effect may ask. Where the tool is embedded it may run in the engine's process: it then reads
    files only, and does not ``connect``.
    """

    def settings(self, tool: str) -> ToolSettings:
        """As ``StepContext.settings``."""

    def home(self, tool: str) -> Path:
        """As ``StepContext.home``."""

    def key(self, *parts: str) -> str:
        """As ``StepContext.key``: what the step used when the result was made."""

    def connect(self, connector: type[C]) -> C:
        """As ``StepContext.connect``."""


class StepContext(Protocol):
    """Handed to every action. Everything an action reads or writes goes through here."""

    info: RunInfo
    seed: int
    threads: int
    """Cores that this step may use."""
    scratch: Path
    """An empty folder that is removed after the step."""

    def settings(self, tool: str) -> ToolSettings:
        """The tool's validated settings in this environment."""

    def connect(self, connector: type[C]) -> C:
        """This worker's connector of that type, opened once, behind the tool's breaker."""

    def home(self, tool: str) -> Path:
        """The tool's own folder inside the store; made if missing."""

    def held_file(self, text: str) -> Path:
        """A private copy of a workspace file, under a path of the same name for this process alone.

        Its content is the one that the step's fingerprint covers: what is written to the file from then on changes
        nothing. Raises StepError when there is no file (``no-such-file``) or it holds something else by now
        (``input-changed-during-run``), and Refused for a path that may not be read.
        """

    def run_file(self, text: str) -> Mapping[str, Any]:
        """The names that a Python file of the workspace defines, from the code that the step's fingerprint covers.

        The modules of the workspace that it imports, also later in the step, are those that the fingerprint covers.
        Raises as ``held_file`` does, and whatever the code raises.
        """

    def frame(self, table: Table, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The table's rows. The frame is shared within this worker: never change it in place."""

    def table(self, frame: pd.DataFrame) -> Table:
        """Stores a frame (its index is dropped, timestamps become microseconds) and returns the reference."""

    def open(self, artifact: Stored) -> Path:
        """The local, read-only file or folder of an artifact."""

    def keep(self, path: Path, kind: type[A], **facts: Any) -> A:
        """Moves a finished file or folder into the store, under its digest, and returns the reference."""

    def metric(self, name: str, value: float, step: int = 0) -> None:
        """Records a metric: durable at once, delivered to the tracker in the background. NaN is refused."""

    def param(self, name: str, value: str | int | float | bool) -> None:
        """Records a parameter of the run for the tracker."""

    def child(self, child: ChildRun) -> None:
        """Records a child run for the tracker."""

    def attach(self, name: str, artifact: Stored) -> None:
        """Shows a stored artifact in the tracker under ``name`` (a path such as ``shap/importance.png``)."""

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Tells the person who watches how far the step is."""

    def key(self, *parts: str) -> str:
        """An idempotency key: equal for every attempt of this step with equal inputs, different otherwise."""

    def serve(
        self, argv: Sequence[str], *, port: int, ready: str, env: Mapping[str, str], digest: str, keep: bool
    ) -> Service:
        """Starts a process that outlives the step, in a group of its own, and returns once ``GET ready`` answers 200.

        ``ready`` is a path such as ``/readyz``. The group is ended when the run ends, or when the engine dies,
        unless ``keep``. ``digest`` identifies what is served. Raises ToolUnavailable when the process ends or
        stays silent past the deadline.
        """
