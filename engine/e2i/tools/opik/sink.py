"""Telemetry entries of a run go in; Opik holds the run as a trace with its spans and scores.

Each delivery is written through the SDK's REST client, which returns only when the server has answered: an entry that
was delivered has been accepted. What a run has sent so far is kept in the tool's home, because a span needs all of it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from e2i.catalog.action import ToolSettings
from e2i.catalog.artifacts import Stored
from e2i.catalog.telemetry import Entry, Sink
from e2i.tools.opik import OpikSettings
from e2i.tools.opik.client import open_rest
from e2i.tools.opik.identity import is_sampled
from e2i.tools.opik.spans import build
from e2i.tools.opik.writing import Document, write

if TYPE_CHECKING:
    from opik.rest_api.client import OpikApi

K = TypeVar("K")
KEPT_RUNS = 200
"""How many of the last runs are remembered, so that what comes late still finds its trace."""


def open_sink(settings: ToolSettings, home: Path, open_artifact: Callable[[Stored], Path]) -> Sink:
    """A sink to the configured server, or to the embedded one in ``home``. Files of artifacts are not sent to Opik."""
    assert isinstance(settings, OpikSettings)
    return OpikSink(settings, open_rest(settings, home), Memory(home / "runs.db"))


class OpikSink:
    """Takes entries to Opik; delivering them twice writes the same documents to the same ids."""

    def __init__(self, settings: OpikSettings, rest: OpikApi, memory: Memory) -> None:
        self._settings = settings
        self._rest = rest
        self._memory = memory

    def deliver(self, entries: Sequence[Entry]) -> None:
        """Delivers entries of one run. Raises ToolUnavailable, or StepError when Opik refuses them for good."""
        before = self._memory.entries(entries[0].run)
        known = {entry.key for entry in before}
        news = [entry for entry in entries if entry.key not in known]
        traced = build([*before, *news], self._settings.project)
        if is_sampled(traced.trace["id"], self._settings.sampling_rate):
            already = build(before, self._settings.project) if before and news else None
            write(
                self._rest,
                traces=[traced.trace] if already is None or already.trace != traced.trace else [],
                spans=_changed(traced.spans, already.spans if already else {}),
                span_scores=_changed(traced.scores, already.scores if already else {}),
            )
        self._memory.add(news)

    def close(self) -> None:
        """Nothing is pending: every delivery was answered."""


class Memory:
    """What has been delivered of each run, in a SQLite file; the last ``KEPT_RUNS`` runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._database() as database:
            database.executescript(
                "PRAGMA journal_mode = WAL;"
                "CREATE TABLE IF NOT EXISTS entries (sequence INTEGER PRIMARY KEY, run TEXT NOT NULL,"
                " key TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL, UNIQUE (run, key));"
            )

    def entries(self, run: str) -> list[Entry]:
        """What was delivered of a run, in order."""
        with self._database() as database:
            rows = database.execute("SELECT key, kind, body FROM entries WHERE run = ? ORDER BY sequence", (run,))
            return [Entry(key, "opik", run, kind, json.loads(body)) for key, kind, body in rows]

    def add(self, entries: Sequence[Entry]) -> None:
        """Remembers entries; forgets the oldest run when there are too many."""
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


def _changed(documents: Mapping[K, Document], before: Mapping[K, Document]) -> list[Document]:
    return [document for key, document in documents.items() if before.get(key) != document]
