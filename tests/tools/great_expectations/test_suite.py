"""The content of a suite: allowed expectations, and refusals before anything runs."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from e2i.errors import BadInput, Refused
from e2i.tools.great_expectations.kinds import KINDS, REFUSED_KINDS
from e2i.tools.great_expectations.suite import FOLDER, Expectation, Suite, load

ROOT = Path(__file__).parents[3]
NOT_NULL = {"type": "expect_column_values_to_not_be_null", "column": "a"}
HOSTILE = "a.to_pickle('pwn') is None"


def test_the_known_expectations_are_those_of_the_library() -> None:
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    assert KINDS | set(REFUSED_KINDS) == set(list_registered_expectation_implementations())


@pytest.mark.parametrize("path", sorted((ROOT / FOLDER).glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_suite_can_be_read(path: Path) -> None:
    assert load(path, path.stem).expectations


@pytest.mark.parametrize(
    "item",
    [
        {**NOT_NULL, "row_condition": HOSTILE, "condition_parser": "pandas"},
        {**NOT_NULL, "condition_parser": "pandas"},
        {**NOT_NULL, "row_condition": "b > a"},
        {**NOT_NULL, "row_condition": {"type": "pass_through", "pass_through_filter": HOSTILE}},
        {"type": "unexpected_rows_expectation", "unexpected_rows_query": "DROP TABLE t"},
        {"type": "expect_query_results_to_match_comparison", "base_query": "SELECT 1"},
        {
            "type": "expect_column_values_to_match_json_schema",
            "column": "a",
            "json_schema": {"$ref": "http://x/y.json"},
        },
        {"type": "expect_column_max_to_be_between", "column": "a", "min_value": {"$PARAMETER": "now() - 1"}},
        {**NOT_NULL, "meta": {"index": 0}},
        {**NOT_NULL, "result_format": "COMPLETE"},
    ],
)
def test_what_would_run_or_resolve_something_is_refused(tmp_path: Path, item: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        Expectation.model_validate(item)
    assert [fault["type"] for fault in caught.value.errors()] == ["refused"]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            {"row_condition": "a > 0", "condition_parser": "spark"},
            "condition_parser is one of pandas, great_expectations",
        ),
        ({"row_condition": "a > 0", "condition_parser": ["pandas"]}, "condition_parser is one of"),
        ({"row_condition": "(" * 400 + "a > 0" + ")" * 400}, "row_condition cannot be used: its parentheses are more"),
        ({"row_condition": 'a in [1, "x"]'}, "row_condition cannot be used: a list has texts and numbers"),
        ({"row_condition": "a == " + "9" * 5_000}, "row_condition cannot be used: a whole number has at most 64 bits"),
    ],
)
def test_a_condition_that_the_step_could_not_evaluate_is_named(item: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Expectation.model_validate({**NOT_NULL, **item})


@pytest.mark.parametrize("parser", [None, "pandas", "great_expectations", "great_expectations__experimental__"])
def test_the_parsers_of_conditions_that_are_read_are_accepted(parser: str | None) -> None:
    assert Expectation.model_validate({**NOT_NULL, "row_condition": "a > 0", "condition_parser": parser}).condition


def write(folder: Path, text: str, name: str = "s") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def test_a_file_with_a_row_condition_is_refused_by_name(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f'name: s\nexpectations:\n  - {{type: {NOT_NULL["type"]}, column: a, row_condition: "{HOSTILE}"}}\n',
    )
    with pytest.raises(Refused, match=r"expectations\.0: row_condition is refused: it is evaluated as code"):
        load(path, "s")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: s\nexpectations: [{type: expect_column_values_to_not_be_nul, column: a}]", "did you mean"),
        ("name: s\nexpectations: []", "at least 1 item"),
        ("name: s\nexpectation: []", 'unknown key; did you mean "expectations"'),
        ("name: other\nexpectations: [{type: expect_column_to_exist, column: a}]", "has the name 'other'"),
        ("name: s\nname: t\n", "duplicate"),
        ("- 1", "mapping"),
        ("name: s\nexpectations: [{type: expect_column_to_exist, column: a, severity: fatal}]", "severity"),
    ],
)
def test_a_bad_file_is_told_apart_with_its_fault(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=f"(?s){re.escape('config/expectations/s.yaml')}.*{message}"):
        load(write(tmp_path, text), "s")


def test_an_absent_suite_is_named_with_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, "", name="flights")
    with pytest.raises(BadInput) as caught:
        load(tmp_path / "flight.yaml", "flight")
    assert caught.value.hint == 'did you mean "flights"?'


def test_texts_are_bounded() -> None:
    with pytest.raises(ValidationError, match="more than 2000 characters"):
        Expectation.model_validate(
            {"type": "expect_column_values_to_match_regex", "column": "a", "regex": "(a+)+" * 1_000}
        )


def test_a_suite_name_is_no_path() -> None:
    for name in ("../x", "a/b", "a.b", "", "a\\b"):
        with pytest.raises(ValidationError):
            Suite.model_validate({"name": name, "expectations": [NOT_NULL]})


def test_errors_have_their_line_and_column_in_the_file(tmp_path: Path) -> None:
    text = f"""name: s
expectations:
  - type: expect_column_values_to_not_be_nul
    column: a
  - {{type: {NOT_NULL["type"]}, column: a, row_condition: "{HOSTILE}"}}
  - type: {NOT_NULL["type"]}
    column: a
    severity: fatal
"""
    with pytest.raises(Refused) as caught:
        load(write(tmp_path, text), "s")
    places = [
        "config/expectations/s.yaml:3:11: ",
        "config/expectations/s.yaml:5:75: ",
        "config/expectations/s.yaml:8:15: ",
    ]
    assert all(place in caught.value.message for place in places), caught.value.message
    with pytest.raises(BadInput, match=r"s\.yaml:1:7: the suite has the name 'other'"):
        load(write(tmp_path, "name: other\nexpectations: [{type: expect_column_to_exist, column: a}]"), "s")
