"""Routes of the embedded backend for datasets and experiments. In: requests. Out: responses."""

from __future__ import annotations

import sqlite3
from http import HTTPStatus
from typing import Any

from e2i.tools.opik import local_experiments as kept
from e2i.tools.opik.local_answers import Answer, RejectedError, as_json, as_lines, created, found

MOST_LINES = 2000
RESOURCES = ("datasets", "experiments")
"""First parts of the paths that are served here."""


def answer(
    database: sqlite3.Connection, method: str, parts: list[str], body: Any, now: str, trace_of: kept.TraceOf
) -> Answer | None:
    """Return the response; None for a route that is not offered. ``body`` of a GET request is its query."""
    query = body or {}
    if parts[0] == "datasets":
        return _datasets(database, method, parts[1:], query, now, trace_of)
    return _experiments(database, method, parts[1:], query, now, trace_of)


def _datasets(
    database: sqlite3.Connection, method: str, parts: list[str], query: Any, now: str, trace_of: kept.TraceOf
) -> Answer | None:
    match method, parts:
        case "POST", ["retrieve"]:
            return as_json(found(kept.named(database, query), f"dataset {query.get('dataset_name')!r}"))
        case "POST", []:
            identity = kept.create_dataset(database, query, now)
            if identity is None:
                raise RejectedError(HTTPStatus.CONFLICT, f"dataset {query['name']!r} already exists")
            return created(f"datasets/{identity}")
        case "PUT", ["items"]:
            owner = found(kept.named(database, query), "dataset")
            kept.put_items(database, owner["id"], query.get("items") or [], now)
            return Answer(HTTPStatus.NO_CONTENT)
        case "POST", ["items", "stream"]:
            owner = found(kept.named(database, query), "dataset")
            limit = min(int(query.get("steam_limit") or 500), MOST_LINES)
            return as_lines(kept.items(database, owner["id"], query.get("last_retrieved_id"), limit))
        case "GET", [_, "versions"]:
            return as_json({"content": [], "page": 1, "size": 0, "total": 0})
        case "GET", [identity, "items", "experiments", "items"]:
            return as_json(kept.compared(database, identity, query, trace_of))
        case "GET", [identity]:
            return as_json(found(kept.dataset(database, identity=identity), f"dataset {identity}"))
    return None


def _experiments(
    database: sqlite3.Connection, method: str, parts: list[str], query: Any, now: str, trace_of: kept.TraceOf
) -> Answer | None:
    match method, parts:
        case "POST", []:
            owner = found(kept.named(database, query), f"dataset {query.get('dataset_name')!r}")
            return created(f"experiments/{kept.create_experiment(database, query, owner, now)}")
        case "POST", ["items"]:
            kept.put_experiment_items(database, query.get("experiment_items") or [])
            return Answer(HTTPStatus.NO_CONTENT)
        case "POST", ["finish"]:
            kept.finish(database, query.get("ids") or [], now)
            return Answer(HTTPStatus.NO_CONTENT)
        case "POST", ["delete"]:
            kept.delete(database, query.get("ids") or [])
            return Answer(HTTPStatus.NO_CONTENT)
        case "POST", ["stream"]:
            name, after = str(query.get("name") or ""), query.get("last_retrieved_id")
            every = kept.experiments(database, name, after, trace_of)
            return as_lines(every[: min(int(query.get("limit") or 500), MOST_LINES)])
        case "GET", [identity]:
            return as_json(found(kept.experiment(database, identity, trace_of), f"experiment {identity}"))
    return None
