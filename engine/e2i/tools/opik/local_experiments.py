"""Datasets and experiments of the embedded backend. In: requests of ``opik.evaluate`` and of readers. Out: documents.

Datasets have no versions here: an evaluation makes a dataset for its cases and never changes it. Functions that take a
database run in the transaction of one request.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from uuid import uuid4

TABLES = """
CREATE TABLE IF NOT EXISTS datasets (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, project TEXT NOT NULL, document TEXT NOT NULL, UNIQUE (project, name)
);
CREATE TABLE IF NOT EXISTS dataset_items (
    id TEXT PRIMARY KEY, dataset TEXT NOT NULL, document TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS dataset_items_dataset ON dataset_items (dataset, id);
CREATE TABLE IF NOT EXISTS experiments (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, dataset TEXT NOT NULL, document TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS experiment_items (
    id TEXT PRIMARY KEY, experiment TEXT NOT NULL, item TEXT NOT NULL, trace TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS experiment_items_experiment ON experiment_items (experiment, item);
"""

SHOWN = ("input", "output", "feedback_scores", "duration")
"""What of a trace is shown beside the item that it evaluated."""
Document = dict[str, Any]
TraceOf = Callable[[str], Document | None]
"""Returns the trace of an id with its scores; None when it has not arrived."""


def create_dataset(database: sqlite3.Connection, sent: Document, now: str) -> str | None:
    """Stores a new dataset. Returns its id; None when there is one of that name in the project."""
    identity = str(sent.get("id") or uuid4())
    document = {**sent, "id": identity, "created_at": now, "last_updated_at": now}
    row = (identity, sent["name"], _project(sent), json.dumps(document))
    changed = database.execute("INSERT OR IGNORE INTO datasets (id, name, project, document) VALUES (?, ?, ?, ?)", row)
    return identity if changed.rowcount else None


def dataset(
    database: sqlite3.Connection, *, name: str | None = None, project: str = "", identity: str = ""
) -> Document | None:
    """Returns a dataset by its id, or by its name and project."""
    column, values = ("id = ?", (identity,)) if name is None else ("name = ? AND project = ?", (name, project))
    row = database.execute(f"SELECT document FROM datasets WHERE {column}", values).fetchone()
    if row is None:
        return None
    found: Document = json.loads(row[0])
    count = database.execute("SELECT count(*) FROM dataset_items WHERE dataset = ?", (found["id"],)).fetchone()[0]
    return {**found, "dataset_items_count": count}


def named(database: sqlite3.Connection, query: Document) -> Document | None:
    """Returns the dataset that a request names: by its id, or by its name and project."""
    if query.get("dataset_id"):
        return dataset(database, identity=str(query["dataset_id"]))
    return dataset(database, name=str(query.get("dataset_name") or query.get("name")), project=_project(query))


def put_items(database: sqlite3.Connection, owner: str, items: Iterable[Document], now: str) -> None:
    """Stores items of a dataset; an item replaces one of its id."""
    database.executemany(
        "INSERT OR REPLACE INTO dataset_items (id, dataset, document) VALUES (?, ?, ?)",
        [
            (item["id"], owner, json.dumps({**item, "dataset_id": owner, "created_at": now, "last_updated_at": now}))
            for item in ({**item, "id": str(item.get("id") or uuid4())} for item in items)
        ],
    )


def items(database: sqlite3.Connection, owner: str, after: str | None, limit: int) -> Iterator[Document]:
    """Yields items of a dataset by falling id, from below ``after``."""
    rows = database.execute(
        "SELECT document FROM dataset_items WHERE dataset = ? AND (? IS NULL OR id < ?) ORDER BY id DESC LIMIT ?",
        (owner, after, after, limit),
    )
    return (json.loads(row[0]) for row in rows.fetchall())


def create_experiment(database: sqlite3.Connection, sent: Document, owner: Document, now: str) -> str:
    """Stores an experiment on a dataset. Returns its id."""
    identity = str(sent.get("id") or uuid4())
    facts = {"id": identity, "dataset_id": owner["id"], "dataset_name": owner["name"], "status": "running"}
    document = {**sent, **facts, "created_at": now, "last_updated_at": now}
    database.execute(
        "INSERT OR REPLACE INTO experiments (id, name, dataset, document) VALUES (?, ?, ?, ?)",
        (identity, sent.get("name") or identity, owner["id"], json.dumps(document)),
    )
    return identity


def put_experiment_items(database: sqlite3.Connection, sent: Iterable[Document]) -> None:
    """Stores which trace evaluated which item."""
    database.executemany(
        "INSERT OR REPLACE INTO experiment_items (id, experiment, item, trace) VALUES (?, ?, ?, ?)",
        [
            (str(item.get("id") or uuid4()), item["experiment_id"], item["dataset_item_id"], item["trace_id"])
            for item in sent
        ],
    )


def finish(database: sqlite3.Connection, ids: Iterable[str], now: str) -> None:
    """Marks experiments as completed."""
    for identity in ids:
        row = database.execute("SELECT document FROM experiments WHERE id = ?", (identity,)).fetchone()
        if row is not None:
            document = {**json.loads(row[0]), "status": "completed", "finished_at": now, "last_updated_at": now}
            database.execute("UPDATE experiments SET document = ? WHERE id = ?", (json.dumps(document), identity))


def delete(database: sqlite3.Connection, ids: Iterable[str]) -> None:
    """Removes experiments and what they made of items. Their traces stay, as on a server."""
    for identity in ids:
        database.execute("DELETE FROM experiments WHERE id = ?", (identity,))
        database.execute("DELETE FROM experiment_items WHERE experiment = ?", (identity,))


def experiment(database: sqlite3.Connection, identity: str, trace_of: TraceOf) -> Document | None:
    """Returns an experiment with the mean of each score; None when there is none."""
    row = database.execute("SELECT document FROM experiments WHERE id = ?", (identity,)).fetchone()
    if row is None:
        return None
    traces = [trace for _, _, trace in _rows(database, identity)]
    values: dict[str, list[float]] = {}
    for found in filter(None, map(trace_of, traces)):
        for score in found.get("feedback_scores") or []:
            values.setdefault(score["name"], []).append(float(score["value"]))
    means = [{"name": name, "value": sum(known) / len(known)} for name, known in sorted(values.items())]
    return {**json.loads(row[0]), "trace_count": len(traces), "feedback_scores": means}


def experiments(database: sqlite3.Connection, name: str, after: str | None, trace_of: TraceOf) -> list[Document]:
    """Returns the experiments whose name contains ``name``, newest first, from below the id ``after``."""
    rows = database.execute(
        "SELECT id FROM experiments WHERE instr(lower(name), lower(?)) AND (? IS NULL OR id < ?) ORDER BY id DESC",
        (name, after, after),
    ).fetchall()
    return [found for (identity,) in rows if (found := experiment(database, identity, trace_of))]


def compared(database: sqlite3.Connection, owner: str, query: Mapping[str, Any], trace_of: TraceOf) -> Document:
    """Returns a page of a dataset's items, each with what the experiments made of it."""
    chosen = json.loads(query.get("experiment_ids") or "[]")
    page, size = int(query.get("page") or 1), int(query.get("size") or 10)
    by_item: dict[str, list[Document]] = {}
    for identity in chosen:
        for row, item, trace in _rows(database, identity):
            found = trace_of(trace) or {}
            shown: Document = {name: found[name] for name in SHOWN if name in found}
            by_item.setdefault(item, []).append(
                {"id": row, "experiment_id": identity, "dataset_item_id": item, "trace_id": trace, **shown}
            )
    every = [item for item in items(database, owner, None, -1) if item["id"] in by_item]
    shown_items = every[(page - 1) * size : page * size]
    content = [{**item, "experiment_items": by_item[item["id"]]} for item in shown_items]
    return {"content": content, "page": page, "size": len(content), "total": len(every), "columns": []}


def _rows(database: sqlite3.Connection, identity: str) -> list[tuple[str, str, str]]:
    rows = database.execute(
        "SELECT id, item, trace FROM experiment_items WHERE experiment = ? ORDER BY item, id", (identity,)
    )
    return rows.fetchall()


def _project(sent: Mapping[str, Any]) -> str:
    return str(sent.get("project_name") or "")
