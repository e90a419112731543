"""Layered drawings: every node has its own position, every arrow points forward, and implied ones are not drawn."""

from __future__ import annotations

import re
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from e2i.report import layout

WIDTH = 120.0


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    size = draw(st.integers(1, 14))
    names = [f"n{index}" for index in range(size)]
    return {name: draw(st.lists(st.sampled_from(names[:index]), unique=True, max_size=4)) if index else []
            for index, name in enumerate(names)}  # fmt: skip


def closure(needs: dict[str, list[str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, upstream in needs.items():
        found[name] = set(upstream).union(*(found[other] for other in upstream))
    return found


@given(graphs(), st.sampled_from([0.0, 10_000.0]))
@settings(max_examples=60, deadline=None)
def test_boxes_do_not_overlap_and_lie_within_the_picture(needs: dict[str, list[str]], room: float) -> None:
    drawing = layout.draw(needs, WIDTH, room)
    assert set(drawing.positions) == set(needs)
    for (x, y), (other_x, other_y) in combinations(drawing.positions.values(), 2):
        assert abs(x - other_x) >= WIDTH - 0.01 or abs(y - other_y) >= layout.HEIGHT - 0.01
    for x, y in drawing.positions.values():
        assert -0.01 <= x <= drawing.width - WIDTH + 0.01
        assert -0.01 <= y <= drawing.height - layout.HEIGHT + 0.01


@given(graphs())
@settings(max_examples=60, deadline=None)
def test_every_arrow_leads_from_a_need_down_to_what_needs_it(needs: dict[str, list[str]]) -> None:
    drawing = layout.draw(needs, WIDTH, 0)
    for (upstream, downstream), path in drawing.paths.items():
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", path)]
        start, end = drawing.positions[upstream], drawing.positions[downstream]
        assert abs(numbers[0] - start[0] - WIDTH / 2) < 0.1 and abs(numbers[1] - start[1] - layout.HEIGHT) < 0.1
        assert abs(numbers[-2] - end[0] - WIDTH / 2) < 0.1 and abs(numbers[-1] - end[1]) < 0.1
        assert end[1] > start[1]


@given(graphs())
@settings(max_examples=60, deadline=None)
def test_the_edges_that_are_drawn_say_as_much_as_all_of_them(needs: dict[str, list[str]]) -> None:
    fewest = layout.essential(needs)
    assert closure(fewest) == closure(needs)
    for name, upstream in fewest.items():
        for one in upstream:
            without = {**fewest, name: [other for other in upstream if other != one]}
            assert closure(without) != closure(needs)


def test_a_chain_lies_side_by_side_when_there_is_room_and_downwards_otherwise() -> None:
    needs = {"a": [], "b": ["a"], "c": ["b"]}
    wide, tall = layout.draw(needs, WIDTH, 1_000), layout.draw(needs, WIDTH, 100)
    assert len({y for _, y in wide.positions.values()}) == 1
    assert len({x for x, _ in tall.positions.values()}) == 1


def test_parallel_branches_are_drawn_without_crossings() -> None:
    needs = {"a": [], "b": ["a"], "c": ["a"], "d": ["b"], "e": ["c"], "f": ["d"], "g": ["e"]}
    positions = layout.draw(needs, WIDTH, 0).positions
    left = positions["b"][0] < positions["c"][0]
    assert (positions["d"][0] < positions["e"][0]) is left
    assert (positions["f"][0] < positions["g"][0]) is left


def test_nothing_gives_an_empty_picture() -> None:
    assert layout.draw({}, WIDTH, 100).positions == {}
