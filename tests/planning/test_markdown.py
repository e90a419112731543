from __future__ import annotations

from msgspec.structs import replace

from e2i.planning.markdown import markdown
from project import Project

SPEC = (
    "version: 1\nname: m\nsteps:\n  a: {uses: debug.echo, matrix: {n: [1, 2]}}\n  b: {uses: debug.echo, when: false}\n"
)


def test_a_plan_is_a_heading_a_table_and_a_diagram(project: Project) -> None:
    plan = project.plan(SPEC)
    lines = markdown(plan).splitlines()
    assert lines[0] == "### Plan of m"
    assert lines[2] == "3 steps: **2** run, **1** skip"
    assert [line.count(" | ") for line in lines if line.startswith("| ")] == [3] * 5
    assert "| a&#91;1&#93; | debug.echo | ▶ run | never-run: " in markdown(plan)
    assert "```mermaid\nflowchart TD\n" in markdown(plan)
    assert lines[-1] == f"`{plan.digest}`"


def test_text_cannot_become_markup(project: Project) -> None:
    plan = project.plan(SPEC)
    step = replace(plan.steps[0], reason=replace(plan.steps[0].reason, detail="<img src=x> | ![x](y) `z` @all\n# h"))
    shown = markdown(replace(plan, steps=(step,)))
    (row,) = [line for line in shown.splitlines() if line.startswith("| a")]
    for markup in ("<img", "![", "`", "@all", "# h", " | !"):
        assert markup not in row


def test_a_large_plan_is_cut(project: Project) -> None:
    plan = project.plan(SPEC)
    shown = markdown(replace(plan, steps=plan.steps * 100))
    assert "… and 100 more" in shown
    assert "```mermaid" not in shown
