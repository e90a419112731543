"""Checks a spec against the catalog. In: an expanded spec. Out: every problem. Nothing is run or imported.

A rule is a function from a ``CheckContext`` to problems. To add one, write a module for it, add the
explanation of its codes to the end of it, and list it in ``RULES``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import islice
from typing import NamedTuple

from e2i.check import (
    actions,
    braces,
    literals,
    nulls,
    order,
    policy,
    promotions,
    references,
    secrecy,
    skips,
    targets,
    unread,
)
from e2i.check.context import CheckContext
from e2i.spec.problems import MOST, Problem

MOST_NAMES = 300
"""Limit on dangling references, and on dangling entries of ``needs``: for each, all names are searched."""


class Rule(NamedTuple):
    """A check, and the maximum number of its problems that are reported."""

    find: Callable[[CheckContext], Iterable[Problem]]
    most: int = MOST
    of_valid: bool = False
    """True when it runs only if earlier rules found no error, which could be the cause of its own problems."""


RULES = (
    Rule(actions.check, MOST + 1),  # first: it records the output types of each step
    Rule(references.check, MOST_NAMES),
    Rule(skips.check),
    Rule(promotions.check),
    Rule(targets.check),
    Rule(nulls.check),
    Rule(secrecy.check),
    Rule(order.check, MOST_NAMES),
    Rule(policy.check),
    Rule(literals.check),
    Rule(braces.check),
    Rule(unread.check, of_valid=True),
)
EXPLAINED_BY: Mapping[str, frozenset[str]] = {
    "bad-expression": references.DANGLING,
    **dict.fromkeys(("no-such-file", "unknown-format"), frozenset({"policy-path", "bad-path"})),
    "plain-braces": frozenset({"bad-action-parameter", "bad-expression"}),
}
"""Problems that are dropped where a problem of one of these codes is reported: it is the same mistake, or a path that
must not be read.
"""


def check(context: CheckContext, earlier: Collection[Problem] = ()) -> list[Problem]:
    """Returns all problems of all rules, in the order of the rules. ``earlier`` stages found these."""
    found: list[Problem] = []
    for rule in RULES:
        if not rule.of_valid or all(problem.severity != "error" for problem in (*earlier, *found)):
            found += islice(rule.find(context), rule.most)
    codes: dict[tuple[str, str], set[str]] = {}
    for problem in found:
        codes.setdefault((problem.location.file, problem.path), set()).add(problem.code)

    def is_explained(problem: Problem) -> bool:
        by = EXPLAINED_BY.get(problem.code)
        return by is not None and not by.isdisjoint(codes[problem.location.file, problem.path])

    return [problem for problem in found if not is_explained(problem)]
