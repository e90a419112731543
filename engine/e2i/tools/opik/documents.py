"""Documents of a program as telemetry entries, and back. In: spans, traces and scores. Out: entries of the outbox.

A run's entries describe the run, and the sink builds its documents from all of them. A program's entries are the
documents themselves: one for each span and score when it is complete, and one for a trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

from e2i.errors import StepError
from e2i.telemetry.entries import Entry

KIND = "opik.document"
FINISHED = "opik.finished"
"""Kind of an entry whose document is that of a trace with its end."""
KINDS = (KIND, FINISHED)
Resource = Literal["traces", "spans", "trace_scores", "span_scores"]
"""What a document is, by the resource of Opik's REST API that takes it."""

Document = dict[str, Any]


class Noted(Struct, frozen=True):
    """A document on its way to Opik."""

    resource: Resource
    document: Document
    joined: bool = False
    """True for a trace that began elsewhere: it is written only as far as Opik does not have it."""


def entry(noted: Noted, run: str, unique: str, target: str) -> Entry:
    """Returns the entry for a document. ``unique`` tells apart the documents of one id, such as a trace's two.

    ``run`` is the id of the program: what many traces of it have waiting is delivered in few requests.
    """
    body = {"resource": noted.resource, "document": noted.document, "joined": noted.joined}
    key = f"{run}/{noted.resource}/{noted.document['id']}/{unique}"
    is_end = noted.resource == "traces" and "end_time" in noted.document
    return Entry(key, "opik", run, FINISHED if is_end else KIND, body, target=target)


def latest(entries: Iterable[Entry]) -> dict[Resource, list[Noted]]:
    """Returns the documents by resource; of several with one id (and, for scores, one name) the last.

    Those of a trace that began elsewhere are merged. Raises StepError for an entry that is no document.
    """
    found: dict[Resource, dict[tuple[str, str], Noted]] = {resource: {} for resource in get_args(Resource)}
    for item in entries:
        noted = _noted(item)
        name = str(noted.document.get("name")) if noted.resource.endswith("scores") else ""
        key = (str(noted.document["id"]), name)
        before = found[noted.resource].pop(key, None)  # so that the order is that of the last ones
        found[noted.resource][key] = noted if before is None or not noted.joined else _after(before, noted)
    return {resource: list(documents.values()) for resource, documents in found.items()}


def plain(noted: Sequence[Noted]) -> list[Document]:
    """Returns the documents alone."""
    return [item.document for item in noted]


def merged(new: Document, held: Document) -> Document | None:
    """Returns what to write for a trace that Opik has already; None: nothing, it is somebody else's.

    Agents of several programs may share a trace that none of them began. It then spans all of their work.
    """
    metadata = held.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("joined"):
        return None
    ends = [str(end) for end in (held.get("end_time"), new.get("end_time")) if end]
    times = {"start_time": min(str(held["start_time"]), str(new["start_time"]), key=_moment)}
    if ends:
        times["end_time"] = max(ends, key=_moment)
    kept = {name: held[name] for name in ("name", "input", "output", "error_info") if held.get(name)}
    return {**new, **kept, **times, "metadata": {**new.get("metadata", {}), **metadata}}


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _noted(item: Entry) -> Noted:
    match item.body:
        case {
            "resource": "traces" | "spans" | "trace_scores" | "span_scores" as resource,
            "document": {"id": str()} as document,
        }:
            return Noted(resource, document, bool(item.body.get("joined")))
    raise StepError(f"{item.key} is no document of Opik", code="refused-telemetry")


def _after(before: Noted, joined: Noted) -> Noted:
    """Returns what is known of a trace after one more program joined it."""
    together = merged(joined.document, before.document)
    return before if together is None else replace(before, document=together)
