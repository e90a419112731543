"""Kept journals of runs, and their replay against the planner of now: it decides again, and executes nothing.

A journal has the runs of one project in order: spec, parameters, files, and for each step the plan's verdict, how it
ended, its outputs, its fingerprint and what that covers. It names no machine, no time and no person. Facts of the machine,
such as versions of libraries, are those of the journal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from e2i import api, route
from e2i.documents import OutputValues, ParamValues
from e2i.planning import fingerprint, graph
from e2i.planning.build import Decision, Planner
from e2i.planning.fingerprint import Environment
from e2i.planning.inputs import Components
from e2i.planning.model import Verdict, Why
from e2i.records import lookup
from e2i.workspace.source import Source
from project import Project

REUSED = "reused"
DONE = ("succeeded", REUSED)


class KeptStep(Struct, frozen=True, kw_only=True):
    id: str
    verdict: str
    reason: str
    status: str
    fingerprint: str | None = None
    outputs: dict[str, Any] | None = None
    components: Components | None = None


class KeptRun(Struct, frozen=True, kw_only=True):
    spec: str
    params: dict[str, Any] = {}
    files: dict[str, str] = {}
    """Files that were written before this run."""
    steps: tuple[KeptStep, ...] = ()


class Journal(Struct, frozen=True, kw_only=True):
    runs: tuple[KeptRun, ...]


def record(project: Project, asked: tuple[KeptRun, ...]) -> Journal:
    """Executes runs in a project, and returns them with what came of their steps."""
    made = []
    for one in asked:
        for name, text in one.files.items():
            project.write(name, text)
        project.run(one.spec, one.params)
        past = lookup.run(project.store, "last")
        steps = tuple(
            KeptStep(
                id=step.id,
                verdict=str(step.verdict),
                reason=str(step.reason.code),
                status=str(step.status),
                fingerprint=step.fingerprint,
                outputs=_read(step.id, step.outputs, one.spec),
                components=past.results[step.fingerprint].components if step.fingerprint in past.results else None,
            )
            for step in past.run.steps
        )
        made.append(msgspec.structs.replace(one, steps=steps))
    return Journal(runs=tuple(made))


def _read(step: str, outputs: OutputValues | None, spec: str) -> dict[str, Any] | None:
    """Returns the outputs of a step that others read: the rest decides nothing, and would make a journal large."""
    if outputs is None:
        return None
    group = re.escape(step.partition("[")[0])
    if re.search(rf"steps\.{group}\b(?!\.)", spec):
        return dict(outputs)
    return {name: value for name, value in outputs.items() if re.search(rf"steps\.{group}\.{name}\b", spec)}


class KeptHistory:
    """The results of the runs that were replayed so far, as the planner asks for them."""

    def __init__(self) -> None:
        self.results: dict[str, KeptStep] = {}
        self.latest: dict[str, Components] = {}

    def outputs(self, fingerprint: str) -> OutputValues | None:
        found = self.results.get(fingerprint)
        return OutputValues(found.outputs or {}) if found else None

    def made_since(self, fingerprint: str, at_ms: int) -> str | None:
        return None

    def any_result(self, static_key: str) -> bool:
        return any(
            each.components and fingerprint.static_key(each.components) == static_key for each in self.results.values()
        )

    def last(self, pipeline: str, step: str) -> Components | None:
        return self.latest.get(step)

    def add(self, step: KeptStep) -> None:
        """Adds the result of a step. Steps that do the same work have one result, of which each reads a part."""
        if step.status in DONE and step.fingerprint and step.components:
            known = self.results.get(step.fingerprint)
            outputs = {**(known.outputs or {} if known else {}), **(step.outputs or {})}
            self.results[step.fingerprint] = msgspec.structs.replace(step, outputs=outputs)
            self.latest[step.id] = step.components


def replay(journal: Journal, project: Project) -> Iterator[str]:
    """Yields each decision that is not the recorded one: the run, the step, and why. A step whose action has another
    version, and what is downstream of it, may be decided otherwise: that change is versioned.
    """
    history = KeptHistory()
    for number, run in enumerate(journal.runs, 1):
        for name, text in run.files.items():
            project.write(name, text)
        for step, message in _replayed(run, history, project.workspace):
            yield f"run {number}, step {step}: {message}"


def _replayed(run: KeptRun, history: KeptHistory, workspace: api.Workspace) -> Iterator[tuple[str, str]]:
    draft = route.examine(Source(run.spec, "<text>"), workspace, ParamValues(run.params))
    expanded = route.valid(draft)
    kept = {step.id: step for step in run.steps}
    if kept.keys() != expanded.nodes.keys():
        yield "", f"the spec has other steps: {sorted(kept.keys() ^ expanded.nodes.keys())}"
        return
    planner = Planner(expanded, history, _facts(run))
    planned = {step.id: step for step in planner.plan().steps}
    outputs: dict[str, OutputValues | None] = {}
    versioned: set[str] = set()
    for name in graph.order(graph.waits(expanded)):
        recorded, node = kept[name], expanded.nodes[name]
        decision = planner.decide(node, outputs) if recorded.status in DONE else None
        if decision and recorded.components and decision.components.version != recorded.components.version:
            versioned.add(name)
        if not versioned.isdisjoint({name, *planned[name].needs}):
            versioned.add(name)
        else:
            found = planned[name]
            if (str(found.verdict), str(found.reason.code)) != (recorded.verdict, recorded.reason):
                yield (
                    name,
                    f"planned as {found.verdict} ({found.reason.code}), not {recorded.verdict} ({recorded.reason})",
                )
            if decision:
                yield from ((name, message) for message in _differences(decision, recorded))
        history.add(recorded)
        if recorded.status in DONE:
            outputs[name] = OutputValues(recorded.outputs or {})
        elif recorded.status == "skipped":
            outputs[name] = None


def _differences(decision: Decision, recorded: KeptStep) -> Iterator[str]:
    """Yields what differs of a decision that was made with the recorded outputs of the upstream steps."""
    if recorded.components and decision.fingerprint != recorded.fingerprint:
        why = fingerprint.difference(decision.components, recorded.components)
        named = "how a fingerprint is computed" if why.code is Why.RESULT_LOST else f"{why.code}: {why.detail}"
        yield f"its fingerprint has changed without a new version of {decision.components.action} ({named})"
    elif (decision.verdict is Verdict.REUSE) != (recorded.status == REUSED) and recorded.verdict != "always":
        yield f"decided as {decision.verdict} ({decision.reason.code}), but was {recorded.status}"


def _facts(run: KeptRun) -> Environment:
    """Returns the machine of the journal."""
    parts = [step.components for step in run.steps if step.components]
    files: Mapping[str, str | None] = {
        name: digest for each in parts for name, digest in fingerprint.files(each).items()
    }
    libraries = {name: version for each in parts for name, version in each.libraries.items()}
    python = next((each.python for each in parts), "")
    return Environment(libraries.get, files.get, python)


def load(path: Path) -> Journal:
    return msgspec.json.decode(path.read_bytes(), type=Journal)


def written(journal: Journal) -> bytes:
    return msgspec.json.format(msgspec.json.encode(journal, order="deterministic"), indent=1) + b"\n"
