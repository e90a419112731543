"""Say what would have noticed a mutant that survived.

In: the runs of its cases on the spec and on the mutant. Out: a sentence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from e2i.catalog.artifacts import ARTIFACTS
from e2i.documents import OutputValues
from e2i.testing import tables
from e2i.testing.mutation.changes import Change

PASSING = ("uri", "run", "pid", "url", "bytes", "created_ms")
"""Facts of an artifact that are different each time."""
NOISE = 1e-4
"""Relative difference below which two numbers may be the same result, computed in another order."""


class Reached(Struct, frozen=True):
    """A case that ran the changed step on the mutant, with the outputs of its steps before and after the change."""

    case: str
    before: Mapping[str, OutputValues | None]
    after: Mapping[str, OutputValues | None]


class Difference(Struct, frozen=True):
    """A value that is another one on the mutant."""

    where: str
    old: Any
    new: Any
    artifact: str = ""
    """The kind of an artifact with another content."""

    @property
    def rank(self) -> int:
        """Numbers and texts come before artifacts, those before numbers that are nearly the same."""
        return 2 if self.is_noise else 1 if self.artifact else 0

    @property
    def is_noise(self) -> bool:
        """Whether both are numbers that differ less than results of the same computation may."""
        return self._are_fractions and math.isclose(self.old, self.new, rel_tol=NOISE, abs_tol=1e-9)

    @property
    def _are_fractions(self) -> bool:
        kinds = {type(self.old), type(self.new)}
        return kinds in ({float}, {float, int}) and math.isfinite(self.old) and math.isfinite(self.new)

    def __str__(self) -> str:
        if self.artifact:
            return f"{self.where}, which is a {self.artifact} and becomes another"
        if not self._are_fractions:
            return f"{self.where}, which is {tables.short(self.old)} and becomes {tables.short(self.new)}"
        places = math.ceil(-math.log10(abs(self.old - self.new) / 2))
        old, new = round(self.old, places + 1), round(self.new, places + 1)
        return f"{self.where}, which is {old} and becomes {new}, with a tolerance of {10.0**-places:g}"


def advice(change: Change, reached: list[Reached]) -> str:
    """Returns what an expectation could read, or that no case comes to the change."""
    noise = ""
    for one in reached:
        for step, outputs in one.after.items():
            found = sorted(
                _walk(one.before.get(step) or {}, outputs or {}, f"steps.{step}"), key=lambda each: each.rank
            )
            if found and not found[0].is_noise:
                return f"{one.case}: expect {found[0]}"
            noise = noise or (found[0].where if found else "")
    if not reached:
        if change.kind == "default":
            return f"no case runs with the default: expect something of params.{change.path[1]}"
        return f"no case runs {change.step} in a way that depends on it" if change.step else "no case depends on it"
    cases = ", ".join(one.case for one in reached)
    if noise:
        return f"outputs of {cases} differ by less than {NOISE:.2%} ({noise}): add data that the change acts on"
    return f"no output of {cases} differs: add data that the change acts on"


def _walk(old: Any, new: Any, where: str) -> Iterator[Difference]:
    """Yields the values that differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        kind = new.get("type")
        if kind in ARTIFACTS and "digest" in new:
            if kind == "table" and old.get("rows") != new.get("rows"):
                yield Difference(f"{where}.rows", old.get("rows"), new.get("rows"))
            if old.get("digest") != new.get("digest"):
                yield Difference(where, old, new, kind)
            old = {key: item for key, item in old.items() if key not in (*PASSING, "digest", "columns")}
            new = {key: item for key, item in new.items() if key not in (*PASSING, "digest", "columns")}
        for key in dict.fromkeys((*old, *new)):
            yield from _walk(old.get(key), new.get(key), f"{where}.{key}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _walk(one, other, f"{where}[{index}]")
    elif old != new:
        yield Difference(where, old, new)
