"""The tool's example as a whole run, in workers: every action, with what was known of its columns before."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

import e2i.tools.table
from context import LocalContext
from e2i.tools.table.actions import asof
from e2i.tools.table.combining import AsofParams
from project import Project


def test_the_example_runs(project: Project) -> None:
    example = Path(e2i.tools.table.__file__).with_name("example.yaml").read_text("utf-8")
    record = project.run(example.replace("rows: 5000", "rows: 500"))
    assert record.status == "succeeded", {name: step.error for name, step in record.steps.items() if step.error}


def test_times_in_other_units_are_compared(ctx: LocalContext) -> None:
    left = pa.table({"t": pa.array([10, 20], pa.timestamp("s", "UTC"))})
    right = pa.table({"u": pa.array([9, 19], pa.timestamp("s", "UTC")).cast(pa.timestamp("ns", "UTC")), "v": [1, 2]})
    params = AsofParams(left=ctx.table(left), right=ctx.table(right), left_time="t", right_time="u")
    found = ctx.arrow(asof(params, ctx).table)
    assert found["v"].to_pylist() == [1, 2]
    assert {str(found.schema.field(name).type) for name in ("t", "u")} == {"timestamp[us, tz=UTC]"}
