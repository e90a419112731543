"""Say what would have noticed a mutant that survived.

In: the runs of its cases on the spec and on the mutant. Out: a sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from e2i.catalog.artifacts import ARTIFACTS
from e2i.documents import OutputValues
from e2i.testing import tables
from e2i.testing.mutation.changes import Change

PASSING = ("uri", "run", "pid", "url", "bytes", "created_ms")
"""Facts of an artifact that are different each time."""


class Reached(Struct, frozen=True):
    """A case that ran the changed step on the mutant, with the outputs of its steps before and after the change."""

    case: str
    before: Mapping[str, OutputValues | None]
    after: Mapping[str, OutputValues | None]


def advice(change: Change, reached: list[Reached]) -> str:
    """Returns what an expectation could read, or that no case comes to the change."""
    for one in reached:
        for step, outputs in one.after.items():
            for where, old, new in _differences(one.before.get(step) or {}, outputs or {}, f"steps.{step}"):
                return f"{one.case}: expect {where}, which is {old} and becomes {new}"
    if not reached:
        if change.kind == "default":
            return f"no case runs with the default: expect something of params.{change.path[1]}"
        return f"no case runs {change.step} in a way that depends on it" if change.step else "no case depends on it"
    return f"no output of {', '.join(one.case for one in reached)} differs: add data that the change acts on"


def _differences(old: Any, new: Any, where: str) -> Iterator[tuple[str, str, str]]:
    """Yields the values that differ, numbers and texts before artifacts."""
    found = list(_walk(old, new, where))
    yield from sorted(found, key=lambda one: one[1].startswith("a "))


def _walk(old: Any, new: Any, where: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        kind = new.get("type")
        if kind in ARTIFACTS and "digest" in new:
            if kind == "table" and old.get("rows") != new.get("rows"):
                yield f"{where}.rows", str(old.get("rows")), str(new.get("rows"))
            if old.get("digest") != new.get("digest"):
                yield where, f"a {kind}", "another"
            old = {key: item for key, item in old.items() if key not in (*PASSING, "digest", "columns")}
            new = {key: item for key, item in new.items() if key not in (*PASSING, "digest", "columns")}
        for key in dict.fromkeys((*old, *new)):
            yield from _walk(old.get(key), new.get(key), f"{where}.{key}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _walk(one, other, f"{where}[{index}]")
    elif old != new:
        yield where, tables.short(old), tables.short(new)
