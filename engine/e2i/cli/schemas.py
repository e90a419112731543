"""The JSON Schemas of specs and of the documents that commands print. Each comes from the struct that is printed.

In: a kind. Out: its schema, as ``schemas/KIND.v1.json`` holds it.
"""

from __future__ import annotations

from typing import Any

from e2i.catalog.schema import pipeline_schema
from e2i.documents import DIALECT, JsonSchema, json_schema

MODELS = ("events", "runs", "run", "comparison", "provenance")
"""The documents whose schema comes from a model of pydantic."""


def schema(kind: str) -> JsonSchema:
    """Returns the JSON Schema of specs (``pipeline``) or of a kind of document."""
    if kind == "pipeline":
        return pipeline_schema()
    document, title = _documents()[kind]
    if kind in MODELS:
        from pydantic import TypeAdapter

        found = TypeAdapter(document).json_schema(by_alias=True, mode="serialization")
        return {"$schema": DIALECT, "$id": f"{kind}.v1.json", **found, "title": f"e2i {title}, version 1"}
    return json_schema(document, kind, f"e2i {title}, version 1")


def _documents() -> dict[str, tuple[Any, str]]:
    """Returns the printed documents by kind, with their titles. Imports most of the program."""
    from e2i.cli import document_schemas, record_schemas
    from e2i.cli.catalog_document import BriefCatalog, FullCatalog
    from e2i.cli.doctor import DoctorDocument
    from e2i.cli.explain_view import ExplainDocument
    from e2i.cli.fix_command import FixDocument
    from e2i.cli.gc_command import PinnedDocument
    from e2i.cli.sync_command import SyncDocument
    from e2i.planning.diff import SpecDiffDocument
    from e2i.planning.model import PlanDocument
    from e2i.scaffold.project import InitDocument
    from e2i.spec.problems import ProblemsDocument
    from e2i.store.backup import BackupDocument, RestoreDocument
    from e2i.store.collect import Freed

    return {
        "problems": (ProblemsDocument, "problems"),
        "plan": (PlanDocument, "plan"),
        "events": (document_schemas.Events, "event, one line of `e2i run --json`"),
        "runs": (record_schemas.Runs, "list of runs"),
        "run": (record_schemas.RunDocument, "run"),
        "comparison": (record_schemas.Comparison, "comparison of two runs"),
        "provenance": (record_schemas.ProvenanceDocument, "provenance"),
        "doctor": (DoctorDocument, "doctor"),
        "sync": (SyncDocument, "sync"),
        "gc": ((Freed, PinnedDocument), "gc"),
        "backup": (BackupDocument, "backup"),
        "restore": (RestoreDocument, "restore"),
        "init": (InitDocument, "init"),
        "fix": (FixDocument, "fix"),
        "diff": (SpecDiffDocument, "diff of two specs"),
        "explain": (ExplainDocument, "explain"),
        "catalog": ((BriefCatalog, FullCatalog), "catalog"),
    }
