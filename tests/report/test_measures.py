"""Metrics are set side by side, importances are ranked."""

from __future__ import annotations

from e2i.report import measures, steps
from report.past import past_run, planned, recorded


def of(outputs: dict[str, dict[str, object]]) -> tuple[steps.Step, ...]:
    run = past_run(
        [planned(name) for name in outputs], [recorded(name, outputs=given) for name, given in outputs.items()]
    )
    return steps.of(run, None)


def test_the_cells_of_a_small_matrix_are_columns() -> None:
    (found,) = measures.metrics(
        of({"train[A]": {"metrics": {"auc": 0.91234, "f1": 1}}, "train[B]": {"metrics": {"auc": 0.8}}})
    )
    assert (found.title.text, [column.text for column in found.columns]) == ("train", ["A", "B"])
    assert [(label.text, cells) for label, cells in found.rows] == [("auc", ("0.9123", "0.8")), ("f1", ("1", None))]


def test_the_cells_of_a_large_matrix_are_rows() -> None:
    (found,) = measures.metrics(of({f"train[{index}]": {"metrics": {"auc": index}} for index in range(9)}))
    assert [column.text for column in found.columns] == ["auc"]
    assert len(found.rows) == 9


def test_importances_are_ranked_by_size_and_bounded() -> None:
    (found,) = measures.importances(of({"explain": {"importance": {f"f{index}": -index for index in range(20)}}}))
    assert found.bars[0] == ("f19", "-19", 100.0)
    assert (len(found.bars), found.more) == (measures.BARS, 5)


def test_importances_of_zero_are_drawn() -> None:
    (found,) = measures.importances(of({"explain": {"importance": {"a": 0.0}}}))
    assert found.bars == (("a", "0", 0.0),)
