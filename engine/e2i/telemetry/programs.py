"""The bodies of telemetry entries that a program records, outside any e2i run. Times are milliseconds since the epoch.

An entry's run is the id that the program gave to its tracker run: 32 hexadecimal digits. ``recorded`` makes the kind
and the plain content of an entry of each.
"""

from __future__ import annotations

import math
from typing import Literal

from e2i.documents import Element

RUN_ID_TAG = "e2i.run_id"
"""Tag of a tracker's run: the id that the program gave to it."""
Number = float | Literal["NaN", "Infinity", "-Infinity"]
"""A metric's value. JSON has no numbers that are not finite."""


class _Body(Element, frozen=True, kw_only=True, tag_field="kind"):
    pass


class ProgramStarted(_Body, frozen=True, kw_only=True, tag="program.started"):
    """The start of a run in an experiment, or below a parent run."""

    experiment: str
    """The name of the experiment, with its prefix; empty with ``experiment_id``."""
    experiment_id: str | None
    name: str | None
    tags: dict[str, str]
    parent: str | None
    """The parent's id: the tracker's own, or one that a program gave."""
    started_ms: int
    holder: str = ""
    """The identity of the program's process."""


class ProgramParams(_Body, frozen=True, kw_only=True, tag="program.params"):
    """Parameters of the run, as text."""

    params: dict[str, str]


class ProgramTags(_Body, frozen=True, kw_only=True, tag="program.tags"):
    """Tags of the run."""

    tags: dict[str, str]


class ProgramMetrics(_Body, frozen=True, kw_only=True, tag="program.metrics"):
    """One value of each of these metrics, at one step."""

    metrics: dict[str, Number]
    step: int
    at_ms: int


class ProgramFiles(_Body, frozen=True, kw_only=True, tag="program.files"):
    """A file or a folder of the store that becomes an artifact of the run, below ``folder``."""

    digest: str
    name: str
    folder: str | None


class ProgramModel(_Body, frozen=True, kw_only=True, tag="program.model"):
    """A model folder of the store, in the tracker's own format."""

    digest: str
    name: str
    flavor: str
    registered: str | None
    """The registered model of which it becomes a version."""


class ProgramChild(_Body, frozen=True, kw_only=True, tag="program.child"):
    """A nested run that has ended, such as a trial."""

    name: str
    status: Literal["finished", "failed"]
    params: dict[str, str]
    metrics: dict[str, Number]
    started_ms: int
    ended_ms: int


class ProgramFinished(_Body, frozen=True, kw_only=True, tag="program.finished"):
    """The end of the run."""

    status: Literal["FINISHED", "FAILED", "KILLED"]
    ended_ms: int


ProgramBody = (
    ProgramStarted
    | ProgramParams
    | ProgramTags
    | ProgramMetrics
    | ProgramFiles
    | ProgramModel
    | ProgramChild
    | ProgramFinished
)


def number(value: float) -> Number:
    """Returns a metric's value for JSON."""
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
