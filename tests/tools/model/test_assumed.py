"""A target of a few whole numbers, with no task set: what was assumed is said, and kept with the step."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from context import LocalContext
from e2i.execution.events import StepWarned
from e2i.tools.model.actions import train
from e2i.tools.model.params.training import TrainParams
from project import Project

SPEC = """
version: 1
name: graded
steps:
  data: {uses: python.call, with: {file: rows.py, function: rows}}
  train:
    uses: model.train
    with: {table: "${{ steps.data.table }}", target: grade, params: {n_estimators: 2}}
"""
ROWS = """
def rows():
    import pandas

    return pandas.DataFrame({"x": range(60), "grade": [number // 20 for number in range(60)]})
"""
SAID = "regression was assumed, but the target 'grade' has only 3 different whole numbers: set `task: "


def notes(ctx: LocalContext, grades: object, **params: object) -> list[str]:
    table = ctx.table(pd.DataFrame({"x": np.arange(60.0), "grade": grades}))
    train(TrainParams.model_validate({"table": table, "target": "grade", **params}), ctx)
    return [message for message in ctx.warned if "assumed" in message]


def test_few_whole_numbers_are_told_once_and_as_numbers(ctx: LocalContext) -> None:
    (note,) = notes(ctx, np.arange(60) // 20, params={"n_estimators": 2})
    assert note.startswith(SAID)


@pytest.mark.parametrize(
    ("grades", "params"),
    [
        (np.arange(60) // 20, {"task": "regression"}),
        (np.arange(60) // 20, {"task": "classification"}),
        (np.arange(60) // 20, {"algorithm": "Ridge", "params": {}}),
        (np.arange(60) // 30, {}),
        (np.arange(60) // 2, {}),
        (np.arange(60) // 20 / 2, {}),
        (["a", "b", "c"] * 20, {}),
    ],
    ids=["regression set", "classification set", "only regression", "two numbers", "many numbers", "halves", "text"],
)
def test_nothing_is_told_of_what_is_certain(ctx: LocalContext, grades: object, params: dict[str, object]) -> None:
    assert notes(ctx, grades, **{"params": {"n_estimators": 2}, **params}) == []


def test_it_is_in_the_events_the_record_and_the_commands(project: Project) -> None:
    project.write("rows.py", ROWS)
    project.write("spec.yaml", SPEC)
    for status in ("succeeded", "reused"):
        assert project.run(SPEC).steps["train"].status == status
        assert [event.message.startswith(SAID) for event in project.happened(StepWarned, "train")] == [True]
    assert SAID in project.cli("show", "last").stdout
    report = project.cli("report", "last").stdout.strip()
    assert "only 3 different whole numbers" in (project.root / report).read_text("utf-8")
