"""The JSON Schemas of specs and of the documents that commands print. Each comes from the struct that is printed.

In: a kind. Out: its schema, as ``schemas/KIND.v1.json`` holds it.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from e2i.catalog.schema import pipeline_schema
from e2i.cli import document_schemas, record_schemas
from e2i.cli.doctor import DoctorDocument
from e2i.cli.gc_command import PinnedDocument
from e2i.cli.sync_command import SyncDocument
from e2i.documents import DIALECT, JsonSchema, json_schema
from e2i.planning.model import PlanDocument
from e2i.scaffold.project import InitDocument
from e2i.spec.problems import ProblemsDocument
from e2i.store.backup import BackupDocument, RestoreDocument
from e2i.store.collect import Freed

DOCUMENTS: dict[str, tuple[Any, str]] = {
    "problems": (ProblemsDocument, "e2i problems, version 1"),
    "plan": (PlanDocument, "e2i plan, version 1"),
    "events": (document_schemas.Events, "e2i event, one line of `e2i run --json`, version 1"),
    "runs": (record_schemas.Runs, "e2i list of runs, version 1"),
    "run": (record_schemas.RunDocument, "e2i run, version 1"),
    "comparison": (record_schemas.Comparison, "e2i comparison of two runs, version 1"),
    "provenance": (record_schemas.ProvenanceDocument, "e2i provenance, version 1"),
    "doctor": (DoctorDocument, "e2i doctor, version 1"),
    "sync": (SyncDocument, "e2i sync, version 1"),
    "gc": ((Freed, PinnedDocument), "e2i gc, version 1"),
    "backup": (BackupDocument, "e2i backup, version 1"),
    "restore": (RestoreDocument, "e2i restore, version 1"),
    "init": (InitDocument, "e2i init, version 1"),
}
"""The printed documents with the titles of their schemas."""
MODELS = ("events", "runs", "run", "comparison", "provenance")
"""The documents whose schema comes from a model of pydantic."""


def schema(kind: str) -> JsonSchema:
    """Returns the JSON Schema of specs (``pipeline``) or of a kind of document."""
    if kind == "pipeline":
        return pipeline_schema()
    document, title = DOCUMENTS[kind]
    if kind in MODELS:
        found = TypeAdapter(document).json_schema(by_alias=True, mode="serialization")
        return {"$schema": DIALECT, "$id": f"{kind}.v1.json", **found, "title": title}
    return json_schema(document, kind, title)
