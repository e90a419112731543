"""Checks a plan against an approved one. In: both. Raises Refused unless they lead to the same work."""

from __future__ import annotations

import json
from collections.abc import Iterator

from e2i.documents import plain, read
from e2i.errors import Refused
from e2i.planning import document
from e2i.planning.canonical import canonical, fields
from e2i.planning.fingerprint import changes
from e2i.planning.model import Covered, CoveredStep, Plan, PlanDocument

MOST = 5
"""Limit on the differences in the message."""


def check(now: Plan, approved: PlanDocument) -> None:
    """Raises Refused when the plan differs from the approved one, with the first differences, and for code that no plan
    can name, or when the approved one was altered.
    """
    document.check(approved)
    if now.digest != approved.digest:
        found = list(_differences(approved.covered, _as_read(now.covered)))
        raise Refused(
            f"the plan no longer matches the approved one: {'; '.join(found[:MOST])}",
            code="plan-changed",
            hint="plan again, and have the new plan approved",
        )
    check_code(now)


def check_code(now: Plan) -> None:
    """Raises Refused for a plan with code that is only known during the run."""
    if code := [item for item in now.undecided if item.kind == "code"]:
        raise Refused(
            f"code that is only known during the run cannot be approved: {'; '.join(map(str, code[:MOST]))}",
            code="plan-undecided",
            hint="write the file and the function in the spec",
        )


def _as_read(covered: Covered) -> Covered:
    """Returns the same as it would be read from a document, so that both sides have values of the same types."""
    return read(json.loads(json.dumps(plain(covered))), Covered)


def _differences(before: Covered, after: Covered) -> Iterator[str]:
    if before.name != after.name:
        yield f"the name differs ({before.name} → {after.name})"
    if before.profile != after.profile:
        yield f"the profile differs ({before.profile} → {after.profile})"
    if params := changes(before.params, after.params):
        yield f"the parameters differ ({', '.join(params)})"
    if outputs := changes(before.outputs, after.outputs):
        yield f"the outputs differ ({', '.join(outputs)})"
    yield from (f"{change} (set by the operator)" for change in changes(before.environment, after.environment))
    old, new = before.steps, after.steps
    for step in sorted(old.keys() | new.keys()):
        if canonical(old.get(step)) != canonical(new.get(step)):
            if step not in old or step not in new:
                yield f"{step} {'is new' if step not in old else 'is gone'}"
            else:  # the difference of the parameters is enough
                yield f"{step} differs{'' if params else _how(old[step], new[step])}"
    if before.undecided != after.undecided:
        yield "what is undecided until the run differs"


def _how(before: CoveredStep, after: CoveredStep) -> str:
    old, new = fields(before), fields(after)
    parts = [
        *changes(fields(before.inputs), fields(after.inputs), show=False),
        *changes(fields(before.options), fields(after.options), show=False),
        *(key for key in ("uses", "needs", "finally") if old.get(key) != new.get(key)),
    ]
    return f" ({', '.join(parts[:MOST])}{' …' if len(parts) > MOST else ''})"
