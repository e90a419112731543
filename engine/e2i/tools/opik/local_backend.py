"""Embedded backend of Opik's REST API. In: requests. Out: responses. Data is stored in one SQLite file.

The SDK uses it when no server is configured: writing, reading by id, searching and evaluations. One object serves any
number of threads, and several processes may use one file.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from e2i.resilience.transaction import keep_write_ahead_log
from e2i.tools.opik import local_evaluations, local_experiments
from e2i.tools.opik.local_answers import Answer, RejectedError, as_json
from e2i.tools.opik.local_filters import BadFilter, matches

TABLES = """
CREATE TABLE IF NOT EXISTS projects (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS records (
    kind TEXT NOT NULL CHECK (kind IN ('traces', 'spans')),
    id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    trace_id TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX IF NOT EXISTS records_trace ON records (kind, trace_id);
CREATE INDEX IF NOT EXISTS records_project ON records (kind, project_id, id);
CREATE TABLE IF NOT EXISTS scores (
    kind TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (kind, id, name)
) WITHOUT ROWID;
"""

LARGEST_BATCH = 1000
LONGEST_PAGE = 2000
VERSION = "2.0.0"
"""Version for clients: of a server that knows neither versions of datasets nor parallel uploads."""
DEFAULT_PROJECT = "Default Project"

Document = dict[str, Any]


def utc_now() -> datetime:
    return datetime.now(UTC)


class LocalBackend:
    """Opik's REST API over the SQLite file ``path``. Waits at most ``wait`` seconds for another process."""

    def __init__(self, path: Path, *, wait: float = 5.0, now: Callable[[], datetime] = utc_now) -> None:
        self.path = path
        self._wait = wait
        self._now = now
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._database() as database:
            keep_write_ahead_log(database, wait=wait)
            database.executescript(TABLES + local_experiments.TABLES)

    def answer(self, method: str, path: str, body: Any) -> Answer:
        """Return the response to one request. ``path`` begins after ``/api/``; ``body`` is the JSON body, of a GET
        request its query, or None.
        """
        path = path.removeprefix("v1/private/").strip("/")
        try:
            with self._database() as database:
                return self._route(database, method, path, body)
        except RejectedError as error:
            return error.answer
        except sqlite3.OperationalError as error:
            return as_json({"errors": [f"{self.path.name}: {error}"]}, 503)

    def _route(self, database: sqlite3.Connection, method: str, path: str, body: Any) -> Answer:
        match method, path.split("/"):
            case "POST", ["traces" | "spans" as kind, "batch"]:
                for document in _batch(body, kind):
                    self._write(database, kind, document)
                return Answer(204)
            case "POST", ["traces" | "spans" as kind]:
                self._write(database, kind, body)
                return Answer(201)
            case "PUT", ["traces" | "spans" as kind, "feedback-scores"]:
                for score in _batch(body, "scores"):
                    self._score(database, kind, score)
                return Answer(204)
            case "POST", ["traces" | "spans" as kind, "search"]:
                return self._search(database, kind, body or {})
            case "PATCH", ["traces" | "spans" as kind, identity]:
                self._write(database, kind, {**_stored(database, kind, identity), **_without_nones(body)}, replace=True)
                return Answer(204)
            case "GET", ["traces" | "spans" as kind, identity]:
                return as_json(self._read(database, kind, _stored(database, kind, identity)))
        return self._route_further(database, method, path, body)

    def _route_further(self, database: sqlite3.Connection, method: str, path: str, body: Any) -> Answer:
        """Return the response about anything but traces and spans."""
        match method, path.split("/"):
            case "GET", ["is-alive", *_]:
                return as_json({"message": "Healthy Server", "healthy": True, "version": VERSION})
            case "POST", ["projects", "retrieve"]:
                return as_json(_project(database, "name", body.get("name")))
            case "GET", ["projects", identity]:
                return as_json(_project(database, "id", identity))
            case _, [("datasets" | "experiments"), *_] as parts:
                now, trace_of = self._now().isoformat(), partial(self._trace, database)
                found = local_evaluations.answer(database, method, parts, body, now, trace_of)
                if found is not None:
                    return found
        raise RejectedError(404, f"embedded Opik does not offer {method} {path}; configure a server to use it")

    def _trace(self, database: sqlite3.Connection, identity: str) -> Document | None:
        """Return a trace with its scores; None when there is none."""
        try:
            return self._read(database, "traces", _stored(database, "traces", identity))
        except RejectedError:
            return None

    def _write(self, database: sqlite3.Connection, kind: str, sent: Document, *, replace: bool = False) -> None:
        """Store a trace or a span, replacing the one with its id unless that was updated later."""
        document = _without_nones(sent)
        identity = _checked(document.get("id"))
        if "start_time" not in document:
            raise RejectedError(400, "start_time must not be null")
        trace = identity if kind == "traces" else _checked(document.get("trace_id"))
        now = self._now().isoformat()
        project = self._project_id(database, document.pop("project_name", None) or DEFAULT_PROJECT, now)
        row = database.execute("SELECT document FROM records WHERE kind = ? AND id = ?", (kind, identity)).fetchone()
        old = json.loads(row[0]) if row else {}
        document = {"created_at": old.get("created_at", now), "last_updated_at": now, **document}
        if old and not replace and old["last_updated_at"] > document["last_updated_at"]:
            return
        database.execute(
            "INSERT OR REPLACE INTO records (kind, id, project_id, trace_id, document) VALUES (?, ?, ?, ?, ?)",
            (kind, identity, project, trace, json.dumps(document)),
        )

    def _project_id(self, database: sqlite3.Connection, name: str, now: str) -> str:
        identity = str(uuid5(NAMESPACE_URL, f"opik:{name}"))
        database.execute(
            "INSERT OR IGNORE INTO projects (id, name, created_at) VALUES (?, ?, ?)", (identity, name, now)
        )
        return identity

    def _score(self, database: sqlite3.Connection, kind: str, score: Document) -> None:
        now = self._now().isoformat()
        kept = {name: score[name] for name in ("name", "category_name", "value", "reason", "source") if score.get(name)}
        kept = {"source": "sdk", **kept, "value": score["value"], "created_at": now, "last_updated_at": now}
        database.execute(
            "INSERT OR REPLACE INTO scores (kind, id, name, document) VALUES (?, ?, ?, ?)",
            (kind, _checked(score.get("id")), score["name"], json.dumps(kept)),
        )

    def _search(self, database: sqlite3.Connection, kind: str, query: Document) -> Answer:
        """Return the newest ids first, as lines of JSON."""
        clauses, values = ["kind = ?"], [kind]
        if query.get("project_name"):
            clauses.append("project_id = (SELECT id FROM projects WHERE name = ?)")
            values.append(query["project_name"])
        for column in ("project_id", "trace_id"):
            if query.get(column):
                clauses.append(f"{column} = ?")
                values.append(query[column])
        if query.get("last_retrieved_id"):
            clauses.append("id < ?")
            values.append(query["last_retrieved_id"])
        rows = database.execute(
            f"SELECT project_id, document FROM records WHERE {' AND '.join(clauses)} ORDER BY id DESC", values
        )
        limit = min(int(query.get("limit") or 500), LONGEST_PAGE)
        hidden = set(query.get("exclude") or [])
        lines: list[bytes] = []
        for project, text in rows:
            document = self._read(database, kind, {**json.loads(text), "project_id": project})
            try:
                if matches(document, query.get("filters") or []):
                    shown = {name: value for name, value in document.items() if name not in hidden}
                    lines.append(json.dumps(shown).encode() + b"\n")
            except BadFilter as error:
                raise RejectedError(400, str(error)) from error
            if len(lines) == limit:
                break
        return Answer(200, b"".join(lines), "application/octet-stream")

    def _read(self, database: sqlite3.Connection, kind: str, document: Document) -> Document:
        """Return a document with its scores, duration (milliseconds) and, for a trace, data of its spans."""
        shown = {**document, "feedback_scores": _scores(database, kind, document["id"])}
        if "end_time" in document:
            took = datetime.fromisoformat(document["end_time"]) - datetime.fromisoformat(document["start_time"])
            shown["duration"] = took.total_seconds() * 1000
        if kind == "traces":
            spans = database.execute(
                "SELECT document FROM records WHERE kind = 'spans' AND trace_id = ?", (document["id"],)
            ).fetchall()
            shown["span_count"] = len(spans)
            usage: dict[str, int] = {}
            for (text,) in spans:
                for name, count in (json.loads(text).get("usage") or {}).items():
                    usage[name] = usage.get(name, 0) + count
            if usage:
                shown["usage"] = usage
        return shown

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """Open a connection for one request, with one transaction around it, synced to disk."""
        database = sqlite3.connect(self.path, timeout=self._wait)
        try:
            database.execute("PRAGMA synchronous = FULL")
            with database:
                yield database
        finally:
            database.close()


def _batch(body: Any, name: str) -> list[Document]:
    documents = body.get(name) if isinstance(body, Mapping) else None
    if not isinstance(documents, list) or not 1 <= len(documents) <= LARGEST_BATCH:
        raise RejectedError(400, f"{name} size must be between 1 and {LARGEST_BATCH}")
    return documents


def _checked(identity: Any) -> str:
    try:
        if UUID(str(identity)).version == 7:
            return str(identity)
    except ValueError:
        pass
    raise RejectedError(400, f"id must be a UUID of version 7, not {identity!r}")


def _stored(database: sqlite3.Connection, kind: str, identity: str) -> Document:
    row = database.execute(
        "SELECT document, project_id, name FROM records JOIN projects ON projects.id = project_id"
        " WHERE kind = ? AND records.id = ?",
        (kind, identity),
    ).fetchone()
    if row is None:
        raise RejectedError(404, f"{kind}: {identity} not found")
    document: Document = json.loads(row[0])
    return {**document, "project_id": row[1], "project_name": row[2]}


def _scores(database: sqlite3.Connection, kind: str, identity: str) -> list[Document]:
    rows = database.execute("SELECT document FROM scores WHERE kind = ? AND id = ? ORDER BY name", (kind, identity))
    return [json.loads(row[0]) for row in rows]


def _project(database: sqlite3.Connection, column: str, value: Any) -> Document:
    assert re.fullmatch("id|name", column)
    row = database.execute(f"SELECT id, name, created_at FROM projects WHERE {column} = ?", (value,)).fetchone()
    if row is None:
        raise RejectedError(404, f"project {value!r} not found")
    return {"id": row[0], "name": row[1], "created_at": row[2], "last_updated_at": row[2]}


def _without_nones(document: Document) -> Document:
    return {name: value for name, value in document.items() if value is not None}
