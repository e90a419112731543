"""The picture of a plan and the page around it."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from msgspec.structs import replace

from e2i.planning.model import Plan, Reason, Undecided, Why
from e2i.report import causal_graph, plan_page
from plans import step


def plan(*ids: str, uses: str = "debug.echo") -> Plan:
    """A chain of steps."""
    needs: list[tuple[str, ...]] = [(), *((upstream,) for upstream in ids)]
    steps = [
        replace(
            step(name, uses, upstream),
            reason=Reason(Why.NEVER_RUN, "nothing <b>finished</b>"),
            undecided=(Undecided(step="a", parameter="file", kind="code", value="<b>finished"),),
        )
        for name, upstream in zip(ids, needs, strict=False)
    ]
    return Plan("demo", tuple(steps), {})


def test_the_picture_is_well_formed_and_has_every_step_and_arrow() -> None:
    root = ElementTree.fromstring(plan_page.svg(plan("load", "train", "judge")))
    texts = [element.text for element in root.iter() if element.get("class") == "name"]
    assert texts == ["load", "train", "judge"]
    assert sum(element.get("class") == "arrow" for element in root.iter()) == 2


def test_text_of_a_plan_is_never_markup() -> None:
    hostile = plan('a"><script>alert(1)</script>', uses="]; click a javascript:alert(1)")
    for text in (plan_page.svg(hostile), plan_page.html(hostile)):
        assert "<script" not in text and "<b>finished" not in text


def test_neither_loads_anything_from_elsewhere() -> None:
    page = plan_page.html(plan("load", "train"))
    assert set(re.findall(r"https?://[^\s\"'<>]+", page)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in page


def test_a_causal_graph_is_drawn_with_all_its_arrows_and_what_is_adjusted_for() -> None:
    graph = ["t -> y", "t <- a -> y", "<b> -> a", "b <-> y"]
    params = {"treatment": "t", "outcome": "y", "graph": graph}
    asking = step("effect", "causal.estimate")
    asking = replace(asking, components=replace(asking.components, written=params))
    made = Plan("demo", (asking,), {})
    (drawn,) = causal_graph.of(made)
    said = ["<b> -> a", "a -> t, y", "t -> y", "(unmeasured) -> b, y", "adjusted for: a (back-door criterion)"]
    assert drawn.lines == said
    parts = {node.name: node.part for node in drawn.nodes}
    assert (parts["t"], parts["y"], parts["a"], parts["b"]) == ("treatment", "outcome", "adjusted", "other")
    root = ElementTree.fromstring(drawn.svg)
    assert sum(element.get("class") == "cause" for element in root.iter()) == 6  # also a -> y, which others imply
    assert "Causal graph of effect" in plan_page.html(made) and "<b>" not in plan_page.html(made).partition("Causal")[2]
    for broken in (["t -> "], ["a -> y"], "${{ params.graph }}"):
        other = replace(asking, components=replace(asking.components, written={**params, "graph": broken}))
        assert causal_graph.of(Plan("demo", (other,), {})) == ()


def test_a_long_name_is_cut_in_its_box_and_whole_in_its_title() -> None:
    name = "s" * 64
    picture = plan_page.svg(plan(name))
    assert f"{name} (debug.echo)" in picture and f">{name}<" not in picture
