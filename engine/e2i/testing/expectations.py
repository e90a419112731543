"""Compares what a case came to with what it expects. In: a case and its run. Out: ``FailedExpectation``s."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from e2i.catalog.artifacts import Table, read_artifacts
from e2i.errors import InvalidSpec
from e2i.spec.expansion.nodes import is_settled, shown
from e2i.spec.problems import Problem
from e2i.spec.validation import Path as Keys
from e2i.spec.values import ExpressionError
from e2i.testing import tables
from e2i.testing.preparing import PreparedCase, braced
from e2i.testing.reading import TableError
from e2i.testing.results import FailedExpectation
from e2i.testing.running import CaseRun
from e2i.testing.snapshots import Snapshots

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 100_000
"""Limit on the rows of a table that is compared."""
MOST_SHOWN = 5


class Verification:
    """Checks one case."""

    def __init__(self, prepared: PreparedCase, run: CaseRun | None, snapshots: Snapshots) -> None:
        self._prepared = prepared
        self._run = run
        self._snapshots = snapshots
        self._expect = prepared.case.expect

    def failures(self) -> list[FailedExpectation]:
        """Returns the expectations that are not met."""
        if self._run is None:
            return list(self._invalid())
        return list(self._all(self._run))

    def _invalid(self) -> Iterator[FailedExpectation]:
        """Yields what differs from the expectations of a case whose spec is not valid."""
        found = [problem for problem in self._prepared.draft.problems if problem.severity == "error"]
        codes = {problem.code for problem in self._prepared.draft.problems}
        if not self._expect.problem:
            lines = [str(problem) for problem in found[:MOST_SHOWN]]
            yield self._failure("status", (), f"the spec has {_count(found)}", lines)
        yield from self._problems(codes, [str(problem) for problem in found[:MOST_SHOWN]])

    def _all(self, run: CaseRun) -> Iterator[FailedExpectation]:
        if run.error is not None:
            codes = {run.error.code}
            if isinstance(run.error, InvalidSpec):
                codes |= {problem.code for problem in run.error.problems}
            if self._expect.problem:
                yield from self._problems(codes, [run.error.message])
            else:
                yield self._failure("status", (), f"the run did not start: {run.error.message} [{run.error.code}]")
            return
        yield from self._statuses(run)
        yield from self._verdicts(run)
        for index, text in enumerate(self._expect.holds):
            yield from self._holds(run, index, text)
        for index, disjoint in enumerate(self._expect.disjoint):
            yield from self._disjoint(run, ("disjoint", index), disjoint.tables, disjoint.by)
        for name in self._expect.tables:
            yield from self._table(run, name)
        for index, name in enumerate(self._expect.snapshot):
            yield from self._snapshot(run, index, name)

    def _statuses(self, run: CaseRun) -> Iterator[FailedExpectation]:
        assert run.record is not None
        errors = {name: step.error for name, step in run.record.steps.items() if step.error is not None}
        lines = [f"{name}: {error.message} [{error.code}]" for name, error in list(errors.items())[:MOST_SHOWN]]
        warned = {problem.code for problem in self._prepared.draft.problems}
        if self._expect.problem:
            yield from self._problems({error.code for error in errors.values()} | warned, lines)
        wanted = self._expect.status or (None if self._expect.problem else "succeeded")
        if wanted is not None and run.record.status != wanted:
            yield self._failure("status", ("status",), f"the run {run.record.status}, expected: {wanted}", lines)
        for name, status in self._expect.steps.items():
            if (found := run.record.steps[name].status.value) != status:
                error = errors.get(name)
                own = [f"{error.message} [{error.code}]"] if error else []
                yield self._failure("steps", ("steps", name), f"{name}: {found}, expected: {status}", own)

    def _problems(self, codes: set[str], lines: Sequence[str]) -> Iterator[FailedExpectation]:
        for code in self._expect.problem:
            if code not in codes:
                found = f"found: {', '.join(sorted(codes))}" if codes else "none was found"
                yield self._failure("problem", ("problem",), f"no problem {code}; {found}", lines)

    def _verdicts(self, run: CaseRun) -> Iterator[FailedExpectation]:
        planned = {step.id: step for step in run.plan.steps} if run.plan else {}
        for name, verdict in self._expect.verdicts.items():
            step = planned[name]
            if step.verdict.value != verdict:
                message = (
                    f"{name}: {step.verdict.value} ({step.reason.detail or step.reason.code}), expected: {verdict}"
                )
                yield self._failure("verdicts", ("verdicts", name), message)

    def _holds(self, run: CaseRun, index: int, text: str) -> Iterator[FailedExpectation]:
        path: Keys = ("holds", index)
        try:
            value = self._value(run, text)
        except ExpressionError as error:
            yield self._failure("holds", path, f"{_bare(text)} cannot be evaluated: {error}")
            return
        if value is not True:
            yield self._failure(
                "holds", path, f"{_bare(text)} is {tables.short(_json(value))}", self._read_by(run, text)
            )

    def _read_by(self, run: CaseRun, text: str) -> list[str]:
        """Returns the values that an expression reads, one a line."""
        from e2i.spec import expressions

        lines = []
        for reference in expressions.parse(text).references[:MOST_SHOWN]:
            try:
                lines.append(f"{reference} = {tables.short(_json(self._value(run, f'${{{{ {reference} }}}}')))}")
            except ExpressionError:
                continue
        return lines

    def _value(self, run: CaseRun, text: str) -> Any:
        assert run.expanded is not None
        value = run.expanded.resolve(text, None, run.outputs)
        if not is_settled(value):
            raise ExpressionError("a step that it reads did not run")
        return value

    def _content(self, run: CaseRun, name: str, path: Keys) -> pa.Table | FailedExpectation:
        """Returns the table that an output is."""
        from e2i.workers import tables as stored

        assert run.store is not None
        try:
            artifact = read_artifacts(self._value(run, braced(name)))
        except ExpressionError as error:
            return self._failure(str(path[0]), path, f"{name}: {error}")
        if not isinstance(artifact, Table):
            return self._failure(str(path[0]), path, f"{name} is no table: {tables.short(_json(artifact))}")
        if artifact.rows > MOST_ROWS:
            return self._failure(str(path[0]), path, f"{name} has more than {MOST_ROWS:,} rows")
        return stored.read(run.store.path(artifact.digest))

    def _disjoint(self, run: CaseRun, path: Keys, names: Sequence[str], by: str) -> Iterator[FailedExpectation]:
        from pyarrow.types import is_nested

        seen: dict[Any, str] = {}
        common: dict[Any, tuple[str, str]] = {}
        for name in names:
            content = self._content(run, name, path)
            if isinstance(content, FailedExpectation):
                yield content
                return
            if by not in content.column_names:
                yield self._failure("disjoint", path, f"{name} has no column {by!r}")
                return
            if is_nested(content.column(by).type):
                message = f"column {by!r} of {name} has {content.column(by).type}: its values cannot be compared"
                yield self._failure("disjoint", path, message)
                return
            for value in dict.fromkeys(content.column(by).to_pylist()):
                if value is not None and seen.setdefault(value, name) != name:
                    common[value] = (seen[value], name)
        if common:
            shared = [f"{tables.short(value)} is in {one} and {other}" for value, (one, other) in common.items()]
            values = "value" if len(common) == 1 else "values"
            yield self._failure(
                "disjoint", path, f"{len(common)} {values} of {by} in several tables", shared[:MOST_SHOWN]
            )

    def _table(self, run: CaseRun, name: str) -> Iterator[FailedExpectation]:
        path: Keys = ("tables", name)
        content = self._content(run, name, path)
        if isinstance(content, FailedExpectation):
            yield content
            return
        wanted = self._expect.tables[name]
        types = {field.name: str(field.type) for field in content.schema}
        try:
            expected = tables.made(wanted.model_dump(), self._prepared.named, types, whole=False)
        except TableError as error:
            yield self._failure("tables", (*path, *error.path), str(error))
            return
        if lines := tables.differences(expected, content, wanted.by, wanted.tolerance):
            yield self._failure("tables", path, f"{name} differs", lines)

    def _snapshot(self, run: CaseRun, index: int, name: str) -> Iterator[FailedExpectation]:
        path: Keys = ("snapshot", index)
        try:
            value = self._value(run, braced(name))
        except ExpressionError as error:
            yield self._failure("snapshot", path, f"{name}: {error}")
            return
        assert run.store is not None
        lines = self._snapshots.compare(self._prepared.name, name, value, run.store, self._expect.tolerance)
        if lines:
            yield self._failure("snapshot", path, f"{name} differs from the snapshot", lines)

    def _failure(self, what: str, keys: Keys, message: str, lines: Sequence[str] = ()) -> FailedExpectation:
        document = self._prepared.file.document
        path = self._prepared.path("expect", *keys)
        is_text = keys and not document.has(path) and document.has(path[:-1])
        location = document.location(path[:-1] if is_text else path, key=not keys or what in KEYED)
        return FailedExpectation(
            what=what,
            message=message,
            file=location.file,
            line=location.line,
            column=location.column,
            lines=list(lines),
        )


KEYED = ("verdicts", "steps", "tables")
"""Expectations that are mappings: their place is that of the key."""


def _json(value: Any) -> Any:
    found = shown(value) if not hasattr(value, "model_dump") else value.model_dump()
    if isinstance(found, Mapping) and "digest" in found:
        return f"a {found.get('type', 'value')}"
    return found


def _bare(text: str) -> str:
    inside = text.strip().removeprefix("${{").removesuffix("}}").strip()
    return inside if len(inside) <= 100 else f"{inside[:99]}…"


def _count(problems: Sequence[Problem]) -> str:
    return "a problem" if len(problems) == 1 else f"{len(problems)} problems"
