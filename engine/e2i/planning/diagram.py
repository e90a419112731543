"""Draws a plan as a diagram in Mermaid's or Graphviz's language. Every label is quoted, so no text can be markup."""

from __future__ import annotations

import html
import json

from e2i.planning.model import Plan, PlanStep, Verdict

COLOURS = {
    Verdict.RUN: "#b7e4c7",
    Verdict.ALWAYS: "#ade8f4",
    Verdict.UNDECIDED: "#ffe8a1",
    Verdict.REUSE: "#cfe0fc",
    Verdict.SKIP: "#e5e5e5",
}


def mermaid(plan: Plan) -> str:
    """Returns a Mermaid flowchart: one box per step, coloured by verdict."""
    numbers = {step.id: f"s{index}" for index, step in enumerate(plan.steps)}
    lines = ["flowchart TD"]
    for step in plan.steps:
        label = html.escape(f"{step.id} · {step.uses} · {step.verdict.value}").replace("\n", " ")
        lines.append(f'  {numbers[step.id]}["{label}"]:::{step.verdict.value}')
    lines += [f"  {numbers[upstream]} --> {numbers[step.id]}" for step in plan.steps for upstream in step.needs]
    lines += [f"  classDef {verdict.value} fill:{colour},stroke:#555,color:#111" for verdict, colour in COLOURS.items()]
    return "\n".join(lines)


def dot(plan: Plan) -> str:
    """Returns a Graphviz digraph."""
    lines = ["digraph plan {", "  rankdir=TB; node [shape=box, style=filled, fontname=Helvetica];"]
    lines += [
        f"  {_quoted(step.id)} [label={_label(step)}, fillcolor={_quoted(COLOURS[step.verdict])}];"
        for step in plan.steps
    ]
    lines += [f"  {_quoted(upstream)} -> {_quoted(step.id)};" for step in plan.steps for upstream in step.needs]
    return "\n".join([*lines, "}"])


def _label(step: PlanStep) -> str:
    return '"' + "\\n".join(_quoted(text)[1:-1] for text in (step.id, step.uses, step.verdict.value)) + '"'


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
