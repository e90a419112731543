"""The sql tool: one SELECT over tables. In: tables and a query. Out: a table.

Declarations only; ``actions`` does the work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from e2i.catalog.action import Action, Outputs, Params, Tool
from e2i.catalog.artifacts import Table
from e2i.catalog.marks import Budget
from e2i.spec import sizes

Value = str | int | float | bool | None


def _amount(text: str) -> str:
    if sizes.parse(text) < 16 * 10**6:
        raise ValueError("a query needs at least 16MB")
    return text


Memory = Annotated[
    str,
    AfterValidator(_amount),
    Budget("query_memory"),
    Field(
        description="Memory for the rows of the query, such as 1GB. Beyond it, rows are spilled to the step's own "
        "temporary folder. A worker needs up to three times as much: see `resources`."
    ),
]


class QueryParams(Params):
    """Parameters of ``sql.query``."""

    query: Annotated[
        str,
        Field(
            min_length=1,
            max_length=32_768,
            description="One SELECT in DuckDB's SQL, over the tables by their names. `$name` is a parameter.",
        ),
    ]
    tables: Annotated[Mapping[str, Table], Field(description="The tables, by their names in the query.")] = {}
    params: Annotated[
        Mapping[str, Value | tuple[Value, ...]],
        Field(description="Values of the query's parameters. They are values, never SQL."),
    ] = {}
    memory: Memory = "1GB"

    @field_validator("tables")
    @classmethod
    def _distinct(cls, tables: Mapping[str, Table]) -> Mapping[str, Table]:
        """Returns the tables. SQL does not distinguish upper and lower case."""
        if len({name.lower() for name in tables}) < len(tables) or "" in tables:
            raise ValueError("two tables have the same name in SQL, which ignores upper and lower case")
        return tables


class QueryOutputs(Outputs):
    """Outputs of ``sql.query``."""

    table: Annotated[Table, Field(description="The rows of the result.")]


TOOL = Tool(
    name="sql",
    summary="Queries tables with SQL, in a DuckDB that reads nothing else.",
    actions=(
        Action(
            "query",
            "Runs one SELECT over tables. Its columns, types and errors are known before the run.",
            QueryParams,
            QueryOutputs,
            libraries=("duckdb", "pyarrow"),
            columns=True,
        ),
    ),
    distribution="duckdb",
    extra="sql",
    imports=("duckdb", "pyarrow"),
)
