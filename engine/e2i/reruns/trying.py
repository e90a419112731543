"""Evaluate mixes of two runs: run the steps that a metric depends on, as far as they have no result.

In: a ``Mix`` and a throw-away store. Out: ``Trial``s. Steps with effects outside are never executed: they return what
they returned in the run of the data.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from e2i import route
from e2i.documents import OutputValues
from e2i.errors import BadInput, E2IError, Exit
from e2i.execution.record import RunRecord
from e2i.execution.session import Session, new_run_id
from e2i.execution.state import Status
from e2i.planning.build import History
from e2i.planning.inputs import Components
from e2i.reruns import stage
from e2i.reruns.files import PastFiles
from e2i.reruns.mixing import Factor, Mix, reads_data
from e2i.reruns.recorded import Recorded
from e2i.spec import expressions
from e2i.spec.expansion.expanded import Expanded
from e2i.store.artifacts import ArtifactStore
from e2i.store.history import Reader
from e2i.workspace.options import RunOptions
from e2i.workspace.source import Source
from e2i.workspace.workspace import Workspace


class Trial(Struct, frozen=True):
    """A mix with the value of the metric. ``executed``: the steps that had to run."""

    second: frozenset[Factor]
    value: float
    executed: int


class MixFailed(E2IError):
    """Raised when a mix of two runs has no value of the metric."""

    exit_code = Exit.STEP_FAILED


class Trials:
    """Evaluates the mixes of two runs."""

    def __init__(self, mix: Mix, new: Recorded, commits: Sequence[str], metric: str) -> None:
        self._mix = mix
        self._new = new
        self._files = PastFiles(new.workspace, commits)
        self._metric = metric

    @cached_property
    def steps(self) -> frozenset[str]:
        """The steps of the second run that the metric depends on."""
        return _selected(self._new.expanded(), self._metric)

    def run(self, second: frozenset[Factor], quiet: Workspace) -> Trial:
        """Evaluates a mix. Raises PartLost, MixFailed, and InvalidSpec for a mix that is not valid."""
        with tempfile.TemporaryDirectory(prefix="e2i-why-", dir=quiet.store.parent) as folder:
            workspace = replace(quiet, root=Path(folder))
            sources = [name for name in self._mix.before.outputs if reads_data(name, self._mix)]
            self._write_files(second, workspace.root, sources)
            source = Source(
                self._mix.spec(second), self._new.source.file, None, self._mix.side("code", second).source.included
            )
            options = RunOptions(self._mix.params(second), run_id=new_run_id())
            allowed = replace(self._new.workspace, root=workspace.root)  # steps that write files are not run
            expanded = route.valid(route.examine(source, allowed, options.params))
            return self._execute(second, expanded, source, options, workspace, sources)

    def _write_files(self, second: frozenset[Factor], folder: Path, sources: Sequence[str]) -> None:
        """Writes the files of the mix. Those that only sources read have recorded results."""
        read_by: dict[str, set[str]] = {}
        for side in (self._mix.before, self._mix.after):
            for name, parts in side.components.items():
                for file in (*parts.files, *(parts.found_files or {})):
                    read_by.setdefault(file, set()).add(name)
        for file, readers in read_by.items():
            any_will_do = readers <= {*sources}
            self._files.write(file, self._mix.file(file, second), folder, any_will_do=any_will_do)

    def _execute(
        self,
        second: frozenset[Factor],
        expanded: Expanded,
        source: Source,
        options: RunOptions,
        workspace: Workspace,
        sources: Sequence[str],
    ) -> Trial:
        chosen = _selected(expanded, self._metric)
        back = stage.kept_back(expanded, self._new.workspace.settings)
        outputs = self._mix.side("data", second).outputs
        given: dict[str, OutputValues] = {}
        for name in sorted(chosen):
            if name not in outputs:
                if name in back:
                    message = f"{name} is not executed ({back[name]}), and has no result in the run of the data"
                    raise MixFailed(message, code="mix-failed")
                continue
            if name in back or (name in sources and not expanded.upstream(expanded.nodes[name])):
                given[name] = outputs[name]
        real = ArtifactStore(self._new.workspace.store)
        store = ArtifactStore(workspace.store)
        stage.copy_artifacts(given.values(), real, store)
        environ = stage.environ_of(self._new.workspace, expanded, os.environ)
        with (
            Reader(self._new.workspace.store, real.is_intact) as reader,
            Session(workspace, None, environ=environ, executor=None) as session,
        ):
            history = _Both(session.history, reader, real, store)
            planner = route.plan(expanded, history, workspace, options)
            planner = replace(planner, selected={*chosen, *given}, given=given, finals=False)
            record = session.run(planner, source, options)
        executed = sum(step.attempts > 0 for step in record.steps.values())
        return Trial(second, self._value(record), executed)

    def _value(self, record: RunRecord) -> float:
        steps = {name: step.outputs for name, step in record.steps.items() if step.outputs is not None}
        for holder in (record.outputs, steps):
            value = _inside(holder, self._metric)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return value
        failed = [step for step in record.steps.values() if step.status is Status.FAILED]
        why = f": {failed[0].id}: {failed[0].error.message}" if failed and failed[0].error else ""
        message = f"a mix of the two runs has no {self._metric}{why}"
        raise MixFailed(message, code="mix-failed", hint="the runs differ too much to be mixed")


def _inside(value: object, path: str) -> object:
    """Returns the part of a value at a dotted path; keys may hold dots themselves."""
    while path:
        if not isinstance(value, dict):
            return None
        parts = path.split(".")
        key = next((".".join(parts[:n]) for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in value), None)
        if key is None:
            return None
        value, path = value[key], path[len(key) + 1 :]
    return value


def _selected(expanded: Expanded, metric: str) -> frozenset[str]:
    """Returns the steps that a metric depends on. Raises BadInput when the spec has none of that name."""
    first = metric.partition(".")[0]
    outputs = expanded.loaded.spec.outputs
    if first in outputs:
        found = set()
        for _, template in expressions.walk(outputs[first]):
            for reference in getattr(template, "references", ()):
                found |= set(expanded.behind(None, reference).steps)
    else:
        found = {name for name in expanded.nodes if metric.startswith(f"{name}.")}
    if not found:
        raise BadInput(f"no step has the metric {metric!r}", code="unknown-output")
    waiting = list(found)
    while waiting:
        for name in expanded.upstream(expanded.nodes[waiting.pop()]):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return frozenset(found)


class _Both:
    """The results of the throw-away store, then those of the real one, whose artifacts are copied. A ``History``."""

    def __init__(self, own: History, real: Reader, source: ArtifactStore, target: ArtifactStore) -> None:
        self._own = own
        self._real = real
        self._source = source
        self._target = target

    def outputs(self, fingerprint: str) -> OutputValues | None:
        found = self._own.outputs(fingerprint)
        if found is None and (found := self._real.outputs(fingerprint)) is not None:
            stage.copy_artifacts([found], self._source, self._target)
        return found

    def made_since(self, fingerprint: str, at_ms: int) -> str | None:
        return self._own.made_since(fingerprint, at_ms)

    def any_result(self, static_key: str) -> bool:
        return self._own.any_result(static_key) or self._real.any_result(static_key)

    def last(self, pipeline: str, step: str) -> Components | None:
        return None
