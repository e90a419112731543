"""Draw the steps of a run as boxes and arrows. A large matrix is one box."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from e2i.report import layout
from e2i.report.steps import ATTENTION, Step
from e2i.report.values import duration

MOST_SINGLE = 6
"""Maximum number of matrix combinations with a box each; a larger matrix is one box."""
ROOM = 1060.0
"""Width of a page in pixels."""
CHARACTER = 7.6
"""Average width of a letter of a box's title, slightly generous."""
SMALL = 6.2
"""The same for the second line."""
NARROWEST, WIDEST = 126.0, 232.0


class Box(Struct, frozen=True):
    """A step, or ``count`` matrix combinations; ``status`` is the most important one among them."""

    x: float
    y: float
    anchor: str
    title: str
    uses: str
    side: str
    status: str
    tooltip: str
    count: int


class Picture(Struct, frozen=True):
    """``arrows``: SVG path data, and whether the arrow starts at a step with a result.

    ``fits``: the picture is still readable when it is shrunk to the width of the page.
    """

    width: float
    height: float
    box_width: float
    box_height: float
    fits: bool
    boxes: tuple[Box, ...]
    arrows: tuple[tuple[str, bool], ...]


def draw(steps: Sequence[Step]) -> Picture | None:
    """Returns the picture, or None for too many boxes. Dependencies that others imply are not drawn."""
    sizes = Counter(step.group for step in steps)
    names = {step.id: step.group if sizes[step.group] > MOST_SINGLE else step.id for step in steps}
    members: dict[str, list[Step]] = {}
    for step in steps:
        members.setdefault(names[step.id], []).append(step)
    if len(members) > layout.MOST_DRAWN:
        return None
    needs = _needs(members, names)
    lengths = [(len(name) + 6) * CHARACTER for name in members] + [
        len(steps[0].uses) * SMALL for steps in members.values()
    ]
    width = min(max(max(lengths, default=0) + 30, NARROWEST), WIDEST)
    drawing = layout.draw(needs, width, ROOM)
    boxes = tuple(_box(name, steps, drawing.positions[name], width) for name, steps in members.items())
    results = {box.anchor: box.status in ("succeeded", "reused") for box in boxes}
    arrows = tuple((path, results[members[upstream][0].anchor]) for (upstream, _), path in drawing.paths.items())
    return Picture(drawing.width, drawing.height, width, layout.HEIGHT, drawing.width <= 1.3 * ROOM, boxes, arrows)


def _needs(members: dict[str, list[Step]], names: dict[str, str]) -> dict[str, list[str]]:
    """Returns the boxes that each box needs, in topological order."""
    needs = {
        name: sorted({names[upstream] for step in steps for upstream in step.needs} - {name})
        for name, steps in members.items()
    }
    ordered: dict[str, list[str]] = {}
    while waiting := [name for name in needs if name not in ordered]:
        ready = [name for name in waiting if all(upstream in ordered for upstream in needs[name])]
        # Two large matrices whose combinations need each other's in turn: some arrow must be left out.
        for name in ready or waiting[:1]:
            ordered[name] = [upstream for upstream in needs[name] if upstream in ordered]
    return ordered


def _box(name: str, steps: Sequence[Step], position: tuple[float, float], width: float) -> Box:
    first = min(
        steps,
        key=lambda step: ATTENTION.index(step.status) if step.status in ATTENTION else 0,
    )
    seconds = [step.seconds for step in steps if step.seconds is not None]
    counts = Counter(step.status for step in steps)
    tooltip = [f"{name} ({first.uses}): " + ", ".join(f"{count} {status}" for status, count in counts.items())]
    if needed := sorted({upstream for step in steps for upstream in step.needs}):
        tooltip.append("needs " + ", ".join(needed[:20]))
    return Box(
        x=position[0],
        y=position[1],
        anchor=steps[0].anchor,
        title=_cut(name, int((width - 30) / CHARACTER) - 6),
        uses=_cut(first.uses, int((width - 30) / SMALL)),
        side=f"× {len(steps)}" if len(steps) > 1 else duration(seconds[0]) if seconds else "",
        status=first.status,
        tooltip="\n".join(tooltip),
        count=len(steps),
    )


def _cut(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: max(letters - 1, 1)] + "…"
