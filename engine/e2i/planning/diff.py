"""Compares two specs with their plans, and classifies the change: cosmetic, adds, changes or breaks.

Cosmetic: nothing that can affect execution differs. Adds: everything still exists, and there is more. Changes: a step
does something else, so its result may differ. Breaks: callers that pass parameters or read outputs must change too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Annotated, Literal

from msgspec import Meta, Struct

from e2i.documents import Documented, Element, JsonDocument, JsonObject
from e2i.planning.canonical import fields
from e2i.planning.fingerprint import changes
from e2i.planning.model import Plan, PlanStep
from e2i.spec.models import ParamSpec, PipelineSpec


class Weight(IntEnum):
    """The weight of a difference, the least first."""

    COSMETIC = 0
    ADDS = 1
    CHANGES = 2
    BREAKS = 3


class Difference(Struct, frozen=True):
    """One difference: its weight, its subject (``step tune``), and a description."""

    weight: Weight
    what: str
    detail: str


class SpecDiff(Documented, frozen=True):
    """The classified change of a spec."""

    differences: tuple[Difference, ...]

    @property
    def weight(self) -> Weight:
        return max((difference.weight for difference in self.differences), default=Weight.COSMETIC)

    @property
    def document(self) -> SpecDiffDocument:
        """The change as printed."""
        found = [
            DifferenceDocument(weight=_name(one.weight), what=one.what, detail=one.detail) for one in self.differences
        ]
        return SpecDiffDocument(meaning=_name(self.weight), differences=found)


WeightName = Literal["cosmetic", "adds", "changes", "breaks"]


class DifferenceDocument(Element, frozen=True, kw_only=True):
    """One difference of two specs."""

    weight: WeightName
    what: Annotated[str, Meta(description="Its subject, such as `step tune`.")]
    detail: Annotated[str, Meta(description="Description for people.")]


class SpecDiffDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i diff SPEC SPEC --json`."""

    meaning: Annotated[WeightName, Meta(description="Weight of the weightiest difference.")]
    differences: Annotated[list[DifferenceDocument], Meta(description="The weightiest first.")]


def _name(weight: Weight) -> WeightName:
    names: tuple[WeightName, ...] = ("cosmetic", "adds", "changes", "breaks")
    return names[weight]


def compare(before: tuple[PipelineSpec, Plan], after: tuple[PipelineSpec, Plan]) -> SpecDiff:
    """Returns the differences between two specs, the weightiest first."""
    found = [
        *_params(before[0].params, after[0].params),
        *_outputs(before[0], after[0]),
        *_steps(before[1], after[1]),
    ]
    if before[0].name != after[0].name:
        found.append(
            Difference(Weight.BREAKS, "name", f"{before[0].name} → {after[0].name}: the name identifies its history")
        )
    return SpecDiff(
        tuple(sorted(found, key=lambda difference: (-difference.weight, difference.what, difference.detail)))
    )


def _params(before: Mapping[str, ParamSpec], after: Mapping[str, ParamSpec]) -> Iterator[Difference]:
    for name in sorted(before.keys() | after.keys()):
        what, old, new = f"parameter {name}", before.get(name), after.get(name)
        if new is None:
            yield Difference(Weight.BREAKS, what, "is gone")
        elif old is None:
            needed = Difference(Weight.BREAKS, what, "is new and has no default")
            yield needed if new.required else Difference(Weight.ADDS, what, "is new")
        else:
            yield from _param(what, old, new)


def _param(what: str, old: ParamSpec, new: ParamSpec) -> Iterator[Difference]:
    if old.type != new.type and (old.type, new.type) != ("integer", "number"):
        yield Difference(Weight.BREAKS, what, f"type {old.type} → {new.type}")
    if new.required and not old.required:
        yield Difference(Weight.BREAKS, what, "has no default any more")
    elif old.default != new.default:
        yield Difference(Weight.CHANGES, what, f"default {old.default!r} → {new.default!r}")
    if new.choices is not None and (gone := [c for c in (old.choices or ()) if c not in new.choices]):
        yield Difference(Weight.BREAKS, what, f"does not allow {', '.join(map(repr, gone))} any more")
    elif new.choices is not None and old.choices is None:
        yield Difference(Weight.BREAKS, what, "allows only some values now")
    elif old.choices != new.choices:
        yield Difference(Weight.ADDS, what, "allows more values")
    for bound, sign in (("min", 1), ("max", -1)):
        was, now = getattr(old, bound), getattr(new, bound)
        if was != now:
            narrower = now is not None and (was is None or sign * (now - was) > 0)
            yield Difference(Weight.BREAKS if narrower else Weight.ADDS, what, f"{bound} {was} → {now}")
    if old.pattern != new.pattern:
        weight = Weight.ADDS if new.pattern is None else Weight.BREAKS
        yield Difference(weight, what, f"pattern {old.pattern!r} → {new.pattern!r}")


def _outputs(before: PipelineSpec, after: PipelineSpec) -> Iterator[Difference]:
    old, new = before.outputs, after.outputs
    for name in sorted(old.keys() | new.keys()):
        what = f"output {name}"
        if name not in new:
            yield Difference(Weight.BREAKS, what, "is gone")
        elif name not in old:
            yield Difference(Weight.ADDS, what, "is new")
        elif old[name] != new[name]:
            yield Difference(Weight.CHANGES, what, f"{old[name]} → {new[name]}")


def _steps(before: Plan, after: Plan) -> Iterator[Difference]:
    old, new = ({step.id: step for step in plan.steps} for plan in (before, after))
    for name in sorted(old.keys() | new.keys()):
        what = f"step {name}"
        if name not in new:
            yield Difference(Weight.CHANGES, what, "is gone")
        elif name not in old:
            yield Difference(Weight.ADDS, what, f"is new ({new[name].uses})")
        else:
            yield from (Difference(Weight.CHANGES, what, detail) for detail in _step(old[name], new[name]))


def _step(old: PlanStep, new: PlanStep) -> Iterator[str]:
    if old.uses != new.uses:
        yield f"{old.uses} → {new.uses}"
        return
    yield from changes(_named_inputs(old), _named_inputs(new))
    if old.needs != new.needs:
        yield f"comes after {', '.join(old.needs) or 'nothing'} → {', '.join(new.needs) or 'nothing'}"
    yield from changes(fields(old.bound), fields(new.bound))


def _named_inputs(step: PlanStep) -> JsonObject:
    """Returns the inputs of a step by the names that the user knows, each parameter separately."""
    inputs = step.components.inputs
    rest = {name: value for name, value in fields(inputs).items() if name not in ("action", "params")}
    return {**rest, **inputs.params}
