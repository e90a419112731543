"""``GEValidator`` against the real Great Expectations: frames, files, SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import yaml

import e2i
from e2i.mlops import BadCall, GEConfig, GEValidationResult, GEValidator, ToolUnavailable
from e2i.resilience.breaker import CircuitOpen, State
from e2i.resilience.circuits import circuit_files
from e2i.resilience.state_file import peek
from e2i.tools.great_expectations import asking
from live.servers import Postgres

pytest.importorskip("great_expectations")

SUITE = [
    {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "hcp_id"}},
    {"type": "expect_column_values_to_be_between", "column": "calls", "min_value": 0, "max_value": 3},
    {"type": "expect_column_pair_values_A_to_be_greater_than_B", "kwargs": {"column_A": "last", "column_B": "first"}},
    {"type": "expect_column_values_to_be_between", "column": "last", "min_value": "2024-01-02"},
    {"type": "expect_column_values_to_be_unique", "column": "hcp_id", "row_condition": "calls >= 0"},
]
HELD = [True, False, True, True, True]


def journeys() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "hcp_id": ["a", "b", "c", "d"],
            "calls": [1, 2, 3, 4],
            "first": pd.Timestamp("2024-01-01"),
            "last": pd.date_range("2024-01-02", periods=4),
            "split": ["train", "train", "val", "test"],
        }
    )


def outcomes(result: GEValidationResult) -> list[bool]:
    return [item["success"] for item in result.results]


@pytest.fixture(params=["frame", "arrow", "file", "folder", "sqlite", "postgresql"])
def source(request: pytest.FixtureRequest, workspace: Path) -> tuple[GEValidator, Any]:
    """A validator, and what it is to validate."""
    match request.param:
        case "frame":
            return GEValidator(), journeys()
        case "arrow":
            return GEValidator(), pa.Table.from_pandas(journeys(), preserve_index=False)
        case "file":
            journeys().to_parquet("journeys.parquet")
            return GEValidator(), Path("journeys.parquet")
        case "folder":
            Path("data").mkdir()
            journeys().to_parquet("data/journeys.parquet")
            return GEValidator(config({"type": "folder", "path": "data"})), "journeys"
        case "sqlite":
            with closing(sqlite3.connect("x.db")) as made:
                made.execute(
                    "CREATE TABLE journeys (hcp_id TEXT, calls INTEGER, first DATETIME, last DATETIME, split TEXT)"
                )
                journeys().astype({"first": str, "last": str}).to_sql("journeys", made, index=False, if_exists="append")
            return GEValidator(config({"type": "sqlite", "path": "x.db"})), "journeys"
        case _:
            url = table(request.getfixturevalue("postgres"))
            return GEValidator(config({"type": "postgresql", "url": url})), "journeys"


def config(source: dict[str, Any], **settings: Any) -> GEConfig:
    return GEConfig.model_validate({"datasources": {"warehouse": source}, **settings})


def table(postgres: Postgres) -> str:
    """The address of a database with the journeys."""
    import psycopg

    url = postgres.database()
    with psycopg.connect(url) as connection:
        connection.execute(
            "CREATE TABLE journeys (hcp_id text, calls bigint, first timestamp, last timestamp, split text)"
        )
        for row in journeys().itertuples(index=False):
            connection.execute("INSERT INTO journeys VALUES (%s, %s, %s, %s, %s)", list(row))
    return url


def test_every_source_has_the_same_results(source: tuple[GEValidator, Any]) -> None:
    validator, data = source
    validator.create_suite("journeys", SUITE)
    result = asyncio.run(validator.validate(data, "journeys"))
    assert outcomes(result) == HELD
    assert (result.success, result.passed_expectations, result.failed_expectations) == (False, 4, 1)
    assert result.statistics["evaluated_expectations"] == 5
    assert result.results[1]["result"]["unexpected_count"] == 1
    assert [item["expectation"] for item in result.results][2] == "expect_column_pair_values_a_to_be_greater_than_b"
    train = asyncio.run(validator.validate(data, "journeys", split_filter="train"))
    assert train.success and train.results[0]["result"]["element_count"] == 2
    one = asyncio.run(validator.validate(data, "journeys", "train", {"hcp_id": "b", "calls": 2}))
    assert one.success and one.results[0]["result"]["element_count"] == 1


@pytest.mark.parametrize(
    ("suite", "split", "parameters", "message"),
    [
        ("journey", None, None, "no suite 'journey'.*did you mean \"journeys\""),
        ("journeys", "trian", None, "no rows with split = 'trian'.*did you mean \"train\""),
        ("journeys", None, {"call": 1}, "no column 'call'.*did you mean \"calls\""),
    ],
)
def test_a_mistake_is_a_value_error_with_a_hint(
    source: tuple[GEValidator, Any], suite: str, split: str | None, parameters: Any, message: str
) -> None:
    validator, data = source
    validator.create_suite("journeys", SUITE)
    with pytest.raises(ValueError, match=message):
        asyncio.run(validator.validate(data, suite, split, parameters))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"type": "expect_column_values_to_not_be_nul", "column": "a"}, "did you mean"),
        ({"type": "expect_column_values_to_not_be_nul", "kwargs": {"column": "a"}}, "did you mean"),
        ({"type": "expect_column_values_to_be_between", "column": "a", "min_valu": 1}, "takes no min_valu.*min_value"),
        ({"type": "expect_column_values_to_be_between", "min_value": 1}, "needs column"),
        ({"type": "expect_column_values_to_match_regex", "column": "a", "regex": "("}, "regex"),
        (
            {
                "type": "expect_column_values_to_not_be_null",
                "column": "a",
                "row_condition": "a.to_pickle('pwn') is None",
            },
            "row_condition is refused",
        ),
        ({"type": "unexpected_rows_expectation", "unexpected_rows_query": "DROP TABLE x"}, "it runs SQL"),
        ({"type": "expect_column_values_to_be_in_set", "column": "a", "value_set": [object()]}, "a suite cannot hold"),
        ("expect_column_values_to_not_be_null", "not a list of mappings"),
    ],
)
def test_a_suite_that_cannot_be_used_is_not_written(workspace: Path, item: Any, message: str) -> None:
    with pytest.raises(BadCall, match=message):
        GEValidator().create_suite("bad", [item])
    assert not list(workspace.rglob("bad.yaml")) and not list(workspace.rglob("pwn"))


@pytest.mark.parametrize("name", ["../x", "a/b", "", "x" * 65])
def test_the_name_of_a_suite_is_no_path(workspace: Path, name: str) -> None:
    with pytest.raises(BadCall):
        GEValidator().create_suite(name, SUITE)
    assert not list(workspace.rglob("*.yaml"))


def test_a_suite_of_a_program_is_one_of_specs(workspace: Path) -> None:
    path = GEValidator().create_suite("mine", [{"type": "expect_column_to_exist", "kwargs": {"column": "hcp_id"}}])
    assert path == workspace / "config" / "expectations" / "mine.yaml"
    assert yaml.safe_load(path.read_text())["expectations"] == [{"type": "expect_column_to_exist", "column": "hcp_id"}]
    steps = {
        "data": {"uses": "dataset.hcp"},
        "check": {
            "uses": "great_expectations.validate",
            "with": {"table": "${{ steps.data.journeys }}", "suite": "mine"},
        },
    }
    assert e2i.validate({"version": 1, "name": "p", "steps": steps}).problems == ()


def test_default_suites(workspace: Path) -> None:
    validator = GEValidator()
    assert validator.get_default_suite("classification") == "e2i_classification_suite"
    assert validator.get_default_suite("regression") == "e2i_regression_suite"
    assert validator.get_default_suite("ranking") == "e2i_default_suite"
    own = GEValidator(GEConfig(default_suites={"ranking": "mine"}))
    assert own.get_default_suite("ranking") == "mine"
    result = asyncio.run(validator.validate(journeys(), validator.get_default_suite("ranking")))
    assert result.passed_expectations == 2


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.csv", "link.parquet"])
def test_a_file_outside_the_workspace_is_refused(workspace: Path, path: str) -> None:
    (workspace / "link.parquet").symlink_to("/etc/passwd")
    with pytest.raises(ValueError, match="leads outside"):
        asyncio.run(GEValidator().validate(path, "e2i_default_suite"))


def test_settings_are_read_from_the_workspace(workspace: Path) -> None:
    (workspace / "config").mkdir()
    (workspace / "config" / "mlops.yaml").write_text(
        "great_expectations:\n  datasources: {files: {type: folder, path: .}}\n  default_suites: {x: y}\n"
    )
    journeys().to_parquet("journeys.parquet")
    assert GEValidator().get_default_suite("x") == "y"
    assert asyncio.run(GEValidator().validate("journeys", "e2i_default_suite")).passed_expectations == 2


def test_validations_run_at_once_in_tasks_threads_and_loops(workspace: Path) -> None:
    validator = GEValidator()
    validator.create_suite("journeys", SUITE)

    async def several() -> list[GEValidationResult]:
        frames = [journeys().assign(calls=calls) for calls in (1, 9, 2, -1)]
        return await asyncio.gather(*(validator.validate(frame, "journeys") for frame in frames))

    found: list[list[bool]] = []

    def work() -> None:
        found.append([outcomes(result)[1] for result in asyncio.run(several())])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[True, False, True, False]] * 4


def test_a_database_that_accepts_and_stays_silent_is_unavailable_and_the_loop_goes_on(workspace: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=8) as server:
        url = f"postgresql://e2i@127.0.0.1:{server.getsockname()[1]}/x"
        validator = GEValidator(config({"type": "postgresql", "url": url}, source_deadline=2))

        async def both() -> int:
            call = asyncio.create_task(validator.validate("journeys", "e2i_default_suite"))
            beats = 0
            while not call.done():
                await asyncio.sleep(0.05)
                beats += 1
            with pytest.raises(ToolUnavailable, match="'warehouse' is unavailable"):
                call.result()
            return beats

        assert asyncio.run(both()) > 5
        assert asyncio.run(validator.validate(journeys(), "e2i_default_suite")).passed_expectations == 2


def test_a_dead_database_is_unavailable_until_it_is_back(workspace: Path, postgres: Postgres) -> None:
    validator = GEValidator(config({"type": "postgresql", "url": table(postgres)}))
    validator.create_suite("journeys", SUITE)
    postgres.kill()
    with pytest.raises(ToolUnavailable):
        asyncio.run(validator.validate("journeys", "journeys"))
    postgres.start()
    assert outcomes(asyncio.run(validator.validate("journeys", "journeys"))) == HELD


def test_a_database_that_is_down_leaves_frames_and_its_circuit_is_that_of_runs(workspace: Path) -> None:
    settings = config({"type": "postgresql", "url": "postgresql://u@127.0.0.1:1/x"}, source_deadline=2)
    validator = GEValidator(settings)
    validator.create_suite("s", SUITE[:1])
    assert (validator.state, validator.enabled) == ("closed", True)
    for _ in range(5):
        with pytest.raises(ToolUnavailable, match="warehouse"):
            asyncio.run(validator.validate("journeys", "s"))
    with pytest.raises(CircuitOpen):
        asyncio.run(validator.validate("journeys", "s"))
    assert (validator.state, validator.enabled) == ("open", False)
    assert asyncio.run(validator.validate(journeys(), "s")).success
    file = circuit_files(validator.program.store, "great_expectations", settings)["warehouse"]
    assert (circuit := peek(file)) is not None and circuit.state is State.OPEN


def test_a_database_is_only_read_and_a_table_is_no_sql(workspace: Path, postgres: Postgres) -> None:
    import psycopg

    url = table(postgres)
    validator = GEValidator(config({"type": "postgresql", "url": url}))
    validator.create_suite("journeys", SUITE)
    for name in ('journeys"; DROP TABLE journeys; --', "journeys' OR 1=1 --"):
        with pytest.raises(BadCall, match="has no table"):
            asyncio.run(validator.validate(name, "journeys"))
    hostile = "'; DROP TABLE journeys; --"
    with pytest.raises(BadCall, match="no rows with"):
        asyncio.run(validator.validate("journeys", "journeys", hostile))
    assert outcomes(asyncio.run(validator.validate("public.journeys", "journeys"))) == HELD
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert tables == (1,), "the library made no table"


def test_the_address_of_a_database_is_said_without_its_password(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    validator = GEValidator(config({"type": "postgresql", "url": "postgresql://u:hush-hush@127.0.0.1:1/x"}))
    with pytest.raises(ToolUnavailable) as caught:
        asyncio.run(validator.validate("journeys", "e2i_default_suite"))
    printed = capsys.readouterr().err
    assert "great_expectations postgresql://127.0.0.1:1/x" in printed
    assert "hush-hush" not in printed + str(caught.value) + repr(validator.config)


def test_settings_that_differ_in_a_password_are_told_apart(workspace: Path) -> None:
    one, two = (config({"type": "postgresql", "url": f"postgresql://u:{name}@127.0.0.1:1/x"}) for name in ("a", "b"))
    assert GEValidator(one) is GEValidator(one) is not GEValidator(two)


def test_doctor_asks_each_database(workspace: Path, postgres: Postgres) -> None:
    (question,) = asking.questions(config({"type": "postgresql", "url": postgres.address("postgres")}))
    assert (question.of, question.ask()) == ("warehouse", "select 1")
    assert asking.questions(config({"type": "sqlite", "path": "x.db"})) == []
