"""A plan and the document of an approved one go in; nothing comes out when they lead to the same work, else Refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from e2i.errors import Refused
from e2i.planning.fingerprint import changes
from e2i.planning.model import Plan

MOST = 5
"""Differences that the message names."""


def check(now: Plan, approved: Mapping[str, Any]) -> None:
    """Raises Refused, naming the first differences, when the plan is not the approved one."""
    if now.digest == approved.get("digest"):
        return
    raise Refused(
        f"the plan no longer matches the approved one: {'; '.join(_differences(now, approved)[:MOST])}",
        code="plan-changed",
        hint="plan again, and have the new plan approved",
    )


def _differences(now: Plan, approved: Mapping[str, Any]) -> list[str]:
    document = json.loads(json.dumps(now.to_json()))
    found = [
        f"the {key} differs ({approved.get(key)} → {document[key]})"
        for key in ("name", "profile")
        if approved.get(key) != document[key]
    ]
    for key, what in (("params", "parameters"), ("outputs", "outputs")):
        if differing := changes(approved.get(key) or {}, document[key]):
            found.append(f"the {what} differ ({', '.join(differing)})")
    before, after = approved.get("bound") or {}, document["bound"]
    for step in sorted(before.keys() | after.keys()):
        if before.get(step) != after.get(step):
            found.append(f"{step} {'is new' if step not in before else 'is gone' if step not in after else 'differs'}")
    return found or ["its digest differs"]
