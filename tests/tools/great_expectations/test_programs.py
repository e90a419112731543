"""Validations of programs: the data that they may name, their errors, and the engines that compute them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from e2i.errors import BadInput, E2IError, Refused, StepError, ToolUnavailable
from e2i.mlops.files import DataFiles
from e2i.tools.great_expectations import GreatExpectationsSettings, writing
from e2i.tools.great_expectations.programs import GEValidationResult, Validations
from e2i.tools.great_expectations.suite import FOLDER, SHIPPED, load
from e2i.workspace.paths import Roots

ROOT = Path(__file__).parents[3]
SUITE = [
    {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "id"}},
    {"type": "expect_column_values_to_be_between", "column": "n b", "min_value": 0, "max_value": 2},
    {"type": "expect_column_values_to_match_regex", "column": "text", "regex": "^[a-z]"},
    {"type": "expect_column_values_to_be_unique", "column": "text"},
    {"type": "expect_column_pair_values_A_to_be_greater_than_B", "kwargs": {"column_A": "n b", "column_B": "zero"}},
    {"type": "expect_table_row_count_to_be_between", "min_value": 2},
    {"type": "expect_column_values_to_be_in_set", "column": "text", "value_set": ["x"], "row_condition": "`n b` == 1"},
]


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": ["a", "b", None, "d"],
            "n b": [1, 2, 3, 0],
            "text": ["x", "y:z", "q", "o'r"],
            "zero": 0,
            "split": ["train", "test", "train", "test"],
        }
    )


@pytest.fixture
def validations(tmp_path: Path) -> Any:
    def made(**settings: Any) -> Validations:
        (tmp_path / "scratch").mkdir(exist_ok=True)
        files = DataFiles(Roots(tmp_path), tmp_path / "scratch")
        found = Validations(GreatExpectationsSettings.model_validate(settings), tmp_path, files)
        found.create_suite("suite", writing.text_of("suite", SUITE))
        return found

    return made


def database(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as made:
        frame().to_sql("my rows", made, index=False)
    return path


def outcomes(result: GEValidationResult) -> list[bool]:
    return [item["success"] for item in result.results]


SOURCES = {
    "frame": frame(),
    "arrow": pa.Table.from_pandas(frame(), preserve_index=False),
    "file": "rows.parquet",
    "csv": "rows.csv",
    "table": "my rows",
}


@pytest.fixture(params=list(SOURCES))
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    frame().to_parquet(tmp_path / "rows.parquet")
    frame().to_csv(tmp_path / "rows.csv", index=False)
    database(tmp_path / "x.db")
    return SOURCES[request.param]


SQLITE = {"datasources": {"db": {"type": "sqlite", "path": "x.db"}}}


def test_every_source_has_the_same_results_in_the_order_of_the_suite(validations: Any, source: Any) -> None:
    result = validations(**SQLITE).validate(source, "suite", {})
    assert [item["expectation"] for item in result.results][4] == "expect_column_pair_values_a_to_be_greater_than_b"
    assert outcomes(result) == [False, False, True, True, False, True, True]
    assert (result.success, result.passed_expectations, result.failed_expectations) == (False, 4, 3)
    assert result.statistics["success_percent"] == pytest.approx(400 / 7)
    assert result.results[0]["kwargs"] == {"column": "id"}
    assert result.results[0]["result"]["unexpected_count"] == 1
    assert result.results[6]["result"]["element_count"] == 1
    assert result.duration_seconds > 0


@pytest.mark.parametrize(
    ("equal", "rows"),
    [({"split": "train"}, 2), ({"n b": 2}, 1), ({"text": "o'r", "split": "test"}, 1), ({"id": None}, 1)],
)
def test_rows_are_kept_by_equality(validations: Any, source: Any, equal: Mapping[str, Any], rows: int) -> None:
    result = validations(**SQLITE).validate(source, "suite", equal)
    assert result.results[5]["result"]["observed_value"] == rows


@pytest.mark.parametrize(
    ("equal", "message", "hint"),
    [
        ({"split": "trian"}, "no rows with split = 'trian'", 'did you mean "train"?'),
        ({"splt": "train"}, "no column 'splt'", 'did you mean "split"?'),
    ],
)
def test_a_choice_without_rows_is_a_mistake(
    validations: Any, source: Any, equal: Mapping[str, Any], message: str, hint: str
) -> None:
    with pytest.raises((BadInput, StepError), match=message) as caught:
        validations(**SQLITE).validate(source, "suite", equal)
    assert caught.value.hint == hint


def test_an_unknown_column_of_the_suite_is_named(validations: Any, source: Any) -> None:
    made = validations(**SQLITE)
    made.create_suite(
        "other", writing.text_of("other", [{"type": "expect_column_values_to_be_unique", "column": "txt"}])
    )
    with pytest.raises(BadInput, match=r"expectation 1, .*no column 'txt'") as caught:
        made.validate(source, "other", {})
    assert caught.value.hint == 'did you mean "text"?'


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("rows.parqet", "no file 'rows.parqet'", 'did you mean "rows.parquet"?'),
        ("../outside.csv", "leads outside the workspace", None),
        ("/etc/passwd", "leads outside the workspace", None),
        ("link.csv", "leads outside the workspace", None),
        ("config/default.yaml", "a file of the operator's settings", None),
    ],
)
def test_a_file_that_is_not_in_the_workspace_is_refused(
    validations: Any, tmp_path: Path, name: str, message: str, hint: str | None
) -> None:
    made = validations()
    frame().to_parquet(tmp_path / "rows.parquet")
    (tmp_path / "link.csv").symlink_to("/etc/passwd")
    (tmp_path / "config" / "default.yaml").write_text("sinks: []\n")
    with pytest.raises((BadInput, Refused), match=message) as caught:
        made.validate(name, "suite", {})
    assert hint is None or caught.value.hint == hint


def test_a_table_of_a_folder_is_a_file_without_its_ending(validations: Any, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    frame().to_csv(tmp_path / "data" / "rows.csv.gz", index=False)
    frame().to_parquet(tmp_path / "data" / "more.parquet")
    made = validations(datasources={"files": {"type": "folder", "path": "data"}})
    assert outcomes(made.validate("rows", "suite", {})) == outcomes(made.validate("more", "suite", {}))
    with pytest.raises(BadInput, match="no table 'row', and there is no such file") as caught:
        made.validate("row", "suite", {})
    assert caught.value.hint == 'did you mean "rows"?'
    (tmp_path / "data" / "more.csv").write_text("a\n1\n")
    with pytest.raises(BadInput, match=r"two tables 'more'"):
        made.validate("more", "suite", {})


def test_the_datasource_is_the_named_one_or_the_only_one(validations: Any, tmp_path: Path) -> None:
    database(tmp_path / "x.db")
    two = {"db": {"type": "sqlite", "path": "x.db"}, "files": {"type": "folder", "path": "."}}
    assert validations(datasources=two, datasource_name="db").validate("my rows", "suite", {}).results
    with pytest.raises(BadInput, match="several datasources: db, files"):
        validations(datasources=two).validate("my rows", "suite", {})
    with pytest.raises(ValueError, match="datasource_name 'other' is none of"):
        validations(datasources=two, datasource_name="other")


def test_a_database_is_only_read_and_one_that_is_not_there_is_not_made(validations: Any, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"x\.db does not exist"):
        validations(**SQLITE).validate("t", "suite", {})
    before = database(tmp_path / "x.db").read_bytes()
    validations(**SQLITE).validate("my rows", "suite", {})
    assert (tmp_path / "x.db").read_bytes() == before
    with pytest.raises(BadInput, match="has no table 'my row'") as caught:
        validations(**SQLITE).validate("my row", "suite", {})
    assert caught.value.hint == 'did you mean "my rows"?'


def test_a_locked_database_is_unavailable(validations: Any, tmp_path: Path) -> None:
    with closing(sqlite3.connect(database(tmp_path / "x.db"), isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ToolUnavailable, match="'db' is unavailable"):
            validations(**SQLITE, source_deadline=0.2).validate("my rows", "suite", {})


def test_a_pattern_that_never_ends_elsewhere_ends_in_a_database(validations: Any, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as made:
        pd.DataFrame({"text": ["a" * 40 + "b"]}).to_sql("t", made, index=False)
    made_ = validations(**SQLITE)
    item = {"type": "expect_column_values_to_not_match_regex", "column": "text", "regex": "^(a+)+$"}
    made_.create_suite("slow", writing.text_of("slow", [item]))
    assert made_.validate("t", "slow", {}).success


@pytest.mark.parametrize("name", ['\'; DROP TABLE "my rows"; --', 'my rows" WHERE 1=0; --', "main.my rows"])
def test_a_table_is_a_name_and_no_sql(validations: Any, tmp_path: Path, name: str) -> None:
    database(tmp_path / "x.db")
    if name.startswith("main."):
        assert validations(**SQLITE).validate(name, "suite", {}).results
        return
    with pytest.raises(E2IError):
        validations(**SQLITE).validate(name, "suite", {})
    assert validations(**SQLITE).validate("my rows", "suite", {}).results


def test_a_suite_that_does_not_exist_is_named_with_those_that_do(validations: Any) -> None:
    with pytest.raises(BadInput, match="there is no suite 'suit'") as caught:
        validations().validate(frame(), "suit", {})
    assert caught.value.hint == 'did you mean "suite"?'
    with pytest.raises(BadInput, match="there is no suite"):
        validations().validate(frame(), "../../etc/passwd", {})


def test_no_rows_and_no_data_are_mistakes(validations: Any) -> None:
    with pytest.raises(BadInput, match="no rows to check"):
        validations().validate(frame().head(0), "suite", {})
    with pytest.raises(BadInput, match="dict is no data to validate"):
        validations().validate({"a": [1]}, "suite", {})


def test_the_frame_is_not_changed_and_an_expectation_that_cannot_be_computed_says_why(validations: Any) -> None:
    given, before = frame(), frame()
    made = validations()
    item = {"type": "expect_column_mean_to_be_between", "column": "text", "min_value": 0}
    made.create_suite("odd", writing.text_of("odd", [item]))
    (result,) = made.validate(given, "odd", {}).results
    assert not result["success"] and result["result"]["exception"]
    pd.testing.assert_frame_equal(given, before)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_suites_of_the_wheel_are_those_of_the_repository(path: Path) -> None:
    assert load(path, path.stem).expectations
    own = ROOT / FOLDER / path.name
    assert not own.exists() or own.read_bytes() == path.read_bytes()


def test_the_default_suites_need_no_file(validations: Any) -> None:
    assert validations().validate(frame(), "e2i_default_suite", {}).passed_expectations == 2
    with pytest.raises(BadInput, match="no column 'hcp_id'"):
        validations().validate(frame(), "e2i_classification_suite", {})


class TestExistingProject:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        import great_expectations as gx
        from great_expectations.data_context import FileDataContext

        root = tmp_path / "project"
        (root / "data").mkdir(parents=True)
        frame().to_csv(root / "data" / "rows.csv", index=False)
        database(root / "x.db")
        context = FileDataContext(project_root_dir=str(root))
        kinds = gx.expectations
        context.suites.add(
            gx.ExpectationSuite(
                name="theirs",
                expectations=[
                    kinds.ExpectColumnValuesToNotBeNull(column="id", notes="why"),
                    kinds.ExpectColumnValuesToBeBetween(
                        column="n b", max_value=1, row_condition="zero == 0", condition_parser="pandas"
                    ),
                ],
            )
        )
        hostile = kinds.ExpectColumnValuesToNotBeNull(
            column="id", row_condition="id.to_pickle('pwn') is None", condition_parser="pandas"
        )
        context.suites.add(gx.ExpectationSuite(name="hostile", expectations=[hostile]))
        files = context.data_sources.add_pandas_filesystem("files", base_directory=str(root / "data"))
        files.add_csv_asset("rows").add_batch_definition_path("all", "rows.csv")
        context.data_sources.add_sqlite("db", connection_string=f"sqlite:///{root / 'x.db'}").add_table_asset(
            "asset", table_name='"my rows"'
        )
        return root

    @pytest.mark.parametrize(("datasource", "table"), [("files", "rows"), ("db", "my rows")])
    def test_its_suites_and_datasources_are_used_and_nothing_is_written(
        self, validations: Any, root: Path, datasource: str, table: str
    ) -> None:
        before = tree(root)
        made = validations(context_root="project", datasource_name=datasource)
        assert outcomes(made.validate(table, "theirs", {})) == [False, False]
        assert outcomes(made.validate(table, "theirs", {"n b": 1})) == [True, True]
        assert outcomes(made.validate(table, "suite", {}))
        assert tree(root) == before

    def test_a_condition_of_it_that_executes_code_is_refused(
        self, validations: Any, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(Refused, match="row_condition is refused"):
            validations(context_root="project").validate(frame(), "hostile", {})
        assert not (tmp_path / "pwn").exists()

    def test_a_suite_of_it_is_not_replaced(self, validations: Any, root: Path) -> None:
        with pytest.raises(BadInput, match="the Great Expectations project has a suite 'theirs'"):
            validations(context_root="project").create_suite("theirs", b"")

    def test_a_folder_that_is_no_project_is_named(self, validations: Any, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match=r"is no Great Expectations project: it has no great_expectations\.yml"):
            validations(context_root="other").validate(frame(), "theirs", {})
        assert not (tmp_path / "other").exists()


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
