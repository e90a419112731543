"""The published result on five tables: its rows and its AUC, its leak named before the run, and the honest figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from context import LocalContext
from e2i import api
from e2i.spec import document
from e2i.tools.dataset import RawParams
from e2i.tools.dataset.actions import nycflights13_tables
from e2i.tools.sql import QueryParams
from e2i.tools.sql.actions import query
from project import Project

SPEC = Path(__file__).parents[2] / "specs" / "flights_five_tables.yaml"
TEXT = SPEC.read_text("utf-8")
PUBLISHED_ROWS, PUBLISHED_AUC = 325_819, 0.764


def test_the_plan_names_the_leak_of_the_published_result() -> None:
    honest = TEXT.replace("      predict_after: [departure, arrival]\n", "")
    assert honest != TEXT
    workspace = api.Workspace.open(root=SPEC.parents[1], environ={})
    assert not api.validate(TEXT, workspace=workspace).problems
    problems = api.validate(honest, workspace=workspace).problems
    assert [problem.code for problem in problems] == ["late-feature", "late-feature"]
    assert '"dep_time" is known only at "departure"' in problems[0].message
    assert '"air_time" is known only at "arrival"' in problems[1].message
    line = honest.splitlines()[problems[0].location.line - 1]
    assert line[problems[0].location.column - 1 :].startswith("dep_time")


def test_the_join_has_the_published_number_of_rows(ctx: LocalContext) -> None:
    found, problems = document.read(TEXT, "flights_five_tables.yaml")
    assert found is not None and not problems
    tables = nycflights13_tables(RawParams(), ctx)
    named = {name: getattr(tables, name) for name in ("flights", "weather", "airlines", "airports", "planes")}
    text = found.value(("steps", "joined", "with", "query"))
    result = query(QueryParams(query=text, tables=named, params={"rows": 1_000_000}), ctx)
    assert result.table.rows == PUBLISHED_ROWS


@pytest.mark.slow
def test_the_published_auc_and_the_honest_ones(project: Project) -> None:
    outputs = project.run(TEXT).outputs
    assert outputs["rows"] == PUBLISHED_ROWS
    assert outputs["auc_published_with_leak"] == pytest.approx(PUBLISHED_AUC, abs=0.01)
    assert outputs["auc_known_before"] == pytest.approx(0.709, abs=0.01)
    assert outputs["auc_known_before_later_months"] == pytest.approx(0.651, abs=0.01)
