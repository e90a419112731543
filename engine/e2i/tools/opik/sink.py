"""Deliver telemetry to Opik. In: entries of a run, or of a program's trace. Out: the trace in Opik.

A run becomes a trace with spans and scores. A program's entries are documents already (``documents``).

Each delivery returns after the response of the server, or of the embedded backend, so a delivered entry has been
accepted. The entries sent so far are kept in the tool's home, because a span needs all of them.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from e2i.catalog.action import ToolSettings
from e2i.catalog.artifacts import Stored
from e2i.errors import ToolUnavailable
from e2i.resilience.transaction import keep_write_ahead_log
from e2i.telemetry.entries import Entry, Sink, target_of
from e2i.tools.opik import OpikSettings, documents
from e2i.tools.opik.identity import is_sampled
from e2i.tools.opik.spans import build
from e2i.tools.opik.writing import Document

K = TypeVar("K")
KEPT_RUNS = 200
"""Number of runs whose entries are kept, so that late entries still find their trace."""


def open_sink(settings: ToolSettings, home: Path, open_artifact: Callable[[Stored], Path]) -> Sink:
    """Return a sink to the configured server, or to the embedded one in ``home``. Artifact files are not sent."""
    assert isinstance(settings, OpikSettings)
    target = target_of(settings)  # entries sent to one server are unknown to another
    name = f"runs-{hashlib.blake2b(target.encode(), digest_size=6).hexdigest()}.db" if target else "runs.db"
    memory = Memory(home / name)
    if settings.url is None:
        from e2i.tools.opik import local_writing
        from e2i.tools.opik.local_backend import LocalBackend

        database = home / "traces.db"
        backend = LocalBackend(database)
        find = partial(local_writing.find_trace, backend)
        return OpikSink(settings, partial(local_writing.write, backend), find, memory, database)
    from e2i.tools.opik import writing
    from e2i.tools.opik.client import open_http, open_rest

    connection = open_http(settings, home)
    rest = open_rest(settings, home, connection)
    write, find = partial(writing.write, rest), partial(writing.find_trace, rest)
    return OpikSink(settings, write, find, memory, end=connection.close)


class OpikSink:
    """Delivers entries to Opik; delivering them twice writes the same documents to the same ids."""

    def __init__(
        self,
        settings: OpikSettings,
        write: Callable[..., None],
        find: Callable[[str], Document | None],
        memory: Memory,
        embedded: Path | None = None,
        end: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._write = write
        self._find = find
        self._memory = memory
        self._embedded = embedded
        self._end = end
        self._inode = _inode(embedded)

    def deliver(self, entries: Sequence[Entry]) -> None:
        """Deliver entries of one run. Raises ToolUnavailable, or StepError when Opik refuses them permanently."""
        if _inode(self._embedded) != self._inode:
            message = "the traces were removed or replaced while they were in use"
            raise ToolUnavailable("opik", message, code="history-lost")
        ready = [entry for entry in entries if entry.kind in documents.KINDS]
        if ready:
            self._deliver_documents(ready)
        of_run = [entry for entry in entries if entry.kind not in documents.KINDS]
        if of_run:
            self._deliver_run(of_run)

    def _deliver_documents(self, entries: Sequence[Entry]) -> None:
        """Write the documents of a program. Their ids are fixed, so a repeated delivery changes nothing."""
        found = documents.latest(entries)
        traces = [self._joined(noted) if noted.joined else noted.document for noted in found.pop("traces")]
        rest = {resource: documents.plain(noted) for resource, noted in found.items()}
        self._write(traces=[trace for trace in traces if trace is not None], **rest)

    def _joined(self, noted: documents.Noted) -> Document | None:
        """Return what to write for a trace that began elsewhere; None: Opik has it."""
        held = self._find(str(noted.document["id"]))
        return noted.document if held is None else documents.merged(noted.document, held)

    def _deliver_run(self, entries: Sequence[Entry]) -> None:
        before = self._memory.entries(entries[0].run)
        known = {entry.key for entry in before}
        news = [entry for entry in entries if entry.key not in known]
        traced = build([*before, *news], self._settings.project_name)
        if is_sampled(traced.trace["id"], self._settings.sampling_rate):
            already = build(before, self._settings.project_name) if before and news else None
            self._write(
                traces=[traced.trace] if already is None or already.trace != traced.trace else [],
                spans=_changed(traced.spans, already.spans if already else {}),
                span_scores=_changed(traced.scores, already.scores if already else {}),
            )
        self._memory.add(news)

    def close(self) -> None:
        """Close. Nothing is pending, because every delivery was acknowledged; connections to a server end."""
        self._end()


class Memory:
    """The delivered entries of each run, in a SQLite file; the last ``KEPT_RUNS`` runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._database() as database:
            keep_write_ahead_log(database)
            database.executescript(
                "CREATE TABLE IF NOT EXISTS entries (sequence INTEGER PRIMARY KEY, run TEXT NOT NULL,"
                " key TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL, UNIQUE (run, key));"
            )

    def entries(self, run: str) -> list[Entry]:
        """Return the delivered entries of a run, in order."""
        with self._database() as database:
            rows = database.execute("SELECT key, kind, body FROM entries WHERE run = ? ORDER BY sequence", (run,))
            return [Entry(key, "opik", run, kind, json.loads(body)) for key, kind, body in rows]

    def add(self, entries: Sequence[Entry]) -> None:
        """Add entries; remove the oldest run when there are too many."""
        with self._database() as database:
            database.executemany(
                "INSERT OR IGNORE INTO entries (run, key, kind, body) VALUES (?, ?, ?, ?)",
                [(entry.run, entry.key, entry.kind, json.dumps(entry.body)) for entry in entries],
            )
            database.execute(
                "DELETE FROM entries WHERE run IN"
                " (SELECT run FROM entries GROUP BY run ORDER BY max(sequence) DESC LIMIT -1 OFFSET ?)",
                (KEPT_RUNS,),
            )

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=5.0)) as database, database:
            yield database


def _inode(path: Path | None) -> int | None:
    """Return the inode of the embedded server's file; None when there is none."""
    try:
        return path.stat().st_ino if path else None
    except FileNotFoundError:
        return None


def _changed(documents: Mapping[K, Document], before: Mapping[K, Document]) -> list[Document]:
    return [document for key, document in documents.items() if before.get(key) != document]
