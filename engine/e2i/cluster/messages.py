"""Messages between the engine and the nodes of a cluster: one line of JSON as bytes, perhaps followed by a body.

In: structs. Out: bytes, which Dask passes on as they are. Nothing of e2i is pickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, convert

from e2i.catalog.extensible import Preset
from e2i.documents import made
from e2i.spec.problems import Location
from e2i.telemetry.bodies import Measurement
from e2i.workers.executor import Ended, StepCall
from e2i.workers.messages import encode, encode_report

Phase = Literal["fetching", "running", "storing"]


class Setup(Struct, frozen=True, kw_only=True):
    """What all calls of a run share on a node. Calls with an equal setup may use the same worker processes."""

    e2i: str
    """Version of e2i that made the plan."""
    settings: str
    """The settings as JSON."""
    plugins: Mapping[str, Location]
    presets: Mapping[str, Preset]
    hidden: bool
    """Whether hidden files may be read."""
    storage: str
    """Settings of the storage that the engine and the nodes share, as JSON."""
    trust: str
    """Trust domain of the run in that storage. Worker processes are not shared between domains."""


class Assignment(Struct, frozen=True, kw_only=True):
    """One call for whichever node gets it."""

    token: str
    """Identifies the call; unique."""
    topic: str
    """Where reports about it are published."""
    call: StepCall
    libraries: Mapping[str, str | None]
    """Versions of the libraries that can change the result, as planned."""


class _Report(Struct, frozen=True, kw_only=True, tag_field="report"):
    token: str


class Entered(_Report, frozen=True, kw_only=True, tag="entered"):
    """A node has begun a phase of the call."""

    node: str
    """Address of the node."""
    phase: Phase


class Logged(_Report, frozen=True, kw_only=True, tag="logged"):
    """Part of the step's log; the body has the bytes. ``offset`` 0: the log begins, perhaps again."""

    offset: int


class Recorded(_Report, frozen=True, kw_only=True, tag="recorded"):
    """Measurements of the call."""

    bodies: tuple[Measurement, ...]


class Progressed(_Report, frozen=True, kw_only=True, tag="progressed"):
    """Progress of the call."""

    done: int
    total: int
    note: str


class Finished(_Report, frozen=True, kw_only=True, tag="finished"):
    """The call has ended, and its artifacts are in the storage. ``run``, ``step`` and ``fingerprint`` name the call."""

    node: str
    run: str
    step: str
    fingerprint: str
    ended: Ended
    artifacts: tuple[str, ...]
    """Digests of the artifacts in its outputs and measurements."""


class Refused(_Report, frozen=True, kw_only=True, tag="refused"):
    """A node cannot execute the call, and another one may."""

    node: str
    reason: str


Report = Entered | Logged | Recorded | Progressed | Finished | Refused


def setup_bytes(setup: Setup) -> bytes:
    """Returns the setup as bytes; equal for equal setups."""
    return encode(setup).encode()


def read_setup(content: bytes) -> Setup:
    """Returns the setup. Raises ``msgspec.ValidationError``."""
    return convert(json.loads(content), Setup)


def assignment_bytes(assignment: Assignment) -> bytes:
    """Returns the assignment as bytes. Raises TypeError for anything but plain data and structs."""
    return encode(assignment).encode()


def read_assignment(content: bytes) -> Assignment:
    """Returns the assignment. Raises ``msgspec.ValidationError``."""
    return convert(json.loads(content), Assignment, dec_hook=made)


def report_bytes(report: Report, body: bytes = b"") -> bytes:
    """Returns the report as a line, followed by its body."""
    return encode_report(report).encode() + b"\n" + body


def read_report(content: bytes) -> tuple[Report, bytes]:
    """Returns a report and its body. Raises ValueError and ``msgspec.ValidationError`` for anything else."""
    line, _, body = content.partition(b"\n")
    report: Report = convert(json.loads(line), Report, dec_hook=made)
    return report, body
