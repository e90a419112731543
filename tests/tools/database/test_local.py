"""The connection `local`: a file in the store that needs no settings, unless the operator names another file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from context import LocalContext
from e2i import api
from e2i.settings import Settings
from e2i.store import disk
from e2i.tools.database import LOCAL, LOCAL_FILE, ReadParams, WriteParams, actions, columns, effects, sqlite
from e2i.tools.database import Settings as DatabaseSettings
from e2i.workspace.files import WorkspaceFiles

ROWS = pa.table({"id": [1, 2], "name": ["ann", None], "at": pa.array([0, 1], pa.timestamp("us", "UTC"))})
SPEC = """version: 1
name: x
steps:
  data: {uses: dataset.hcp, with: {rows: 40}}
  load:
    uses: database.write
    with: {table: "${{ steps.data.journeys }}", connection: local, into: journeys, mode: replace}
  read: {uses: database.read, needs: [load], with: {connection: local, table: journeys}}
outputs: {rows: "${{ steps.read.table.rows }}"}
"""


def writing(ctx: LocalContext) -> WriteParams:
    return WriteParams(table=ctx.table(ROWS), connection=LOCAL, into="t", mode="replace")


def test_a_table_is_written_read_and_looked_for_without_settings(ctx: LocalContext) -> None:
    params = writing(ctx)
    outputs = actions.write(params, ctx)
    assert ctx.arrow(actions.read(ReadParams(connection=LOCAL, table="t"), ctx).table) == ROWS
    file = ctx.home("database") / LOCAL_FILE
    assert effects.write(params, outputs, ctx) is None
    with closing(sqlite3.connect(file)) as database:
        database.execute("DROP TABLE t")
    assert effects.write(params, outputs, ctx) == 'there is no table "t"'
    file.unlink()
    assert effects.write(params, outputs, ctx) == "there is no file local.db in the store"


def test_a_database_of_that_name_in_the_settings_comes_first(tmp_path: Path) -> None:
    named = {"connections": {LOCAL: {"url": f"sqlite:///{tmp_path}/own.db", "read_only": False}}}
    context = LocalContext(tmp_path, settings=Settings(tools={"database": named}))
    params = writing(context)
    assert effects.write(params, actions.write(params, context), context) is None
    assert (tmp_path / "own.db").is_file() and not (context.home("database") / LOCAL_FILE).exists()
    context.close()


def test_it_is_a_file_so_that_a_plan_knows_its_times(ctx: LocalContext) -> None:
    with pytest.raises(ValueError, match="'local' is a SQLite file; give a server another name"):
        DatabaseSettings.model_validate({"connections": {LOCAL: {"url": "postgresql://127.0.0.1:1/x"}}})
    times = pa.table({"at": pa.array([0, None], pa.timestamp("us", "UTC"))})
    actions.write(WriteParams(table=ctx.table(times), connection=LOCAL, into="t", mode="replace"), ctx)
    read = ReadParams(connection=LOCAL, table="t", columns={"at": "timestamp"})
    foreseen = columns.read(
        {"connection": LOCAL, "columns": {"at": "timestamp"}}, WorkspaceFiles(ctx.worker.roots, ctx.worker.settings)
    )
    assert foreseen.outputs["table"].columns == {"at": str(ctx.arrow(actions.read(read, ctx).table)["at"].type)}


def test_a_full_disk_is_the_systems_error_and_not_the_databases(
    ctx: LocalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite._connect

    def limited(*given: Any) -> Any:
        made = connect(*given)
        made.execute("PRAGMA max_page_count = 2")
        return made

    monkeypatch.setattr(sqlite, "_connect", limited)
    texts = pa.table({"text": ["x" * 100_000]})
    with pytest.raises(OSError) as raised:
        actions.write(WriteParams(table=ctx.table(texts), connection=LOCAL, into="t", mode="replace"), ctx)
    found = disk.trouble(raised.value)
    assert found is not None and found.code == "disk-full" and LOCAL_FILE in found.message


@pytest.mark.parametrize(("origin", "found"), [("human", []), ("agent", ["policy-connection"] * 2)])
def test_people_may_use_it_and_agents_only_where_the_policy_says_so(
    tmp_path: Path, origin: str, found: list[str]
) -> None:
    workspace = api.Workspace.open(root=tmp_path, environ={}, origin=origin)
    assert [problem.code for problem in api.validate(SPEC, workspace=workspace).errors] == found


@pytest.mark.slow
def test_what_is_in_it_is_verified_and_not_written_again(tmp_path: Path) -> None:
    workspace = api.Workspace.open(root=tmp_path, environ={})
    first, second = (api.run(SPEC, workspace=workspace) for _ in range(2))
    assert (first.outputs, second.outputs) == ({"rows": 40}, {"rows": 40})
    assert second.steps["load"].status.value == "reused"
