"""Export a run as OpenLineage events: one start and one end for the run and for each step.

In: a past run. Out: events. https://openlineage.io/spec/2-0-2/OpenLineage.json. Equal runs have equal
events, because ids are derived from the run's. Nothing is sent anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from e2i import __version__
from e2i.documents import JsonObject
from e2i.records import lineage
from e2i.records.lineage import File, Output, Step
from e2i.records.past import PastRun
from e2i.store.past import RecordedRun

SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
FACETS = "https://openlineage.io/spec/facets"
PRODUCER = f"urn:e2i:agent:{__version__}"
NAMESPACE = "e2i"
ENDS = {
    "succeeded": "COMPLETE",
    "reused": "COMPLETE",
    "failed": "FAIL",
    "deferred": "FAIL",
    "interrupted": "ABORT",
    "cancelled": "ABORT",
    "skipped": "ABORT",
}
"""OpenLineage's names for the end of a run or a step. A skipped step has no events, unless it had an attempt."""

Event = JsonObject
"""An event, or a part of one, with the keys of OpenLineage."""


def events(past: PastRun) -> list[Event]:
    """Returns all events, ordered by time. An unfinished run or step has only its start."""
    steps = lineage.of(past)
    found = list(_of_run(past.run, steps.values()))
    for step in steps.values():
        if step.row.attempts or step.row.status == "reused":
            found += _of_step(past.run, step)
    return sorted(found, key=lambda event: str(event["eventTime"]))  # stable: a run starts before its steps


def run_id(run: str, step: str = "") -> UUID:
    """Returns the UUID of a run or of one of its steps, which never changes."""
    of_run = uuid5(NAMESPACE_URL, f"e2i:run:{run}")
    return uuid5(of_run, step) if step else of_run


def _of_run(run: RecordedRun, steps: Collection[Step]) -> Iterator[Event]:
    facets = {"processing_engine": _facet("1-1-1/ProcessingEngineRunFacet", version=_version(run), name="e2i")}
    facets["executionParameters"] = _facet(
        "1-0-0/ExecutionParametersRunFacet",
        parameters=[{"key": name, "value": _text(value)} for name, value in sorted(run.params.items())],
    )
    job = {"namespace": NAMESPACE, "name": run.pipeline, "facets": _job(run, "DAG")}
    inputs = [_file(file) for file in _unique(file for step in steps for file in step.files)]
    made = {
        output.address: output
        for step in steps
        for output in step.outputs
        if output.digest and step.row.status == "succeeded"
    }
    start = _event("START", run.started_ms, run_id(run.id), job, facets)
    yield {**start, "inputs": inputs, "outputs": []}
    if run.ended_ms is not None and (end := ENDS.get(run.status)):
        failures = [f"{step.id}: {step.row.error.message}" for step in steps if step.row.error]
        if end == "FAIL" and failures:
            facets = {**facets, "errorMessage": _error("\n".join(failures))}
        event = _event(end, run.ended_ms, run_id(run.id), job, facets)
        yield {**event, "inputs": inputs, "outputs": [_output(run, output) for output in made.values()]}


def _of_step(run: RecordedRun, step: Step) -> Iterator[Event]:
    parent = {
        "run": {"runId": str(run_id(run.id))},
        "job": {"namespace": NAMESPACE, "name": run.pipeline},
    }
    facets = {"parent": _facet("1-1-0/ParentRunFacet", **parent, root=parent)}
    job = {
        "namespace": NAMESPACE,
        "name": f"{run.pipeline}.{step.id}",
        "facets": _job(run, "TASK", step.uses),
    }
    inputs = [_file(file) for file in step.files]
    inputs += [_output(run, output) for output in step.reads if output.digest]
    moments = (step.row.started_ms, step.row.ended_ms, run.started_ms)
    started = next(moment for moment in moments if moment is not None)
    name = run_id(run.id, step.id)
    yield {**_event("START", started, name, job, facets), "inputs": inputs, "outputs": []}
    if step.row.ended_ms is not None and (end := ENDS.get(step.row.status)):
        if step.row.error:
            facets = {**facets, "errorMessage": _error(step.row.error.message)}
        outputs = [_output(run, output) for output in step.outputs if output.digest]
        yield {**_event(end, step.row.ended_ms, name, job, facets), "inputs": inputs, "outputs": outputs}


def _event(kind: str, at_ms: int, run: UUID, job: Event, facets: Event) -> Event:
    return {
        "eventType": kind,
        "eventTime": _time(at_ms),
        "producer": PRODUCER,
        "schemaURL": SCHEMA,
        "run": {"runId": str(run), "facets": dict(facets)},
        "job": dict(job),
    }


def _job(run: RecordedRun, kind: str, action: str = "") -> Event:
    """Returns the facets of a job, with its type and the location of its spec. Repositories need a public address."""
    facets = {"jobType": _facet("2-0-3/JobTypeJobFacet", processingType="BATCH", integration="E2I", jobType=kind)}
    if action:
        facets["documentation"] = _facet("1-0-1/DocumentationJobFacet", description=action)
    else:
        facets["sourceCode"] = _facet("1-0-1/SourceCodeJobFacet", language="YAML", sourceCode=run.spec)
    git = run.provenance.repository
    if git.remote and git.commit:
        described = {"repoUrl": git.remote, "path": git.path, "version": git.commit, "branch": git.branch}
        facets["sourceCodeLocation"] = _facet(
            "1-0-1/SourceCodeLocationJobFacet",
            type="git",
            url=git.remote,
            **{name: value for name, value in described.items() if value},
        )
    return facets


def _output(run: RecordedRun, output: Output) -> Event:
    """Returns an artifact as a dataset: its name is the same in every run, its version is its digest."""
    value = output.value
    facets = {
        "version": _facet("1-0-1/DatasetVersionDatasetFacet", datasetVersion=output.digest),
        "datasetType": _facet("1-0-0/DatasetTypeDatasetFacet", datasetType=output.type.upper()),
    }
    fields = [{"name": column["name"], "type": column["type"]} for column in value.get("columns") or ()]
    fields = fields or [{"name": name} for name in value.get("features") or ()]
    if fields:
        facets["schema"] = _facet("1-1-1/SchemaDatasetFacet", fields=fields)
    return {"namespace": NAMESPACE, "name": f"{run.pipeline}.{output.address}", "facets": facets}


def _file(file: File) -> Event:
    """Returns a file of the workspace as a dataset, with its relative path."""
    facets = {"datasetType": _facet("1-0-0/DatasetTypeDatasetFacet", datasetType="FILE")}
    if file.digest:
        facets["version"] = _facet("1-0-1/DatasetVersionDatasetFacet", datasetVersion=file.digest)
    return {"namespace": "file", "name": file.path, "facets": facets}


def _error(message: str) -> Event:
    return _facet("1-0-1/ErrorMessageRunFacet", message=message, programmingLanguage="PYTHON")


def _facet(kind: str, **content: Any) -> Event:
    """``kind``: version and name of the facet's schema."""
    name = kind.rpartition("/")[2]
    return {"_producer": PRODUCER, "_schemaURL": f"{FACETS}/{kind}.json#/$defs/{name}", **content}


def _time(milliseconds: int) -> str:
    """Returns the time in RFC 3339, in UTC."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03}Z"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _version(run: RecordedRun) -> str:
    return run.provenance.e2i or __version__


def _unique(files: Iterable[File]) -> list[File]:
    return sorted(set(files), key=lambda file: file.path)
