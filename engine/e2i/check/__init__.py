"""Whether a spec fits the catalog. In: an expanded spec. Out: every problem of its wiring; nothing is run or
imported.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from e2i.catalog.columns import Files
from e2i.check import actions, order, policy, references
from e2i.check.knowledge import Knowledge
from e2i.check.policy import Authority
from e2i.spec.expand import Expanded, expand
from e2i.spec.load import load, parameter_values
from e2i.spec.problems import Problem


def check(
    source: str | bytes | Mapping[str, Any],
    file: str,
    given: Mapping[str, Any],
    env: Mapping[str, str],
    secrets: Collection[str] = (),
    *,
    authority: Authority,
    files: Files,
    require_params: bool = True,
) -> tuple[Expanded | None, list[Problem]]:
    """Reads and checks a spec. All problems come back at once, sorted by place; without errors the spec is there.

    ``authority`` says who wrote the spec and what that allows. ``env`` and ``secrets`` are the names that the operator
    lets specs use. ``files`` is the workspace, for what tables and suites say of their columns.
    ``require_params=False`` is for ``validate``: a parameter without a default is no fault of the spec.
    """
    if problems := policy.size(source, file, authority):
        return None, problems
    loaded, problems = load(source, file)
    if loaded is None:
        return None, problems
    values, faults = parameter_values(loaded.spec, loaded.document, given)
    if not require_params:
        faults = [fault for fault in faults if fault.code != "missing-parameter"]
    expressions = references.check_syntax(loaded)
    if expressions:  # the steps cannot be expanded while an expression cannot be read
        return None, _sorted([*faults, *expressions, *actions.check_names(loaded)])
    expanded, matrices = expand(loaded, values, env, secrets)
    knowledge = Knowledge(expanded)
    uses = list(actions.check(expanded, knowledge, files))
    names = list(references.check(expanded, knowledge))
    found = [*faults, *matrices, *names, *order.check(expanded), *_without(names, uses)]
    found.extend(policy.check(expanded, authority))
    return (expanded if all(problem.severity != "error" for problem in found) else None), _sorted(found)


def _without(names: list[Problem], problems: Iterable[Problem]) -> Iterator[Problem]:
    """The problems but for expressions that fail because of a name that leads nowhere: those are in ``names``."""
    known = {problem.path for problem in names}
    return (problem for problem in problems if problem.code != "bad-expression" or problem.path not in known)


def _sorted(problems: list[Problem]) -> list[Problem]:
    """By place, each once: the cells of a matrix repeat the problems of their step."""
    return [problem for _, problem in sorted({problem.sort_key: problem for problem in problems}.items())]
