"""Messages between the engine and a worker process: lines of JSON on the control socket.

They are encoded by the standard library, which keeps NaN, integers of any size and lone surrogates: parameters and
outputs may have them. They are decoded by msgspec, which is faster, and by the standard library where it has to be.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET, DecodeError, Struct, convert
from msgspec.json import Decoder
from msgspec.structs import asdict

from e2i.catalog.extensible import Preset
from e2i.documents import JsonObject, OutputValues, made
from e2i.spec.problems import Location
from e2i.telemetry.bodies import Measurement
from e2i.workers.executor import Failure, StepCall


class Start(Struct, frozen=True, kw_only=True):
    """The first line to a worker."""

    store: str
    workspace: str
    folders: tuple[str, ...]
    hidden: bool
    """Whether hidden files may be read."""
    written: tuple[str, ...]
    """Folders that may be written to."""
    operator: tuple[str, ...]
    """Files of the operator, which no step reads or changes."""
    settings: str
    """The settings as JSON."""
    plugins: Mapping[str, Location]
    """The listed plug-ins, with the locations of their settings."""
    presets: Mapping[str, Preset]
    """The algorithms that the settings define."""
    most: int
    """Memory that the worker may use between two calls, in bytes."""


class Prepare(Struct, frozen=True, tag_field="message", tag="prepare"):
    """Import the libraries of a tool."""

    tool: str


class Execute(Struct, frozen=True, tag_field="message", tag="execute"):
    """Execute a call: at once, or, with a claim, if the engine has not taken it back."""

    call: StepCall
    cores: tuple[int, ...]
    """The only cores that the call may use; none: all."""
    claim: int | None = None


class Ready(Struct, frozen=True, tag_field="message", tag="ready"):
    """The worker has started."""

    pid: int
    held: int
    """Memory that it uses between two calls, in bytes."""


class Prepared(Struct, frozen=True, tag_field="message", tag="prepared"):
    """The libraries of a tool are imported."""

    tool: str
    held: int


class Progress(Struct, frozen=True, tag_field="message", tag="progress"):
    """The progress of the call."""

    done: int
    total: int
    note: str = ""


class Telemetry(Struct, frozen=True, tag_field="message", tag="telemetry"):
    """A batch of measurements of the call."""

    measured: tuple[Measurement, ...]


class Outcome(Struct, frozen=True):
    """What a call came to."""

    outputs: OutputValues
    failure: Failure | None = None
    reused: bool = False
    """True when the outputs are the earlier ones, because their effect exists."""
    lost: str = ""
    """What was missing of the effect of the earlier outputs, so that the action ran."""


class Done(Struct, frozen=True, kw_only=True, tag_field="message", tag="done"):
    """The call has ended."""

    outcome: Outcome
    seconds: float
    held: int
    peak: int
    """Peak memory of the worker in the call, in bytes, beyond what it used before."""
    spent: bool
    """True when the worker executes no more calls."""
    cut: bool
    """True when the log of the call exceeded its limit."""


Order = Prepare | Execute
"""A message to a worker, after ``Start``."""
Report = Ready | Prepared | Progress | Telemetry | Done
"""A message from a worker."""


def order(line: bytes) -> Order:
    """Returns the message to a worker on a line."""
    try:
        return _decode_order(line)
    except DecodeError:  # NaN or a lone surrogate
        found: Order = convert(json.loads(line), Order, dec_hook=made)
        return found


def report(line: bytes) -> Report:
    """Returns the message from a worker on a line."""
    try:
        return _decode_report(line)
    except DecodeError:
        found: Report = convert(json.loads(line), Report, dec_hook=made)
        return found


def _plain(value: Any) -> JsonObject:
    """Returns a struct as an object, with its tag."""
    if not isinstance(value, Struct):
        raise TypeError(f"{type(value).__name__} is not plain data")
    config = value.__struct_config__
    given = {name: item for name, item in asdict(value).items() if item is not UNSET}
    return given if config.tag_field is None else {config.tag_field: config.tag, **given}


def _text(value: Any) -> Any:
    """The same, and anything else as text: an action may record values of any type."""
    return _plain(value) if isinstance(value, Struct) else str(value)


_decode_order: Callable[[bytes], Order] = Decoder(Order, dec_hook=made).decode
_decode_report: Callable[[bytes], Report] = Decoder(Report, dec_hook=made).decode
encode = json.JSONEncoder(separators=(",", ":"), default=_plain).encode
"""Encodes a message to a worker. Raises TypeError for anything but plain data and structs."""
encode_report = json.JSONEncoder(separators=(",", ":"), default=_text).encode
"""Encodes a message from a worker."""
