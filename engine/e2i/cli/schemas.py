"""The JSON Schemas of specs and of the documents that commands print. Each comes from the struct that is printed.

In: a kind. Out: its schema, as ``schemas/KIND.v1.json`` holds it.
"""

from __future__ import annotations

from typing import Any

from e2i.catalog.schema import pipeline_schema
from e2i.documents import DIALECT, JsonSchema, json_schema


def schema(kind: str) -> JsonSchema:
    """Returns the JSON Schema of specs (``pipeline``), of test files (``test``) or of a kind of document."""
    if kind == "pipeline":
        return pipeline_schema()
    if kind == "test":
        from e2i.testing.models import CaseFile

        shape = CaseFile.model_json_schema()
        return {"$schema": DIALECT, "$id": "test.v1.json", **shape, "title": "e2i test file, version 1"}
    document, title = _documents()[kind]
    return json_schema(document, kind, f"e2i {title}, version 1")


def _documents() -> dict[str, tuple[Any, str]]:
    """Returns the printed documents by kind, with their titles. Imports most of the program."""
    from e2i.approvals.granting import ApprovalsDocument, KeysDocument
    from e2i.approvals.record import Approval
    from e2i.cli.add_command import AddDocument
    from e2i.cli.catalog_document import BriefCatalog, FullCatalog, Signatures
    from e2i.cli.doctor import DoctorDocument
    from e2i.cli.explain_view import ExplainDocument
    from e2i.cli.export_command import ExportDocument, ResultDocument
    from e2i.cli.fix_command import FixDocument
    from e2i.cli.gc_command import PinnedDocument
    from e2i.cli.readiness import ReadyDocument
    from e2i.cli.sync_command import SyncDocument
    from e2i.execution.events import Event
    from e2i.impact.results import ImpactDocument
    from e2i.operations.notification import Notification
    from e2i.operations.oplog import LogLine
    from e2i.planning.diff import SpecDiffDocument
    from e2i.planning.model import PlanDocument
    from e2i.records.differences import RunDiff
    from e2i.records.provenance import ProvenanceDocument
    from e2i.rehearsal.results import RehearsalDocument
    from e2i.reruns.explanation import ExplanationDocument
    from e2i.reruns.results import VerificationDocument
    from e2i.scaffold.project import InitDocument
    from e2i.spec.problems import ProblemsDocument
    from e2i.store.backup import BackupDocument, RestoreDocument
    from e2i.store.collect import Freed
    from e2i.store.past import RecordedRun, RunList
    from e2i.telemetry.inspection import ChangedDocument, EntriesDocument, OutboxDocument
    from e2i.testing.mutation.results import MutationDocument
    from e2i.testing.recording import RecordedCase
    from e2i.testing.results import SuiteDocument

    return {
        "problems": (ProblemsDocument, "problems"),
        "plan": (PlanDocument, "plan"),
        "events": (Event, "event, one line of `e2i run --json`"),
        "notification": (Notification, "notification of the end of a run, for hooks"),
        "log": (LogLine, "line of the log"),
        "runs": (RunList, "list of runs"),
        "run": (RecordedRun, "run"),
        "comparison": (RunDiff, "comparison of two runs"),
        "provenance": (ProvenanceDocument, "provenance"),
        "result": (ResultDocument, "result of a run"),
        "export": (ExportDocument, "export"),
        "doctor": ((DoctorDocument, ReadyDocument), "doctor"),
        "explanation": (ExplanationDocument, "explanation of a change"),
        "verification": (VerificationDocument, "verification of a run"),
        "sync": (SyncDocument, "sync"),
        "outbox": ((OutboxDocument, EntriesDocument, ChangedDocument), "outbox"),
        "gc": ((Freed, PinnedDocument), "gc"),
        "backup": (BackupDocument, "backup"),
        "restore": (RestoreDocument, "restore"),
        "init": (InitDocument, "init"),
        "fix": (FixDocument, "fix"),
        "add": (AddDocument, "added step"),
        "diff": (SpecDiffDocument, "diff of two specs"),
        "impact": (ImpactDocument, "impact of a change"),
        "explain": (ExplainDocument, "explain"),
        "approvals": ((ApprovalsDocument, Approval, KeysDocument), "approvals"),
        "tests": ((SuiteDocument, RecordedCase), "results of tests"),
        "mutants": (MutationDocument, "results of mutants of specs"),
        "rehearsal": (RehearsalDocument, "rehearsal"),
        "catalog": ((BriefCatalog, FullCatalog, Signatures), "catalog"),
    }
