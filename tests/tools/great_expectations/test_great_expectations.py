"""``great_expectations.validate`` with the real library: counts, order, broken expectations, the gate, data docs."""

import asyncio
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from context import LocalContext
from e2i.catalog.artifacts import Report
from e2i.errors import BadInput, StepError
from e2i.tools.dataset import FlightsParams, HcpParams
from e2i.tools.dataset.actions import hcp, nycflights13
from e2i.tools.great_expectations import Outcome, ValidateOutputs, ValidateParams, validation
from e2i.tools.great_expectations.actions import validate
from e2i.tools.great_expectations.suite import FOLDER, Suite

ROOT = Path(__file__).parents[3]
BRANDS = ["Remibrutinib", "Fabhalta", "Kisqali"]
HOSTILE_TEXT = '<img src="https://evil.example/x.png"><script>alert(1)</script><meta http-equiv="refresh" content="0">'


def journeys(rows: int = 500) -> pd.DataFrame:
    rng = np.random.default_rng(11)
    brand = rng.choice(np.array([*BRANDS, "Other", None], dtype=object), rows)
    first = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 50, rows), unit="D")
    last = pd.Series(first + pd.to_timedelta(rng.integers(-5, 50, rows), unit="D")).where(rng.random(rows) > 0.1)
    return pd.DataFrame(
        {
            "hcp_id": [f"H{i}" for i in rng.integers(0, 200, rows)],
            "quarter": rng.integers(1, 5, rows),
            "brand": brand,
            "calls": pd.Series(rng.normal(50, 30, rows)).where(rng.random(rows) > 0.05),
            "first": first,
            "last": last,
        }
    )


SUITE: list[dict[str, Any]] = [
    {"type": "expect_column_values_to_be_between", "column": "calls", "min_value": 0, "max_value": 100},
    {"type": "expect_column_values_to_be_in_set", "column": "brand", "value_set": BRANDS},
    {"type": "expect_column_values_to_not_be_null", "column": "brand"},
    {"type": "expect_compound_columns_to_be_unique", "column_list": ["hcp_id", "quarter"]},
    {
        "type": "expect_column_pair_values_a_to_be_greater_than_b",
        "column_A": "last",
        "column_B": "first",
        "or_equal": True,
        "ignore_row_if": "either_value_is_missing",
    },
    {"type": "expect_column_values_to_not_be_null", "column": "nope"},
    {"type": "expect_column_mean_to_be_between", "column": "calls", "min_value": 0, "severity": "warning"},
    {"type": "expect_column_values_to_not_be_null", "column": "hcp_id", "notes": "It is the key."},
]


def run(ctx: LocalContext, frame: pd.DataFrame, suite: Any, **params: Any) -> ValidateOutputs:
    given = ValidateParams.model_validate({"table": ctx.table(frame), "suite": suite, **params})
    return asyncio.run(validate(given, ctx))


def failure(ctx: LocalContext, frame: pd.DataFrame, suite: Any, **params: Any) -> StepError:
    with pytest.raises(StepError) as caught:
        run(ctx, frame, suite, **params)
    return caught.value


def ship(ctx: LocalContext) -> None:
    """Puts the shipped suites into the workspace."""
    shutil.copytree(ROOT / FOLDER, ctx.workspace / FOLDER)


def page(ctx: LocalContext, report: Report) -> str:
    return (ctx.open(report) / report.entry).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, ...]:
    ctx = LocalContext(tmp_path_factory.mktemp("counts"))
    try:
        return run(ctx, journeys(), SUITE, fail_on="never").results
    finally:
        ctx.close()


class TestCounts:
    def test_unexpected_and_missing_rows_equal_a_recomputation_by_pandas(self, outcomes: tuple[Outcome, ...]) -> None:
        frame = journeys()
        calls, brand = frame["calls"].dropna(), frame["brand"].dropna()
        both = frame.dropna(subset=["first", "last"])
        expected = [
            (int((~calls.between(0, 100)).sum()), int(frame["calls"].isna().sum())),
            (int((~brand.isin(BRANDS)).sum()), int(frame["brand"].isna().sum())),
            (int(frame["brand"].isna().sum()), None),
            (int(frame.duplicated(["hcp_id", "quarter"], keep=False).sum()), 0),
            (int((both["last"] < both["first"]).sum()), len(frame) - len(both)),
        ]
        assert [(item.unexpected_count, item.missing_count) for item in outcomes[:5]] == expected
        assert all(item.element_count == len(frame) for item in outcomes[:5])
        assert outcomes[0].unexpected_percent == pytest.approx(100 * expected[0][0] / len(calls))
        assert outcomes[6].observed_value == pytest.approx(frame["calls"].mean())
        assert set(outcomes[1].samples) == {"Other"}

    def test_outcomes_are_in_the_order_of_the_suite(self, outcomes: tuple[Outcome, ...]) -> None:
        assert [item.type for item in outcomes] == [item["type"] for item in SUITE]
        assert [item.columns for item in outcomes] == [
            ("calls",), ("brand",), ("brand",), ("hcp_id", "quarter"), ("last", "first"), ("nope",), ("calls",),
            ("hcp_id",),
        ]  # fmt: skip
        assert [item.success for item in outcomes] == [False] * 6 + [True, True]
        assert outcomes[7].notes == "It is the key."

    def test_an_expectation_that_cannot_be_checked_says_why(self, outcomes: tuple[Outcome, ...]) -> None:
        assert [item.broken is not None for item in outcomes] == [False] * 5 + [True, False, False]
        assert "nope" in str(outcomes[5].broken)


class TestGate:
    def test_the_message_names_expectation_column_count_share_and_samples(self, ctx: LocalContext) -> None:
        frame = pd.DataFrame({"brand": ["Kisqali", "Other\x1b[31m", "Kisqali", "x" * 500], "n": [1, 2, 3, 4]})
        suite = [
            {"type": "expect_column_values_to_be_in_set", "column": "brand", "value_set": BRANDS},
            {"type": "expect_column_max_to_be_between", "column": "n", "max_value": 3},
            {"type": "expect_column_values_to_not_be_null", "column": "nope"},
            {"type": "expect_column_values_to_not_be_null", "column": "n"},
        ]
        error = failure(ctx, frame, suite)
        assert error.code == "quality-failed"
        assert "3 of 4 expectations failed" in error.message
        assert (
            "expect_column_values_to_be_in_set(brand): 2 of 4 unexpected (50 %), such as 'Other\\x1b[31m', 'xxx"
            in error.message
        )
        assert "expect_column_max_to_be_between(n) found 4" in error.message
        assert "expect_column_values_to_not_be_null(nope) could not be checked: " in error.message
        assert len(error.message) < 1_000

    def test_data_docs_are_kept_and_attached_though_the_step_fails(self, ctx: LocalContext) -> None:
        error = failure(ctx, journeys(), SUITE)
        assert isinstance(error.details, dict)
        report = Report.model_validate(error.details["report"])
        assert ctx.attachments["great_expectations/inline"] == error.details["report"]
        assert "expect" in page(ctx, report) or "Values in" in page(ctx, report)
        assert error.details["statistics"] == {
            "evaluated": 8, "successful": 2, "unsuccessful": 6, "success_percent": 25.0
        }  # fmt: skip
        assert [item["columns"] for item in error.details["failed"]][:2] == [["calls"], ["brand"]]
        assert ctx.metrics["inline.success_percent"] == 25.0
        assert ctx.metrics["inline.unsuccessful"] == 6

    def test_the_shared_frame_is_left_as_it_was(self, ctx: LocalContext) -> None:
        table = ctx.table(journeys())
        before = ctx.frame(table).copy(deep=True)
        run(ctx, journeys(), SUITE, fail_on="never")
        pd.testing.assert_frame_equal(ctx.frame(table), before)

    def test_severity_decides_what_fails_the_step(self, ctx: LocalContext) -> None:
        frame = pd.DataFrame({"a": [1.0, None]})
        suite = [{"type": "expect_column_values_to_not_be_null", "column": "a", "severity": "warning"}]
        out = run(ctx, frame, suite)
        assert (out.success, out.statistics.unsuccessful) == (False, 1)
        assert run(ctx, frame, suite, fail_on="never") == out
        assert failure(ctx, frame, suite, fail_on="warning").code == "quality-failed"

    def test_only_the_rows_that_meet_where_are_looked_at(self, ctx: LocalContext) -> None:
        frame = pd.DataFrame({"part": ["train", "test"], "a": [1.0, None]})
        suite = [{"type": "expect_column_values_to_not_be_null", "column": "a"}]
        assert run(ctx, frame, suite, where=[{"column": "part", "op": "eq", "value": "train"}]).success
        assert failure(ctx, frame, suite, where=[{"column": "part", "op": "eq", "value": "no"}]).code == "empty-table"

    def test_no_value_leaves_the_table_when_no_samples_are_asked_for(self, ctx: LocalContext) -> None:
        frame = pd.DataFrame({"brand": ["Dr. Secret", "Kisqali"]})
        suite = [{"type": "expect_column_values_to_be_in_set", "column": "brand", "value_set": BRANDS}]
        error = failure(ctx, frame, suite, samples=0)
        assert isinstance(error.details, dict)
        assert "Secret" not in error.message + str(error.details)
        assert "Secret" not in page(ctx, Report.model_validate(error.details["report"]))

    @pytest.mark.parametrize(
        ("item", "message", "said"),
        [
            ({"column": "a", "min_valu": 1}, "takes no min_valu", 'did you mean "min_value"?'),
            (
                {"column": "a", "min_value": 0, "mostly": 3},
                "mostly: ensure this value is less than or equal to 1",
                None,
            ),
        ],
    )
    def test_arguments_that_do_not_fit_are_named(
        self, ctx: LocalContext, item: dict[str, Any], message: str, said: str | None
    ) -> None:
        suite = [{"type": "expect_column_values_to_be_between", **item}]
        with pytest.raises(
            BadInput, match=re.escape(f"expectation 1, expect_column_values_to_be_between: {message}")
        ) as caught:
            run(ctx, pd.DataFrame({"a": [1]}), suite)
        assert caught.value.hint == said

    def test_a_missing_column_is_named_before_anything_runs(self, ctx: LocalContext) -> None:
        with pytest.raises(ValidationError, match="expect_column_values_to_be_between needs column"):
            run(ctx, pd.DataFrame({"a": [1]}), [{"type": "expect_column_values_to_be_between", "min_value": 1}])

    def test_a_row_condition_is_refused_and_writes_nothing(self, ctx: LocalContext) -> None:
        item = {"type": "expect_column_values_to_not_be_null", "column": "a"}
        with pytest.raises(ValidationError, match="row_condition is refused"):
            run(ctx, pd.DataFrame({"a": [1]}), [{**item, "row_condition": "a.to_pickle('pwn') is None"}])
        assert not Path("pwn").exists()

    def test_a_row_condition_of_comparisons_chooses_rows_and_is_shown(self, ctx: LocalContext) -> None:
        item = {"type": "expect_column_values_to_be_between", "column": "a", "max_value": 1}
        frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
        out = run(ctx, frame, [{**item, "row_condition": 'b == "x" or b in ["w"]', "condition_parser": "pandas"}])
        assert (out.success, out.results[0].element_count) == (True, 1)

    def test_a_suite_name_that_is_a_path_is_refused(self, ctx: LocalContext) -> None:
        with pytest.raises(ValidationError):
            run(ctx, pd.DataFrame({"a": [1]}), "../expectations/flights")


class TestDataDocs:
    def test_the_page_loads_nothing_runs_nothing_and_escapes_what_is_data(self, ctx: LocalContext) -> None:
        frame = pd.DataFrame({"brand": [HOSTILE_TEXT, "Kisqali"], HOSTILE_TEXT: [1, 2]})
        suite = [
            {
                "type": "expect_column_values_to_be_in_set",
                "column": "brand",
                "value_set": BRANDS,
                "notes": HOSTILE_TEXT,
            },
            {"type": "expect_column_most_common_value_to_be_in_set", "column": "brand", "value_set": [HOSTILE_TEXT]},
            {"type": "expect_column_max_to_be_between", "column": HOSTILE_TEXT, "max_value": 1},
            {"type": "expect_column_values_to_not_be_null", "column": HOSTILE_TEXT + "?"},
            {"type": "expect_table_columns_to_match_set", "column_set": ["a"]},
        ]
        html = page(ctx, run(ctx, frame, suite, fail_on="never").report)
        assert "default-src 'none'" in html
        for forbidden in ("<script", "<img", "<link", "<iframe", "@import", "url("):
            assert forbidden not in html, forbidden
        assert not re.search(r"<[^>]*\s(src|on\w+|srcset|action)=", html)
        assert html.count("<meta") == 3
        assert not re.search(r'href="(?![#.])', html)
        assert "&lt;script&gt;" in html

    def test_the_page_shows_observed_values_and_nothing_is_printed(
        self, ctx: LocalContext, capfd: pytest.CaptureFixture[str]
    ) -> None:
        html = page(ctx, run(ctx, journeys(), SUITE, fail_on="never").report)
        assert f"{journeys()['calls'].mean():.6f}"[:8] in html
        assert capfd.readouterr() == ("", "")

    def test_equal_results_give_equal_pages(self, ctx: LocalContext) -> None:
        one, again = (run(ctx, journeys(), SUITE, fail_on="never") for _ in range(2))
        assert one == again

    def test_the_library_writes_no_file_and_makes_no_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        made: list[object] = []
        monkeypatch.setattr(tempfile, "mkdtemp", lambda *args, **_: made.append(args) or str(tmp_path / "made"))
        suite = Suite.model_validate({"name": "s", "expectations": SUITE})
        assert validation.validate(journeys(), suite, 5).statistics.evaluated == 8
        assert not made
        assert not list(tmp_path.iterdir())


class TestShippedSuites:
    def test_the_default_suites_hold_for_the_generated_journeys(self, ctx: LocalContext) -> None:
        ship(ctx)
        table = hcp(HcpParams(rows=2_000), ctx).journeys
        for suite, count in (("e2i_classification_suite", 9), ("e2i_regression_suite", 9)):
            out = asyncio.run(validate(ValidateParams(table=table, suite=suite, fail_on="warning"), ctx))
            assert (out.success, out.statistics.evaluated) == (True, count)
            assert ctx.metrics[f"{suite}.success_percent"] == 100.0

    def test_the_regression_suite_finds_an_infinite_and_a_missing_outcome(self, ctx: LocalContext) -> None:
        ship(ctx)
        frame = ctx.frame(hcp(HcpParams(rows=400), ctx).journeys)
        for value in (np.inf, np.nan):
            broken = frame.assign(outcome=np.where(np.arange(len(frame)) == 3, value, frame["outcome"]))
            assert "(outcome)" in failure(ctx, broken, "e2i_regression_suite").message

    def test_the_flights_suite_holds_for_a_sample_of_the_year(self, ctx: LocalContext) -> None:
        ship(ctx)
        table = nycflights13(FlightsParams(rows=2_000), ctx).flights
        out = asyncio.run(validate(ValidateParams(table=table, suite="flights", fail_on="warning"), ctx))
        assert out.success

    def test_an_absent_suite_is_bad_input(self, ctx: LocalContext) -> None:
        ship(ctx)
        with pytest.raises(BadInput, match="there is no suite 'flight'"):
            run(ctx, journeys(), "flight")


def test_regular_expressions_take_linear_time_and_match_as_those_of_python() -> None:
    long = "a" * 45 + "!b"
    frame = pd.DataFrame(
        {
            "x": [long, "aaa", None, "é1"],
            "j": [f'{{"k": "{long}"}}', '{"k": "aa"}', None, '{"k": 1}'],
        }
    )
    schema = {"type": "object", "properties": {"k": {"type": "string", "pattern": "^(a+)+$"}}}
    regex, not_regex = "expect_column_values_to_match_regex", "expect_column_values_to_not_match_regex"
    suite = [
        {"type": regex, "column": "x", "regex": "^(a+)+$"},
        {"type": not_regex, "column": "x", "regex": "^(a|aa)+$"},
        {"type": f"{regex}_list", "column": "x", "regex_list": ["^(a+)+$", r"\w\d"]},
        {"type": f"{regex}_list", "column": "x", "regex_list": ["^(a+)+$", "a"], "match_on": "all"},
        {"type": f"{not_regex}_list", "column": "x", "regex_list": ["^(a+)+$", "b$"]},
        {"type": "expect_column_values_to_match_json_schema", "column": "j", "json_schema": schema},
    ]
    found = validation.validate(frame, Suite.model_validate({"name": "s", "expectations": suite}), 5)
    assert [outcome.broken for outcome in found.outcomes] == [None] * 6
    assert [outcome.unexpected_count for outcome in found.outcomes] == [2, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("pattern", ["(?=a)", "[", r"(a)\1"])
def test_a_pattern_that_cannot_be_matched_in_linear_time_is_refused(pattern: str) -> None:
    item = {"type": "expect_column_values_to_match_regex", "column": "x", "regex": pattern}
    suite = Suite.model_validate({"name": "s", "expectations": [item]})
    with pytest.raises(BadInput, match="not a supported regular expression"):
        validation.validate(pd.DataFrame({"x": ["a"]}), suite, 5)
