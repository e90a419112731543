"""Prepares test cases: examines the spec with their parameters, reads what they give, finds the steps to run.

In: a test file, the workspace of its spec. Out: ``PreparedCase``s, and the problems of the test file. Nothing is run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from e2i import route
from e2i.check import actions, types
from e2i.check.context import CheckContext
from e2i.check.type_environment import TypeEnvironment
from e2i.documents import ParamValues
from e2i.route import Draft
from e2i.spec import expressions, suggest
from e2i.spec.document import Document
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.problems import Problem
from e2i.spec.references import Reference
from e2i.spec.validation import Path as Keys
from e2i.spec.values import ExpressionError
from e2i.testing import fixtures as given_outputs
from e2i.testing.files import LoadedFile
from e2i.testing.fixtures import Fixture, Given
from e2i.testing.models import Case
from e2i.testing.named import NamedFiles
from e2i.workspace.source import Source
from e2i.workspace.workspace import Workspace

ROOTS = ("params", "steps", "env")
"""The names that expectations can read."""


class PreparedCase(Struct, frozen=True):
    """A case with its steps. ``expanded`` is None for a spec that cannot be run with these parameters."""

    file: LoadedFile
    name: str
    case: Case
    draft: Draft
    named: NamedFiles
    """The files that the test file may name."""
    expanded: Expanded | None = None
    fixtures: Mapping[str, Fixture] = field(default_factory=dict)
    run: frozenset[str] = frozenset()
    """The ids of the nodes to run."""

    def path(self, *keys: str | int) -> Keys:
        """Returns the path of a value of the case in the file; that of the defaults, where the case has none."""
        own: Keys = ("cases", self.name, *keys)
        shared: Keys = ("defaults", *keys)
        document = self.file.document
        return shared if not document.has(own) and document.has(shared) else own


class Preparation:
    """Prepares the cases of one file. The spec is read once, and examined once for equal parameters.

    ``source``: another spec, which is tested in place of the one that the file names.
    """

    def __init__(self, file: LoadedFile, workspace: Workspace, named: NamedFiles, source: Source | None = None) -> None:
        self._file = file
        self._named = named
        self._workspace = workspace
        self._source: Source = source or route.read(file.spec, workspace)
        self._loaded = route.load(self._source, workspace)
        self._drafts: dict[str, tuple[Draft, TypeEnvironment | None]] = {}
        self.problems: list[Problem] = []

    @property
    def source(self) -> Source:
        return self._source

    def cases(self) -> list[PreparedCase]:
        """Returns all cases. ``problems`` are then those of the file."""
        found = [self._case(name, case) for name, case in self._file.cases()]
        each = {problem.sort_key: problem for problem in self.problems}  # those of the defaults occur once
        self.problems = [each[key] for key in sorted(each)]
        return found

    def _case(self, name: str, case: Case) -> PreparedCase:
        draft, environment = self._examined(case)
        prepared = PreparedCase(self._file, name, case, draft, self._named)
        if draft.loaded is not None:
            self._check_params(prepared)
        if draft.expanded is None or environment is None or not draft.is_valid:
            return prepared
        expanded, document = draft.expanded, self._file.document
        reader = Given(expanded, environment, document, self._named, lambda step: prepared.path("given", step))
        reader.read(case.given)
        self.problems += reader.problems
        fixtures = {fixture.node: fixture for fixture in reader.fixtures}
        run = frozenset(self._steps(prepared, expanded, set(case.given)))
        prepared = PreparedCase(self._file, name, case, draft, self._named, expanded, fixtures, run)
        if not reader.problems:
            for step, missing in dict.fromkeys(given_outputs.references_missing(expanded, fixtures, set(run))):
                message = f'step "{step}" reads {missing}, which is neither given nor run'
                hint = f"add it under given:, or add {missing.partition('.')[0]} to run:"
                self.problems.append(document.problem("input-not-given", prepared.path(), message, hint, key=True))
        self._check_fault(prepared, expanded)
        self.problems += Expectations(prepared, expanded, environment).problems()
        return prepared

    def _examined(self, case: Case) -> tuple[Draft, TypeEnvironment | None]:
        params = ParamValues(case.params)
        if self._loaded.loaded is not None and "unknown-parameter" not in case.expect.problem:
            declared = self._loaded.loaded.spec.params  # others are problems of the test file
            params = ParamValues({name: value for name, value in params.items() if name in declared})
        key = json.dumps(params, sort_keys=True, default=str)
        if key not in self._drafts:
            draft = route.check(route.expand(self._loaded, params))
            environment = None
            if draft.expanded is not None and draft.is_valid:
                context = CheckContext.of(draft.expanded, self._workspace.authority, draft.files)
                for _ in actions.check(context):  # it records the types of all outputs
                    pass
                environment = context.environment
            self._drafts[key] = draft, environment
        return self._drafts[key]

    def _check_params(self, prepared: PreparedCase) -> None:
        """Reports parameters that the spec does not declare."""
        loaded = prepared.draft.loaded
        assert loaded is not None
        for name in prepared.case.params:
            if name not in loaded.spec.params and "unknown-parameter" not in prepared.case.expect.problem:
                message = f'the spec has no parameter "{name}"'
                hint = suggest.hint(name, loaded.spec.params)
                self.problems.append(
                    self._file.document.problem(
                        "unknown-parameter", prepared.path("params", name), message, hint, key=True
                    )
                )

    def _check_fault(self, prepared: PreparedCase, expanded: Expanded) -> None:
        """Reports a fault of a tool that no step of the case calls."""
        if prepared.case.fault is None:
            return
        registry = self._workspace.settings.registry
        names = [expanded.nodes[name].step.uses for name in prepared.run]
        tools = {uses.partition(".")[0] for uses in names if (found := registry.action(uses)) and not found.inline}
        if prepared.case.fault.tool not in tools:
            path = prepared.path("fault", "tool")
            message = f'no step that runs calls the tool "{prepared.case.fault.tool}"'
            hint = suggest.hint(prepared.case.fault.tool, tools) if tools else None
            self.problems.append(self._file.document.problem("bad-value", path, message, hint))

    def _steps(self, prepared: PreparedCase, expanded: Expanded, given: set[str]) -> set[str]:
        """Returns the nodes to run: those that the case names, or all that the given ones leave over."""
        if prepared.case.run is None:
            return needed(expanded, given)
        found: set[str] = set()
        labels: dict[str, set[str]] = {}
        for node in expanded.nodes.values():
            for label in node.labels:
                labels.setdefault(label, set()).add(node.id)
        for index, name in enumerate(prepared.case.run):
            if name not in labels:
                path = prepared.path("run", index)
                message = f'the spec has no step "{name}"'
                hint = suggest.hint(name, labels)
                self.problems.append(self._file.document.problem("unknown-step", path, message, hint))
            found |= labels.get(name, set())
        return found - given


def needed(expanded: Expanded, given: set[str]) -> set[str]:
    """Returns the steps that are not given, without those that only given steps need."""
    upstream = {name: expanded.upstream(node) for name, node in expanded.nodes.items()}
    read = {other for names in upstream.values() for other in names}
    waiting = [name for name in expanded.nodes if name not in read and name not in given]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found and name not in given:
            found.add(name)
            waiting += upstream[name]
    return found


class Expectations:
    """Checks what a case expects: the steps, outputs and expressions that it names."""

    def __init__(self, prepared: PreparedCase, expanded: Expanded, environment: TypeEnvironment) -> None:
        self._prepared = prepared
        self._expanded = expanded
        self._environment = environment
        self._document: Document = prepared.file.document

    def problems(self) -> Iterator[Problem]:
        expect = self._prepared.case.expect
        for key in ("verdicts", "steps"):
            for name in getattr(expect, key):
                if name not in self._expanded.nodes:
                    hint = suggest.hint(name, self._expanded.nodes, most=20)
                    yield self._problem("unknown-step", (key, name), f'the spec has no step "{name}"', hint, key=True)
        single = isinstance(self._document.value(self._prepared.path("expect", "holds")), str)
        for index, text in enumerate(expect.holds):
            yield from self._expression(text, ("holds",) if single else ("holds", index))
        for name in expect.tables:
            yield from self._output(name, ("tables", name), key=True)
        alone = isinstance(self._document.value(self._prepared.path("expect", "snapshot")), str)
        for index, name in enumerate(expect.snapshot):
            yield from self._output(name, ("snapshot",) if alone else ("snapshot", index))
        for index, one in enumerate(expect.disjoint):
            for inner, name in enumerate(one.tables):
                yield from self._output(name, ("disjoint", index, "tables", inner))

    def _expression(self, text: str, path: Keys) -> Iterator[Problem]:
        at = self._prepared.path("expect", *path)
        try:
            template = expressions.parse(text)
        except ExpressionError as error:
            yield self._document.problem("bad-expression", at, str(error), error.hint, offset=error.offset)
            return
        if template.whole is None:
            hint = f"write ${{{{ {text} }}}}" if "{" not in text else "write one expression"
            yield self._problem("bad-expression", path, "an expectation is one expression, in ${{ … }}", hint)
            return
        for reference in template.references:
            yield from self._reference(reference, path)

    def _output(self, name: str, path: Keys, *, key: bool = False) -> Iterator[Problem]:
        try:
            template = expressions.parse(braced(name))
        except ExpressionError as error:
            yield self._problem("bad-expression", path, str(error), "write STEP.OUTPUT", key=key)
            return
        for reference in template.references:
            yield from self._reference(reference, path, key=key)

    def _reference(self, reference: Reference, path: Keys, *, key: bool = False) -> Iterator[Problem]:
        if reference.root not in ROOTS:
            message = f'"{reference.root}" cannot be read here'
            yield self._problem("bad-expression", path, message, f"use one of {', '.join(ROOTS)}", key=key)
            return
        names = self._expanded.groups if reference.root == "steps" else self._expanded.loaded.spec.params
        if reference.root == "env" or not reference.path:
            return
        name = str(reference.path[0])
        if name not in names:
            what = ("unknown-step", "step") if reference.root == "steps" else ("unknown-parameter", "parameter")
            hint = suggest.hint(name, names, most=20)
            yield self._problem(what[0], path, f'the spec has no {what[1]} "{name}"', hint, key=key)
            return
        given = self._environment.of_step(name, None) if reference.root == "steps" else types.ANY
        for index, inner in enumerate(reference.path[1:], 1):
            found = types.inside(given, inner)
            if found is None:
                before = ".".join(map(str, reference.path[:index]))
                hint = suggest.hint(str(inner), types.members(given), most=20)
                yield self._problem("unknown-output", path, f'{before} has no "{inner}"', hint, key=key)
                return
            given = found

    def _problem(self, code: str, path: Keys, message: str, hint: str | None = None, *, key: bool = False) -> Problem:
        return self._document.problem(code, self._prepared.path("expect", *path), message, hint, key=key)


def braced(name: str) -> str:
    """Returns the expression of an output that is written as STEP.OUTPUT."""
    return f"${{{{ steps.{name} }}}}"
