"""What a hostile suite may hold, and what each engine must make of it: a refusal, or a comparison with that very text."""

from __future__ import annotations

from typing import Any

NOT_NULL = {"type": "expect_column_values_to_not_be_null", "column": "id"}
CONDITIONS: tuple[Any, ...] = (
    "id.to_pickle('pwn') is None",
    "id.to_csv('pwn') is None",
    "@pd.io.common.os.system('touch pwn') == 0",
    "__import__('os').system('touch pwn') == 0",
    "id.apply(print) == 1",
    "id.str.contains('x')",
    "visits == @x",
    "visits == `least`",
    "visits == least",
    "visits + 1 == 2",
    "visits == 1; import os",
    "visits == 1 and open('/etc/passwd').read() == ''",
    "lambda: 1",
    "1 == 1",
    "visits = 1",
    "visits == 1 UNION SELECT 1",
    "visits == 1 OR EXISTS (SELECT 1)",
    "visits == 1 -- x",
    "visits == 1 /* x */",
    "visits in (SELECT 1)",
    "(SELECT count(*) FROM journeys) > 0",
    "pg_read_file('/etc/passwd') == 'x'",
    "load_extension('x.so') == 1",
    "readfile('/etc/passwd').isnull()",
    "pg_sleep(60).isnull()",
    "col(id) == 'x'",
    "col('id').__class__ == 'x'",
    'col("a`b") == 1',
    "`a\nb` == 1",
    "id == f'{visits}'",
    "id == 'a\\' or \\'1\\' == \\'1'",
    {"type": "pass_through", "pass_through_filter": "id.to_pickle('pwn') is None"},
    {"type": "and", "conditions": [{"type": "pass_through", "pass_through_filter": "id.to_csv('pwn').isnull()"}]},
    {"type": "comparison", "column": {"name": "id"}, "operator": "; DROP TABLE journeys; --", "parameter": 1},
    {"type": "comparison", "column": {"name": "id"}, "operator": "==", "parameter": {"$PARAMETER": "now()"}},
    {"type": "comparison", "column": {"name": "id"}, "operator": "==", "parameter": ["a"]},
    {"type": "comparison", "column": {"name": ["id"]}, "operator": "==", "parameter": "a"},
    ["visits == 1"],
    7,
)
"""Row conditions that are more than comparisons of a column with a value."""
EXPECTATIONS: tuple[dict[str, Any], ...] = (
    *({**NOT_NULL, "row_condition": condition} for condition in CONDITIONS),
    *({**NOT_NULL, "row_condition": "visits == 1", "condition_parser": parser} for parser in ("spark", "python", "eval", 7)),
    {"type": "unexpected_rows_expectation", "unexpected_rows_query": "SELECT * FROM {batch}"},
    {"type": "unexpected_rows_expectation", "unexpected_rows_query": "DROP TABLE journeys"},
    {"type": "UnexpectedRowsExpectation", "unexpected_rows_query": "SELECT pg_read_file('/etc/passwd')"},
    {"type": "expect_query_results_to_match_comparison", "base_query": "SELECT 1", "comparison_query": "SELECT 1"},
    {"type": "expect_table_row_count_to_equal_other_table", "other_table_name": "pg_authid"},
    {**NOT_NULL, "unexpected_rows_query": "SELECT 1"},
    {**NOT_NULL, "query": "SELECT {column} FROM {batch}"},
    {**NOT_NULL, "query.template_dict": {"column": "1; DROP TABLE journeys"}},
    {**NOT_NULL, "template_dict": {"batch": "pg_authid"}},
    {**NOT_NULL, "table": "pg_authid"},
    {**NOT_NULL, "batch_id": "other"},
    {**NOT_NULL, "result_format": {"result_format": "COMPLETE", "unexpected_index_column_names": ["id"]}},
    {**NOT_NULL, "meta": {"index": 0}},
    {**NOT_NULL, "windows": [{"parameter_name": "x", "constraint_fn": "mean"}]},
    {"type": "expect_column_max_to_be_between", "column": "visits", "max_value": {"$PARAMETER": "__import__('os')"}},
    {"type": "expect_column_values_to_match_json_schema", "column": "id", "json_schema": {"$ref": "file:///etc/passwd"}},
    {"type": "../../evil.module.Expectation", "column": "id"},
    {"type": "__import__", "column": "id"},
)  # fmt: skip
"""Expectations that would run a query or code, or read something else than the table."""
COLUMNS = ("id; DROP TABLE journeys", 'id" OR 1=1 --', "(SELECT 1)", "*", "id::text", "pg_sleep(60)", "id`", "id' --")
"""Names of columns that the table does not have."""
LITERALS = (
    "x' OR '1'='1", "'; DROP TABLE journeys; --", "{batch}", "{column}", "$1", "%s", ":id", "%(id)s", "@visits", "?",
    "pg_read_file('/etc/passwd')", "H1", "{{ 7*7 }}", "${HOME}", "__import__('os')",
)  # fmt: skip
"""Texts that a column is compared with: as they are."""


def compared(literal: str) -> list[dict[str, Any]]:
    """Expectations that compare the column ``id`` with a text, in each place that takes one."""
    condition = {"type": "comparison", "column": {"name": "id"}, "operator": "!=", "parameter": literal}
    return [
        {"type": "expect_column_values_to_not_be_in_set", "column": "id", "value_set": [literal]},
        {**NOT_NULL, "row_condition": f'id != "{literal}"'},
        {**NOT_NULL, "row_condition": condition},
        {**NOT_NULL, "row_condition": {**condition, "operator": "NOT_IN", "parameter": [literal]}},
        {"type": "expect_column_most_common_value_to_be_in_set", "column": "id", "value_set": [literal]},
    ]
