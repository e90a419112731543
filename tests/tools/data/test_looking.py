"""What the plan knows of ``data.profile`` and ``data.diff`` is what the run makes."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from context import LocalContext
from e2i.catalog.columns import Flow, KnownTable
from e2i.catalog.files import NO_FILES
from e2i.tools.data import actions, columns
from e2i.tools.data.looking import DiffParams

BEFORE = pa.table({"k": pa.array([1, 2], pa.int32()), "d": ["a", "b"], "x": [1.0, 2.0], "old": [1, 2], "l": [[1], [2]]})
AFTER = pa.table({"l": [[1], [3]], "x": pa.array([1, 5], pa.int8()), "k": [2, 1], "new": ["x", None],
                  "d": pa.array(["b", "a"]).dictionary_encode()})  # fmt: skip


def known(table: pa.Table) -> KnownTable:
    return KnownTable({field.name: str(field.type) for field in table.schema})


def flow(before: Any, after: Any, **options: Any) -> Flow:
    return columns.diff({"before": before, "after": after, "key": "k", "exclude": (), **options}, NO_FILES)


@pytest.mark.parametrize("options", [{"key": "k"}, {"key": ["k", "d"]}, {"key": "k", "exclude": ["x"]}])
def test_the_columns_of_a_difference_are_those_of_the_plan(ctx: LocalContext, options: dict[str, Any]) -> None:
    before, after = ctx.table(BEFORE), ctx.table(AFTER)
    made = actions.diff(DiffParams.model_validate({"before": before, "after": after, **options}), ctx)
    told = flow(*(KnownTable({one.name: one.type for one in table.columns}) for table in (before, after)), **options)
    assert told.problems == []
    for name in ("added", "removed", "changed"):
        planned = told.outputs[name]
        assert isinstance(planned, KnownTable)
        assert [(one.name, one.type) for one in getattr(made, name).columns] == list(planned.columns.items())


def test_a_key_of_types_without_equal_values_is_left_to_the_run() -> None:
    told = flow(known(pa.table({"k": [1]})), known(pa.table({"k": ["a"]})))
    assert not told.problems


def test_clashing_names_are_a_problem_of_the_plan() -> None:
    table = KnownTable({"x_before": "int64", "x": "int64"})
    (problem,) = flow(table, table, key="x_before").problems
    assert (problem.code, "x_before" in problem.message) == ("duplicate-column", True)
