"""Writes a plan as Markdown, for a comment on a pull request. Text from a spec cannot become markup."""

from __future__ import annotations

from e2i.planning import diagram
from e2i.planning.model import Plan, PlanStep, Verdict

SIGNS = {
    Verdict.RUN: "▶ run",
    Verdict.ALWAYS: "▶ always",
    Verdict.UNDECIDED: "❔ undecided",
    Verdict.REUSE: "✔ reuse",
    Verdict.SKIP: "– skip",
}
MOST = 200
"""Limit on the steps in the table and in the diagram: more do not fit in a comment."""


def markdown(plan: Plan) -> str:
    """Returns a heading with the totals, a table of the steps, and the graph as a collapsed Mermaid diagram."""
    counts = ", ".join(f"**{count}** {verdict}" for verdict, count in plan.summary.items() if count)
    lines = [
        f"### Plan of {_escaped(plan.name)}",
        "",
        f"{len(plan.steps)} steps: {counts}",
        "",
        "| step | action | verdict | reason |",
        "| --- | --- | --- | --- |",
        *(_row(step) for step in plan.steps[:MOST]),
    ]
    if plan.undecided:
        lines += ["", "Undecided:", "", *(f"- {_escaped(str(item))}" for item in plan.undecided[:MOST])]
    if len(plan.steps) > MOST:
        lines += ["", f"… and {len(plan.steps) - MOST} more"]
    else:
        lines += [
            "",
            "<details><summary>Graph</summary>",
            "",
            "```mermaid",
            diagram.mermaid(plan),
            "```",
            "",
            "</details>",
        ]
    return "\n".join([*lines, "", f"`{plan.digest}`"])


def _row(step: PlanStep) -> str:
    reason = step.reason.code.value + (f": {step.reason.detail}" if step.reason.detail else "")
    cells = (step.id, step.uses, SIGNS[step.verdict], reason)
    return f"| {' | '.join(_escaped(cell) for cell in cells)} |"


def _escaped(text: str) -> str:
    """Returns the text escaped for Markdown and HTML."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return "".join(f"&#{ord(char)};" if char in _MARKUP else char for char in shown)


_MARKUP = frozenset("\\`*{}[]()<>#!|~&@$")
