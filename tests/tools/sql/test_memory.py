"""Windows over more rows than memory, in a limited worker."""

from __future__ import annotations

import pytest

from project import Project

WINDOW = """version: 1
name: window
steps:
  rows:
    uses: sql.query
    with: {{query: "SELECT i, (i * 48271) % 1009 AS g, (i % 1000) * 0.5 AS x FROM range({rows}) AS r(i)"}}
  window:
    uses: sql.query
    with:
      tables: {{t: "${{{{ steps.rows.table }}}}"}}
      query: SELECT i, g, x, sum(x) OVER (PARTITION BY g ORDER BY i) AS s FROM t
      memory: {memory}
    resources: {{memory: {limit}}}
outputs: {{rows: "${{{{ steps.window.table.rows }}}}"}}
"""


@pytest.mark.parametrize(
    ("rows", "memory", "limit"),
    [(2_000_000, "64MB", "600MB"), pytest.param(10_000_000, "400MB", "1500MB", marks=pytest.mark.slow)],
)
def test_a_window_over_more_rows_than_memory(rows: int, memory: str, limit: str, project: Project) -> None:
    record = project.run(WINDOW.format(rows=rows, memory=memory, limit=limit))
    assert (record.status, record.outputs) == ("succeeded", {"rows": rows})
    assert not list(project.store.rglob("spill")), "what was spilled is removed with the step"


def test_too_little_memory_is_an_error_with_its_remedy(project: Project) -> None:
    spec = WINDOW.format(rows=1000, memory="16MB", limit="1GB").replace(
        "SELECT i, g, x, sum(x) OVER (PARTITION BY g ORDER BY i) AS s FROM t",
        "SELECT string_agg(repeat(CAST(i AS VARCHAR), 50000), ',' ORDER BY i) AS s FROM t",
    )
    record = project.run(spec)
    assert record.status == "failed"
    error = record.steps["window"].error
    assert error is not None
    assert error.code == "out-of-memory" and "memory" in (error.hint or "")
