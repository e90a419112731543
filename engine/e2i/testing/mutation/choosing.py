"""Choose mutants: a seeded sample of changes, as far as the spec is then valid and its plan differs.

In: test files and their specs. Out: ``Mutant``s. Runs nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from msgspec import Struct

from e2i import route
from e2i.check import actions
from e2i.check.context import CheckContext
from e2i.check.type_environment import TypeEnvironment
from e2i.documents import JsonObject, ParamValues
from e2i.spec.expansion.expanded import Expanded
from e2i.store.history import NoHistory
from e2i.testing.mutation.changes import KINDS, Change, mutated
from e2i.testing.mutation.kinds import changes
from e2i.testing.suite import ReadyFile
from e2i.workspace.options import RunOptions
from e2i.workspace.source import Source


class Mutant(Struct, frozen=True):
    """A change of the spec of a test file, and where it is."""

    file: str
    """The test file."""
    spec: str
    line: int
    column: int
    change: Change


def choose(ready: Sequence[ReadyFile], most: int, seed: int) -> list[Mutant]:
    """Returns up to ``most`` mutants of the specs, equally many of each as far as there are. Deterministic."""
    sources = [_Candidates(one, seed).mutants() for one in ready]
    found: list[Mutant] = []
    while sources and len(found) < most:
        for source in list(sources):
            if len(found) == most:
                break
            if (mutant := next(source, None)) is None:
                sources.remove(source)
            else:
                found.append(mutant)
    return sorted(found, key=lambda one: (one.file, one.line, one.column))


class _Candidates:
    """The mutants of one spec, each kind in turn."""

    def __init__(self, ready: ReadyFile, seed: int) -> None:
        self._ready = ready
        self._chance = random.Random(f"{seed} {ready.file.content.tests}")

    def mutants(self) -> Iterator[Mutant]:
        found = self._examined()
        if found is None:
            return
        params, expanded, environment = found
        document = expanded.loaded.document
        data: JsonObject = document.data
        kinds: dict[str, list[Change]] = {kind: [] for kind in KINDS}
        for change in changes(data, expanded, environment):
            kinds[change.kind].append(change)
        for listed in kinds.values():
            self._chance.shuffle(listed)
        seen = {self._plan(data, params)}
        while any(kinds.values()):
            for listed in kinds.values():
                while listed:
                    change = listed.pop()
                    digest = self._plan(mutated(data, change), params)
                    if digest is not None and digest not in seen:
                        seen.add(digest)
                        location = document.location(change.path, key=change.drop)
                        spec = self._ready.file.spec
                        yield Mutant(self._ready.file.name, spec, location.line, location.column, change)
                        break

    def _examined(self) -> tuple[ParamValues, Expanded, TypeEnvironment] | None:
        """Returns the steps of the spec with the types of their outputs, and the parameters that they need.

        None for a spec that is not valid with its defaults or with the parameters of a case.
        """
        for params in (ParamValues(), *(ParamValues(case.case.params) for case in self._ready.cases)):
            draft = route.examine(self._ready.source, self._ready.workspace, params)
            if draft.expanded is None or not draft.is_valid:
                continue
            context = CheckContext.of(draft.expanded, self._ready.workspace.authority, draft.files)
            for _ in actions.check(context):  # it records the types of all outputs
                pass
            return params, draft.expanded, context.environment
        return None

    def _plan(self, data: JsonObject, params: ParamValues) -> str | None:
        """Returns the digest of the plan of a spec; None when it is not valid."""
        source = Source(data, self._ready.source.file)
        draft = route.examine(source, self._ready.workspace, params)
        if draft.expanded is None or not draft.is_valid:
            return None
        return route.plan(draft.expanded, NoHistory(), self._ready.workspace, RunOptions(params)).plan().digest
