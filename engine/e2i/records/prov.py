"""Export a run's provenance in W3C PROV-O, as a JSON-LD document.

In: a past run. Out: the JSON-LD document. https://www.w3.org/TR/prov-o/. The document contains its context,
so that no reader need fetch one. Ids are ``urn:e2i:`` names. An artifact's is its digest, so that two runs with the
same artifact share one entity.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from msgspec import UNSET

from e2i import __version__
from e2i.documents import JsonObject
from e2i.records import lineage
from e2i.records.lineage import File, Output, Step
from e2i.records.past import PastRun
from e2i.store.past import RecordedRun, RecordedStep

Node = JsonObject
"""A node of the graph, with the keys of PROV-O and of e2i's own terms."""
CONTEXT: Node = {
    "prov": "http://www.w3.org/ns/prov#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "e2i": "urn:e2i:term:",
    "label": "rdfs:label",
    **{
        f"prov:{name}": {"@type": "@id"}
        for name in (
            "used", "wasGeneratedBy", "wasDerivedFrom", "wasAssociatedWith", "wasAttributedTo", "wasInformedBy",
            "hadPlan", "agent", "qualifiedAssociation", "specializationOf",
        )
    },
    **{f"prov:{name}": {"@type": "xsd:dateTime"} for name in ("startedAtTime", "endedAtTime")},
}  # fmt: skip


def document(past: PastRun) -> Node:
    """Returns the graph: run and steps as activities, files and outputs as entities, e2i as the agent."""
    run, steps = past.run, lineage.of(past)
    nodes: dict[str, Node] = {}
    for node in (_agent(run), _plan(run), _run(run), *_of_steps(run, steps)):
        known = nodes.setdefault(node["@id"], node)
        if known is not node:  # two steps with the same output: one entity
            for name in ("prov:wasGeneratedBy", "prov:wasDerivedFrom"):
                known[name] = list(dict.fromkeys((*known.get(name, ()), *node.get(name, ()))))
    graph = [{name: value for name, value in node.items() if value not in (None, UNSET, [])} for node in nodes.values()]
    return {"@context": dict(CONTEXT), "@graph": graph}


def _of_steps(run: RecordedRun, steps: Mapping[str, Step]) -> Iterator[Node]:
    for step in steps.values():
        if step.row.attempts or step.row.status == "reused":
            sources = [_file_id(file) for file in step.files]
            sources += [_entity_id(read, steps[read.step]) for read in step.reads]
            yield from map(_file, step.files)
            yield {**_step(run, step), "prov:used": sources}
            yield from ({**_output(step, output), "prov:wasDerivedFrom": sources} for output in step.outputs)


def _agent(run: RecordedRun) -> Node:
    """Returns the program as an agent. Its machine and libraries are texts of the run, since they are not resources."""
    version = run.provenance.e2i or __version__
    return {
        "@id": f"urn:e2i:agent:{version}",
        "@type": ["prov:Agent", "prov:SoftwareAgent"],
        "label": f"e2i {version}",
    }


def _plan(run: RecordedRun) -> Node:
    git = run.provenance.repository
    return {
        "@id": f"urn:e2i:plan:{run.plan.digest}",
        "@type": ["prov:Entity", "prov:Plan"],
        "label": run.pipeline,
        "prov:value": run.spec,
        "e2i:digest": run.provenance.spec,
        "e2i:repository": git.remote,
        "e2i:commit": git.commit,
        "e2i:dirty": git.dirty,
        "e2i:path": git.path,
    }


def _run(run: RecordedRun) -> Node:
    origin = run.provenance
    return {
        "@id": _run_id(run.id),
        "@type": "prov:Activity",
        "label": f"run {run.id} of {run.pipeline}",
        **_times(run),
        **_associated(run),
        "e2i:status": run.status,
        "e2i:parameters": _json(run.params),
        "e2i:seed": origin.seed,
        "e2i:python": origin.python,
        "e2i:libraries": _json(origin.libraries or {}),
        "e2i:host": origin.host,
    }


def _step(run: RecordedRun, step: Step) -> Node:
    """Returns the activity of the step's execution, in this run or in the one whose result it reused."""
    own = {**_times(step.row), **_associated(run)} if step.made_in == run.id else {}
    return {
        "@id": _step_id(step),
        "@type": "prov:Activity",
        "label": f"step {step.id} ({step.uses})",
        **own,
        "prov:wasInformedBy": [_run_id(step.made_in)],
        "e2i:action": step.uses,
        "e2i:status": "succeeded" if step.row.status == "reused" else step.row.status,
        "e2i:parameters": _json(step.parameters),
        "e2i:fingerprint": step.row.fingerprint,
        "e2i:error": step.row.error.message if step.row.error else None,
    }


def _associated(run: RecordedRun) -> Node:
    agent, plan = _agent(run)["@id"], _plan(run)["@id"]
    association = {"@type": "prov:Association", "prov:agent": agent, "prov:hadPlan": plan}
    return {"prov:wasAssociatedWith": [agent], "prov:qualifiedAssociation": association}


def _output(step: Step, output: Output) -> Node:
    return {
        "@id": _entity_id(output, step),
        "@type": "prov:Entity",
        "label": output.address,
        "prov:wasGeneratedBy": [_step_id(step)],
        "e2i:type": output.type,
        "e2i:digest": output.digest,
        "prov:value": None if output.digest else _json(output.value),
    }


def _file(file: File) -> Node:
    label = {"@id": _file_id(file), "@type": "prov:Entity", "label": file.path}
    return {**label, "e2i:type": "file", "e2i:digest": file.digest}


def _run_id(run: str) -> str:
    return f"urn:e2i:run:{quote(run)}"


def _step_id(step: Step) -> str:
    return f"{_run_id(step.made_in)}:step:{quote(step.id, safe='')}"


def _entity_id(output: Output, step: Step) -> str:
    """Returns the id of an artifact by its digest, of a plain value by its step."""
    return f"urn:e2i:{output.digest}" if output.digest else f"{_step_id(step)}:output:{quote(output.name, safe='')}"


def _file_id(file: File) -> str:
    return f"urn:e2i:file:{quote(file.path)}:{file.digest or 'missing'}"


def _times(row: RecordedRun | RecordedStep) -> Node:
    moments = {"prov:startedAtTime": row.started_ms, "prov:endedAtTime": row.ended_ms}
    return {
        name: datetime.fromtimestamp(moment / 1000, UTC).isoformat(timespec="milliseconds")
        for name, moment in moments.items()
        if moment is not None
    }


def _json(value: Any) -> str | int | float | bool | None:
    """Returns a value as a literal; mappings and lists as JSON."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
