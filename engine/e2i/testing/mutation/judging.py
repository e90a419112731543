"""Judge the mutants of one test file: does a case fail?

In: a test file, changes of its spec. Out: ``Judgement``s. A case runs only as far as the change can affect it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from e2i.testing.expectations import Verification
from e2i.testing.mutation import known
from e2i.testing.mutation.advice import Reached, advice
from e2i.testing.mutation.changes import Change, mutated
from e2i.testing.mutation.known import Before
from e2i.testing.mutation.results import BrokenCase
from e2i.testing.named import NamedFiles
from e2i.testing.preparing import Preparation, PreparedCase
from e2i.testing.running import CaseRun, Runner
from e2i.testing.suite import ReadyFile, execute
from e2i.workspace.source import Source


class Judgement(Struct, frozen=True):
    """Whether a mutant was noticed. ``killed_by``: the first case that fails; None: it survived."""

    killed_by: str | None
    advice: str = ""


class Judge:
    """The cases of one test file on the unchanged spec, and on mutants of it."""

    def __init__(self, ready: ReadyFile, runner: Runner) -> None:
        self._ready = ready
        self._runner = runner
        self._before: dict[str, Before] = {}
        self._named = NamedFiles.of(ready.file.path, ready.workspace)

    def run_unchanged(self, only: str = "") -> Iterator[BrokenCase]:
        """Runs the cases on the spec itself. Yields those that fail."""
        for case in self._ready.cases:
            if only.casefold() not in f"{self._ready.file.name}::{case.name}".casefold():
                continue
            began = time.monotonic()
            result, run = execute(self._ready, case, self._runner)
            self._before[case.name] = Before(case, run, time.monotonic() - began)
            if result.failures:
                yield BrokenCase(file=self._ready.file.name, case=case.name, message=result.failures[0].message)

    def judge(self, change: Change) -> Judgement:
        """Runs the cases that the change can affect, the fastest first, until one fails."""
        data = self._ready.source.content if isinstance(self._ready.source.content, dict) else None
        if data is None:
            loaded = self._ready.cases[0].draft.loaded
            assert loaded is not None, "a mutant is made of a valid spec"
            data = loaded.document.data
        source = Source(mutated(data, change), self._ready.source.file)
        preparation = Preparation(self._ready.file, self._ready.workspace, self._named, source)
        prepared = {case.name: case for case in preparation.cases()}
        if preparation.problems:
            return Judgement(_case_of(str(preparation.problems[0].path)) or "the test file is no longer valid")
        reached: list[Reached] = []
        for name, before in sorted(self._before.items(), key=lambda item: item[1].seconds):
            run, same = self._run(before, prepared[name], source)
            if same:
                continue
            if Verification(prepared[name], run, self._ready.snapshots).failures():
                return Judgement(name)
            if run is not None and before.run is not None:
                reached.append(Reached(name, before.run.outputs, run.outputs))
        return Judgement(None, advice(change, reached))

    def _run(self, before: Before, prepared: PreparedCase, source: Source) -> tuple[CaseRun | None, bool]:
        """Runs a case on a mutant. Returns also whether the mutant cannot differ from the spec in it."""
        if prepared.expanded is None:
            return None, False
        if before.run is None or before.run.plan is None or before.record is None:
            return self._runner.run(prepared, source), False
        plan = self._runner.planned(prepared)
        changed = known.affected(before, prepared, plan)
        assert before.prepared.expanded is not None
        same_params = before.prepared.expanded.params == prepared.expanded.params
        if not changed and same_params and prepared.run == before.prepared.run:
            return None, True
        registry = self._ready.workspace.settings.registry
        kept = known.kept(before, prepared, changed, registry)
        run = self._runner.run(prepared, source, kept)
        return replace(run, plan=plan) if run.plan is not None else run, False


def _case_of(pointer: str) -> str:
    parts = pointer.split("/")
    return parts[2] if len(parts) > 2 and parts[1] == "cases" else ""
