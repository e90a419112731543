"""Tests specs: reads test files, runs their cases, verifies what they expect.

In: paths. Out: ``SuiteDocument``. All test files are read and checked before anything is run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct

from e2i.api import Workspace
from e2i.errors import BadInput, InvalidSpec
from e2i.spec.problems import Problem, most
from e2i.testing import coverage, files
from e2i.testing.expectations import Verification
from e2i.testing.files import LoadedFile
from e2i.testing.named import NamedFiles
from e2i.testing.preparing import Preparation, PreparedCase
from e2i.testing.results import CaseResult, FileResult, SpecCoverage, SuiteDocument
from e2i.testing.running import CaseRun, Runner
from e2i.testing.snapshots import Snapshots
from e2i.workspace.source import Source

Listener = Callable[[LoadedFile, CaseResult], None]
"""Receives each result as soon as it is there."""


class ReadyFile(Struct, frozen=True):
    """A test file whose cases can run."""

    file: LoadedFile
    workspace: Workspace
    source: Source
    cases: tuple[PreparedCase, ...]
    snapshots: Snapshots


def load(
    paths: Sequence[str],
    *,
    profile: str | None = None,
    origin: str | None = None,
    update: bool = False,
    root: Path | None = None,
) -> list[ReadyFile]:
    """Reads and checks the test files. ``root``: their workspace; default: that of each file.

    Raises BadInput, and InvalidSpec with the problems of all test files.
    """
    found, problems = check(files.find(paths), profile=profile, origin=origin, update=update, root=root)
    if problems:
        raise InvalidSpec(most(problems), message=f"the test files have {len(problems)} problem(s)")
    return found


def check(
    names: Sequence[str],
    *,
    profile: str | None = None,
    origin: str | None = None,
    update: bool = False,
    root: Path | None = None,
) -> tuple[list[ReadyFile], list[Problem]]:
    """Returns the test files that can be read, and the problems of all. Runs nothing."""
    problems: list[Problem] = []
    found: list[ReadyFile] = []
    for name in names:
        workspace = Workspace.open(
            root=root, spec=name, profile=profile, origin=origin
        )  # never one that `tests:` chooses
        named = NamedFiles.of(Path(name), workspace)
        _expect_inside(name, named)
        file, wrong = files.read(name)
        problems += wrong
        if file is None:
            continue
        if (refused := _no_spec(file, named)) is not None:
            problems.append(refused)
            continue
        preparation = Preparation(file, workspace, named)
        cases = tuple(preparation.cases())
        problems += preparation.problems
        found.append(ReadyFile(file, workspace, preparation.source, cases, Snapshots(file.path, named, update=update)))
    return found, problems


def problems_of(name: str, text: str, workspace: Workspace, texts: Mapping[Path, str]) -> list[Problem]:
    """Returns the problems of a test file with this text. ``texts`` are those of specs that are not saved, by path
    without links. Runs nothing.
    """
    file, problems = files.parse(text, name)
    if file is None:
        return problems
    named = NamedFiles.of(Path(name), workspace)
    if (refused := _no_spec(file, named)) is not None:
        return [*problems, refused]
    unsaved = texts.get(Path(file.spec).resolve())
    source = None if unsaved is None else Source(unsaved, workspace.name(file.spec))
    preparation = Preparation(file, workspace, named, source)
    preparation.cases()
    return [*problems, *preparation.problems]


def is_inside(spec: Path, test_file: Path, workspace: Workspace) -> bool:
    """Returns whether a test file may name a spec: both are in the workspace."""
    named = NamedFiles.of(test_file, workspace)
    return named.look(os.path.relpath(spec, test_file.parent.resolve())) == "file"


def _expect_inside(name: str, named: NamedFiles) -> None:
    """Raises BadInput for a test file that is a link out of its workspace."""
    if Path(name).is_symlink() and named.look(Path(name).name) in ("outside", "hidden", "settings"):
        message = f"the test file {name!r} is a link that leads outside its workspace"
        raise BadInput(message, code="no-such-test", hint="copy the file into the workspace")


def _no_spec(file: LoadedFile, named: NamedFiles) -> Problem | None:
    """Returns the problem of a spec that is missing, or not in the workspace of its test file."""
    name = file.content.tests
    match named.look(name):
        case "file":
            return None
        case "outside" | "hidden" | "settings":
            message = f"the spec {name} is not in the workspace of the test file"
            return file.document.problem("policy-path", ("tests",), message, "move the spec beside its test file")
        case _:
            hint = "it is relative to the test file"
            return file.document.problem("no-such-spec", ("tests",), f"there is no spec {name}", hint)


def run(
    ready: Sequence[ReadyFile],
    *,
    only: str = "",
    with_coverage: bool = False,
    update: bool = False,
    listen: Listener = lambda file, result: None,
) -> SuiteDocument:
    """Runs the cases whose file and name contain ``only``. Raises BadInput when there is none."""
    began = time.monotonic()
    results: list[FileResult] = []
    measured: list[SpecCoverage] = []
    updated: list[str] = []
    if not any(list(selected(one, only)) for one in ready):
        names = [case.name for one in ready for case in one.cases]
        hint = f"the cases are: {', '.join(names[:8])}" if names else None
        raise BadInput(f"no case contains {only!r}", code="no-such-test", hint=hint)
    with ExitStack() as stack:
        runners: dict[Path, Runner] = {}
        for one in ready:
            root = one.workspace.root
            if root not in runners:
                runners[root] = stack.enter_context(Runner(one.workspace))
            cases = list(selected(one, only))
            done: list[CaseResult] = []
            ran: list[tuple[PreparedCase, CaseRun | None]] = []
            for case in cases:
                result, outcome = execute(one, case, runners[root])
                done.append(result)
                ran.append((case, outcome))
                listen(one.file, result)
            if cases:
                results.append(FileResult(file=one.file.name, spec=one.file.spec, cases=done))
            if update and (written := one.snapshots.write({c.name: c for c in cases}, one.file.content.cases)):
                updated.append(str(written))
            if with_coverage and cases:
                measured.append(coverage.measure(one.file.spec, ran))
    failed = sum(case.status == "failed" for file in results for case in file.cases)
    total = sum(len(file.cases) for file in results)
    return SuiteDocument(
        passed=total - failed,
        failed=failed,
        seconds=round(time.monotonic() - began, 3),
        files=results,
        updated=updated,
        coverage=measured if with_coverage else None,
    )


def execute(one: ReadyFile, case: PreparedCase, runner: Runner) -> tuple[CaseResult, CaseRun | None]:
    """Runs one case and verifies it."""
    began = time.monotonic()
    outcome = runner.run(case, one.source) if case.expanded is not None else None
    failures = Verification(case, outcome, one.snapshots).failures()
    record = outcome.record if outcome else None
    executed = [name for name, step in record.steps.items() if step.attempts] if record else []
    result = CaseResult(
        name=case.name,
        status="failed" if failures else "passed",
        seconds=round(time.monotonic() - began, 3),
        ran=executed,
        failures=failures,
    )
    return result, outcome


def selected(one: ReadyFile, only: str) -> Iterator[PreparedCase]:
    """Yields the cases whose file and name contain the text; upper and lower case are equal."""
    for case in one.cases:
        if only.casefold() in f"{one.file.name}::{case.name}".casefold():
            yield case
