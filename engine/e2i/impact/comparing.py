"""Compare the specs and test files of two revisions. Pure. In: two ``FolderState``s. Out: ``SpecImpact``s."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from e2i.impact import columns
from e2i.impact.results import CaseImpact, SpecImpact, StepImpact
from e2i.impact.state import FolderState, SpecState
from e2i.spec.problems import Problem
from e2i.testing.suite import ReadyFile


def compare(before: FolderState, after: FolderState) -> list[SpecImpact]:
    """Returns what differs for each spec that is in both, without those that are not affected."""
    found = []
    for name in sorted(before.specs.keys() & after.specs.keys()):
        old, new = before.specs[name], after.specs[name]
        changes = list(columns.changed(old.context, new.context)) if old.context and new.context else []
        steps = list(_steps(old, new))
        cases = list(_cases(name, before, after, {one.step for one in steps if one.effect == "retyped"}))
        if changes or steps or cases:
            found.append(SpecImpact(spec=name, columns=changes, steps=steps, cases=cases))
    return found


def _new(before: tuple[Problem, ...], after: tuple[Problem, ...]) -> list[Problem]:
    """Returns the problems that were not there before, wherever in the file they are now."""
    known = {(problem.code, problem.path, problem.message) for problem in before}
    return [problem for problem in after if (problem.code, problem.path, problem.message) not in known]


def _steps(old: SpecState, new: SpecState) -> Iterator[StepImpact]:
    """Yields the steps that break, those that name a retyped column, and those downstream of broken ones."""
    broken: dict[str, Problem] = {}
    for problem in _new(old.errors, new.errors):
        for name in new.nodes_of(problem) or ["outputs"]:
            broken.setdefault(name, problem)
    for name, problem in broken.items():
        yield StepImpact(step=name, effect="breaks", detail=problem.message, problem=problem.document)
    if old.context is None or new.context is None:
        return
    blocked = set(broken)
    for name, node in new.context.expanded.nodes.items():
        if name in broken:
            continue
        for column, (kind, other) in sorted(columns.retyped(old.context, new.context, node).items()):
            if columns.is_named(new.context, node, column):
                detail = f"names {column}, which was {kind} and is {other}"
                yield StepImpact(step=name, effect="retyped", detail=detail, problem=None)
                break
    for name in _below(new, blocked):
        if name not in broken:
            yield StepImpact(step=name, effect="blocked", detail="a step that it depends on breaks", problem=None)


def _below(state: SpecState, names: set[str]) -> list[str]:
    """Returns the steps that depend on the named ones, in the order of the spec."""
    assert state.context is not None
    expanded = state.context.expanded
    found = set(names)
    waiting = True
    while waiting:
        more = {name for name, node in expanded.nodes.items() if found & set(expanded.upstream(node))} - found
        found |= more
        waiting = bool(more)
    return [name for name in expanded.nodes if name in found - names]


def _cases(spec: str, before: FolderState, after: FolderState, retyped: set[str]) -> Iterator[CaseImpact]:
    """Yields the cases that fail for certain at HEAD and did not at BASE, and those that run a retyped step."""
    for name in sorted(before.tests.keys() & after.tests.keys()):
        old, new = before.tests[name], after.tests[name]
        if _path(new) != spec:
            continue
        own = [problem for problem in after.test_problems if problem.location.file == name]
        earlier = tuple(problem for problem in before.test_problems if problem.location.file == name)
        wrong = _new(earlier, tuple(own))
        was_valid = {case.name for case in old.cases if _fails(old, case.name) is None}
        for case in new.cases:
            mistake = next((one for one in wrong if _case_of(one) in (case.name, "")), None)
            failing = mistake.message if mistake else _fails(new, case.name)
            if failing is not None and case.name in was_valid:
                yield CaseImpact(file=name, case=case.name, effect="breaks", detail=failing)
            elif failing is None and (reached := sorted(retyped & case.run)):
                detail = f"runs {', '.join(reached)}"
                yield CaseImpact(file=name, case=case.name, effect="retyped", detail=detail)


def _fails(ready: ReadyFile, name: str) -> str | None:
    """Returns why a case fails without being run: the spec has problems that it does not expect."""
    case = next(one for one in ready.cases if one.name == name)
    errors = [problem for problem in case.draft.problems if problem.severity == "error"]
    codes = {problem.code for problem in errors}
    if case.case.expect.problem:
        missing = [code for code in case.case.expect.problem if code not in codes]
        return f"no problem {missing[0]}" if missing and errors else None
    return f"the spec has a problem: {errors[0].message}" if errors else None


def _case_of(problem: Problem) -> str:
    keys = problem.path.split("/")
    return keys[2] if len(keys) > 2 and keys[1] == "cases" else ""


def _path(ready: ReadyFile) -> str:
    return posixpath.normpath(ready.file.spec)
