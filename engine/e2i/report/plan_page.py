"""Render a plan as an SVG picture, or as a page around it. Nothing is loaded from elsewhere."""

from __future__ import annotations

from msgspec import Struct

from e2i.errors import BadInput
from e2i.planning.model import Plan, PlanStep
from e2i.report import causal_graph, layout
from e2i.report.page import environment

LETTER = 7.4
"""Average width of a letter of a box's title."""
NARROWEST, WIDEST = 150.0, 290.0
ROOM = 1060.0
SIGNS = {"run": "+", "always": "!", "undecided": "?", "reuse": "=", "skip": "–"}


class Box(Struct, frozen=True):
    """A step of the plan as a box."""

    x: float
    y: float
    title: str
    uses: str
    verdict: str
    tooltip: str


def svg(plan: Plan) -> str:
    """Returns a self-contained picture: a box for each step, coloured by verdict, for light and dark backgrounds."""
    steps = plan.steps
    if len(steps) > layout.MOST_DRAWN:
        message = f"the plan has {len(steps):,} steps; at most {layout.MOST_DRAWN:,} are drawn"
        raise BadInput(message, code="bad-option", hint="use --format dot or mermaid, or --select some of the steps")
    longest = max((max(len(step.id) + 4, 0.85 * len(step.uses)) for step in steps), default=0)
    width = min(max(longest * LETTER + 34, NARROWEST), WIDEST)
    drawing = layout.draw({step.id: step.needs for step in steps}, width, ROOM)
    letters = int((width - 40) / LETTER)
    boxes = [
        Box(
            *drawing.positions[step.id],
            title=_cut(step.id, letters),
            uses=_cut(step.uses, int(letters * 1.15)),
            verdict=step.verdict,
            tooltip=_tooltip(step),
        )
        for step in steps
    ]
    return (
        environment()
        .get_template("plan.svg.j2")
        .render(plan=plan, boxes=boxes, drawing=drawing, box_height=layout.HEIGHT, signs=SIGNS)
    )


def html(plan: Plan) -> str:
    """Returns a page with the picture, the verdict and reason of every step, and the digest."""
    return (
        environment()
        .get_template("plan.html.j2")
        .render(
            plan=plan,
            picture=svg(plan) if len(plan.steps) <= layout.MOST_DRAWN else "",
            signs=SIGNS,
            causal=causal_graph.of(plan),
        )
    )


def _tooltip(step: PlanStep) -> str:
    reason = f"{step.reason.code} {step.reason.detail}"
    return f"{step.id} ({step.uses}): {step.verdict}, {reason}"


def _cut(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: max(letters - 1, 1)] + "…"
