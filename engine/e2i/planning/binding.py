"""Checks a plan against an approved one. In: both. Raises Refused unless they lead to the same work."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from e2i.errors import Refused
from e2i.planning import document
from e2i.planning.fingerprint import changes
from e2i.planning.model import Plan, canonical

MOST = 5
"""Limit on the differences in the message."""


def check(now: Plan, approved: Mapping[str, Any]) -> None:
    """Raises Refused when the plan differs from the approved one, with the first differences, and for code that no plan
    can name. Raises BadInput for a document that is not a plan.
    """
    before = document.covered(approved)
    if now.digest != approved["digest"]:
        found = list(_differences(before, json.loads(json.dumps(now.covered))))
        raise Refused(
            f"the plan no longer matches the approved one: {'; '.join(found[:MOST])}",
            code="plan-changed",
            hint="plan again, and have the new plan approved",
        )
    if code := [item for item in now.undecided if item.kind == "code"]:
        raise Refused(
            f"code that is only known during the run cannot be approved: {'; '.join(map(str, code[:MOST]))}",
            code="plan-undecided",
            hint="write the file and the function in the spec",
        )


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for key in ("name", "profile"):
        if before[key] != after[key]:
            yield f"the {key} differs ({before[key]} → {after[key]})"
    for key, what in (("params", "parameters"), ("outputs", "outputs")):
        if differing := changes(before[key], after[key]):
            yield f"the {what} differ ({', '.join(differing)})"
    yield from (f"{change} (set by the operator)" for change in changes(before["environment"], after["environment"]))
    old, new = before["steps"], after["steps"]
    for step in sorted(old.keys() | new.keys()):
        if canonical(old.get(step)) != canonical(new.get(step)):
            if step not in old or step not in new:
                yield f"{step} {'is new' if step not in old else 'is gone'}"
            else:  # the difference of the parameters is enough
                said = changes(before["params"], after["params"])
                yield f"{step} differs{'' if said else _how(old[step], new[step])}"
    if before["undecided"] != after["undecided"]:
        yield "what is undecided until the run differs"


def _how(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    parts = [
        *changes(before["inputs"], after["inputs"], show=False),
        *changes(before["options"], after["options"], show=False),
        *(key for key in ("uses", "needs", "finally") if before.get(key) != after.get(key)),
    ]
    return f" ({', '.join(parts[:MOST])}{' …' if len(parts) > MOST else ''})"
