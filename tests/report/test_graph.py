"""The picture of a run: a box a step, one for a large matrix, arrows for the needs that are not implied."""

from __future__ import annotations

from e2i.report import graph, layout, steps
from report.past import past_run, planned, recorded


def test_every_step_has_a_box_that_leads_to_it() -> None:
    found = steps.of(past_run(), None)
    picture = graph.draw(found)
    assert [box.anchor for box in picture.boxes] == [step.anchor for step in found]
    assert len(picture.arrows) == 4


def test_a_large_matrix_is_one_box_with_the_status_to_look_at_first() -> None:
    cells = [f"train[{index}]" for index in range(20)]
    plan = [planned("first"), *(planned(cell, "first") for cell in cells), planned("last", *cells)]
    rows = [recorded("first"), *(recorded(cell, "failed" if cell == "train[7]" else "succeeded") for cell in cells)]
    picture = graph.draw(steps.of(past_run(plan, rows), None))
    assert [(box.title, box.status, box.count) for box in picture.boxes] == [
        ("first", "succeeded", 1),
        ("train", "failed", 20),
        ("last", "pending", 1),
    ]
    assert [full for _, full in picture.arrows] == [True, False]


def test_large_matrices_that_need_each_other_in_turn_are_drawn() -> None:
    plan = [planned(f"a[{index}]", *([f"b[{index - 1}]"] if index else [])) for index in range(9)]
    plan += [planned(f"b[{index}]", f"a[{index}]") for index in range(9)]
    assert [box.title for box in graph.draw(steps.of(past_run(plan, []), None)).boxes] == ["a", "b"]


def test_of_more_steps_than_are_drawn_there_is_no_picture() -> None:
    plan = [planned(f"a{index}") for index in range(layout.MOST_DRAWN + 1)]
    assert graph.draw(steps.of(past_run(plan, []), None)) is None
    assert graph.draw(steps.of(past_run(plan[1:], []), None)) is not None
