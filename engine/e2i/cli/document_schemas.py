"""Types of the JSON documents that commands print, and their JSON Schemas.

Printed documents are tested against them. A document may have more keys than these: readers ignore unknown ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from e2i.catalog.schema import pipeline_schema
from e2i.documents import DIALECT, json_schema
from e2i.execution.events import Event
from e2i.planning.model import Verdict, Why
from e2i.records.differences import RunDiff
from e2i.records.provenance import ProvenanceDocument
from e2i.store.past import RecordedRun, RunList


class Document(BaseModel):
    """Base of documents and their elements."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, defer_build=True)


Version = Annotated[Literal[1], Field(description="Version of this document type.")]
Pointer = Annotated[str, Field(pattern="^(/[^/]*)*$", description="JSON pointer (RFC 6901) into the spec.")]
Digest = Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")]


class Operation(Document):
    """One RFC 6902 operation on the spec."""

    op: Literal["add", "remove", "replace", "move"]
    path: Pointer
    source: Annotated[Pointer | None, Field(alias="from", description="Source of a move.")] = None
    value: Annotated[Any, Field(description="Value of an add or replace.")] = None


class ProblemDocument(Document):
    """A problem of a spec, with its location."""

    code: Annotated[str, Field(pattern="^[a-z][a-z0-9-]*$", description="Problem code, for `e2i explain CODE`.")]
    severity: Annotated[Literal["error", "warning"], Field(description="A spec with warnings only is valid.")]
    message: Annotated[str, Field(description="Description for people.")]
    file: Annotated[str, Field(description="Path of the file, as the user typed it.")]
    line: Annotated[int, Field(ge=1, description="From 1.")]
    column: Annotated[int, Field(ge=1, description="From 1, in characters.")]
    path: Pointer
    hint: Annotated[str | None, Field(description="What to do about it.")]
    fixes: Annotated[list[Operation], Field(description="Safe fixes; empty when there is none.")]


class Problems(Document):
    """Output of `e2i validate --json`, and of every command with an invalid spec."""

    schema_version: Version
    valid: Annotated[bool, Field(description="True when no problem is an error.")]
    problems: Annotated[list[ProblemDocument], Field(description="All problems, sorted by location.")]


class ReasonDocument(Document):
    """The reason for a step's verdict."""

    code: Annotated[Why, Field(description="Reason code, for programs.")]
    detail: Annotated[str, Field(description="Description for people: the change, with old and new value.")]


class PlanStepDocument(Document):
    """The planned execution of one step."""

    id: Annotated[str, Field(description="The step's id; a matrix combination is `train[XGBoost]`.")]
    uses: Annotated[str, Field(description="The action.")]
    needs: Annotated[list[str], Field(description="The upstream steps.")]
    verdict: Annotated[Verdict, Field(description="undecided: decided once an upstream step has run.")]
    reason: ReasonDocument
    fingerprint: Annotated[Digest | None, Field(description="Hash of all that the result depends on, if known.")]
    inputs: Annotated[dict[str, Any], Field(description="Action, parameters, digests of files, libraries, seed.")]
    options: Annotated[dict[str, Any], Field(description="Conditions, retries, time limits and the like.")]
    final: Annotated[
        Literal[True] | None,
        Field(alias="finally", description="True if it runs after all others, else absent."),
    ] = None


class UndecidedDocument(Document):
    """A parameter known only during the run that decides which file a step reads or which code it runs."""

    step: Annotated[str, Field(description="The step's id.")]
    parameter: Annotated[str, Field(description="Path to the parameter's value.")]
    kind: Annotated[Literal["file", "code"], Field(description="A run that is bound to a plan refuses `code`.")]
    value: Annotated[str, Field(description="The expression.")]


class PlanDocument(Document):
    """Output of `e2i plan --json` and `e2i plan -o`. A run can be bound to it."""

    schema_version: Version
    digest: Annotated[
        Digest, Field(description="Hash of all that can affect execution: all but verdicts, reasons and fingerprints.")
    ]
    name: Annotated[str, Field(description="The pipeline's name.")]
    profile: Annotated[str, Field(description="The profile of the settings.")]
    params: Annotated[dict[str, Any], Field(description="The value of every parameter.")]
    outputs: Annotated[
        dict[str, Any],
        Field(description="The pipeline's outputs; expressions for values still unknown."),
    ]
    environment: Annotated[
        dict[str, Any],
        Field(description="Settings that affect a run: policy, tools, sinks, names of secrets."),
    ]
    undecided: Annotated[list[UndecidedDocument], Field(description="Files and code known only during the run.")]
    steps: Annotated[list[PlanStepDocument], Field(description="In topological order.")]
    summary: Annotated[dict[Verdict, int], Field(description="Number of steps with each verdict.")]
    checksum: Annotated[Digest, Field(description="Hash of this document without this field.")]


class ErrorDocument(Document):
    """The error of a failed step."""

    code: str
    message: str


def _schema(kind: Any, name: str, title: str) -> dict[str, Any]:
    found = TypeAdapter(kind).json_schema(by_alias=True, mode="serialization")
    return {"$schema": DIALECT, "$id": f"{name}.v1.json", **found, "title": title}


def _of_store(kind: str, name: str, title: str) -> dict[str, Any]:
    from e2i.cli import store_schemas  # it imports them too

    return _schema(getattr(store_schemas, kind), name, title)


SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {
    "pipeline": pipeline_schema,
    "problems": lambda: _schema(Problems, "problems", "e2i problems, version 1"),
    "plan": lambda: _schema(PlanDocument, "plan", "e2i plan, version 1"),
    "events": lambda: json_schema(Event, "events", "e2i event, one line of `e2i run --json`, version 1"),
    "runs": lambda: json_schema(RunList, "runs", "e2i list of runs, version 1"),
    "run": lambda: json_schema(RecordedRun, "run", "e2i run, version 1"),
    "comparison": lambda: json_schema(RunDiff, "comparison", "e2i comparison of two runs, version 1"),
    "provenance": lambda: json_schema(ProvenanceDocument, "provenance", "e2i provenance, version 1"),
    "doctor": lambda: _of_store("DoctorDocument", "doctor", "e2i doctor, version 1"),
    "sync": lambda: _of_store("SyncDocument", "sync", "e2i sync, version 1"),
    "gc": lambda: _of_store("CollectionDocument", "gc", "e2i gc, version 1"),
    "backup": lambda: _of_store("BackupDocument", "backup", "e2i backup, version 1"),
    "init": lambda: _of_store("InitDocument", "init", "e2i init, version 1"),
    "restore": lambda: _of_store("RestoreDocument", "restore", "e2i restore, version 1"),
}
"""The kinds of schema; ``schemas/NAME.v1.json`` holds each."""
