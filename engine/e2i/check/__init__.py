"""Whether a spec fits the catalog. In: an expanded spec. Out: every problem of its wiring; nothing is run or
imported.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from e2i.catalog.files import NO_FILES, Files
from e2i.check import actions, literals, nulls, order, policy, promotions, references, secrecy, skips
from e2i.check.knowledge import Knowledge
from e2i.check.parts import PartFiles, reader
from e2i.check.policy import Authority
from e2i.spec.expand import Expanded, expand
from e2i.spec.load import load
from e2i.spec.params import parameter_values
from e2i.spec.parts import gather
from e2i.spec.problems import MOST, Place, Problem, most

MOST_NAMES = 300
"""References, and as many entries of ``needs``, that lead nowhere and are reported: for each all names are searched."""


def check(
    source: str | bytes | Mapping[str, Any],
    file: str,
    given: Mapping[str, Any],
    env: Mapping[str, str],
    secrets: Collection[str] = (),
    *,
    authority: Authority,
    files: Files = NO_FILES,
    beside: str | None = None,
    parts: PartFiles | None = None,
    require_params: bool = True,
) -> tuple[Expanded | None, list[Problem]]:
    """Reads and checks a spec. All problems come back at once, sorted by place; without errors the spec is there.

    ``authority`` says who wrote the spec and what that allows. ``env`` and ``secrets`` are the names that the operator
    lets specs use. ``files`` is the workspace, for the parts that steps include, and for what tables and suites say of
    their columns; ``beside`` is the spec's own path in it, if ``file`` is not. ``parts``: where to
    read the parts, if not there.
    ``require_params=False`` is for ``validate``: a parameter without a default is no fault of the spec.
    """
    length = 0 if isinstance(source, Mapping) else len(source)
    if fault := policy.size(length, "the spec has", authority):
        return None, [Problem(fault.code, fault.message, Place(file, 1, 1), "", fault.hint)]
    limits = policy.limits(authority)
    loaded, problems = load(source, file, limits)
    if loaded is None:
        return None, problems
    loaded, problems = gather(
        loaded, beside or file, reader(parts or PartFiles(files, authority.look), authority, length), limits
    )
    values, faults = parameter_values(loaded.spec, loaded.document, given)
    if not require_params:
        faults = [fault for fault in faults if fault.code != "missing-parameter"]
    defaults = {}
    for part in [part for part in loaded.files() if part is not loaded]:
        defaults[part.document.file], wrong = parameter_values(part.spec, part.document, {})
        faults += [fault for fault in wrong if fault.code != "missing-parameter"]
    problems += [problem for part in loaded.files() for problem in islice(references.check_syntax(part), MOST)]
    if problems:  # the steps cannot be expanded while an expression or a part cannot be read
        return None, _sorted([*faults, *problems, *islice(actions.check_names(loaded), MOST + 1)])
    expanded, matrices = expand(loaded, values, env, secrets, most=authority.rules.budgets.steps)
    if len(expanded.nodes) > authority.rules.budgets.steps:
        return None, _sorted([*faults, *matrices, *islice(policy.sizes(expanded, authority), MOST)])
    knowledge = Knowledge(expanded)
    uses = list(islice(actions.check(expanded, knowledge, files), MOST + 1))
    names = list(islice(references.check(expanded, knowledge), MOST_NAMES))
    found = [*faults, *matrices, *names, *islice(skips.check(expanded), MOST), *promotions.check(expanded)]
    found += [*nulls.check(expanded, knowledge), *secrecy.outputs(expanded), *_without(names, uses)]
    found += islice(order.check(loaded), MOST_NAMES)
    found = _allowed(found, list(islice(policy.check(expanded, authority), MOST)))
    for part in loaded.files():
        found += islice(literals.check(part, defaults.get(part.document.file, values)), MOST)
    return (expanded if all(problem.severity != "error" for problem in found) else None), _sorted(found)


def _allowed(problems: list[Problem], refused: list[Problem]) -> list[Problem]:
    """All of them, but not what lies behind a path that must not be looked at."""
    known = {(problem.place, problem.path) for problem in refused if problem.code in ("policy-path", "bad-path")}

    def hidden(problem: Problem) -> bool:
        return problem.code == "no-such-file" and (problem.place, problem.path) in known

    return [*(problem for problem in problems if not hidden(problem)), *refused]


def _without(names: list[Problem], problems: Iterable[Problem]) -> Iterator[Problem]:
    """The problems but for expressions that fail because of a name that leads nowhere: those are in ``names``."""
    known = {(problem.place.file, problem.path) for problem in names}
    return (
        problem
        for problem in problems
        if problem.code != "bad-expression" or (problem.place.file, problem.path) not in known
    )


def _sorted(problems: list[Problem]) -> list[Problem]:
    """By place, each once: the cells of a matrix repeat the problems of their step."""
    return most(list({problem.sort_key: problem for problem in problems}.values()))
