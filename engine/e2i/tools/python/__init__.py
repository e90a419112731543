"""The python tool: call functions of the user's project as steps.

In: a file, a function and arguments. Out: its result.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from e2i.catalog.action import Action, Outputs, Params, Tool
from e2i.catalog.artifacts import Table
from e2i.catalog.marks import Code, FilePattern, MayBeSecret, MayNameFiles, WorkspaceFile

ColumnType = Literal["string", "integer", "number", "boolean", "date", "timestamp", "any"]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Declared = (
    Literal["string", "integer", "number", "boolean", "list", "mapping", "table", "any"]
    | Annotated[tuple[Name, ...], Field(min_length=1)]
    | Annotated[dict[Name, ColumnType], Field(min_length=1)]
)
"""A type of plain values, ``table``, or a table's columns, with or without their types."""
Pattern = Annotated[str, FilePattern(), Field(min_length=1, max_length=1_000)]


class CallParams(Params):
    file: Annotated[
        str,
        WorkspaceFile(code=True),
        Field(
            pattern=r"^[A-Za-z0-9_][A-Za-z0-9_/.-]{0,200}\.py$",
            description="Python file in the workspace, such as steps/clean.py.",
        ),
    ]
    function: Annotated[
        str, Code(), Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$", description="Name of a function in the file.")
    ]
    arguments: Annotated[
        dict[str, Any],
        MayBeSecret(),
        MayNameFiles(),
        Field(
            description="Keyword arguments. A table is passed as the parameter is annotated: pa.Table, pl.DataFrame, "
            "pl.LazyFrame, or a pandas frame. The content of files that values of the type `path` name counts as input."
        ),
    ] = Field(default_factory=dict)
    outputs: Annotated[
        dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,99}$")], Declared],
        Field(
            description="Names and types of the results, which become `outputs.NAME`: string, integer, number, "
            "boolean, list, mapping, table, any; or the columns of a table, as a list or as a mapping to types. The "
            "function returns a mapping by these names; for one name also its value alone. Not needed for a function "
            "that is annotated with a TypedDict, NamedTuple or dataclass of its file."
        ),
    ] = Field(default_factory=dict)
    reads: Annotated[
        tuple[Pattern, ...],
        Field(
            description="Files that the function reads, as paths or patterns such as `data/**/*.csv`. Their content "
            "counts as input. At most 1,000 files for each pattern."
        ),
    ] = ()


class CallOutputs(Outputs):
    value: Annotated[Any, Field(description="Returned plain data. null when it is in another output.")] = None
    table: Annotated[
        Table | None, Field(description="Returned frame, or the one named `table`. null when there is none.")
    ] = None
    outputs: Annotated[
        dict[str, Any],
        Field(
            description="Entries of a returned mapping, each a table or plain data, if `outputs` declares them, the "
            "annotation names them (a TypedDict, NamedTuple or dataclass), or one of them is a frame."
        ),
    ] = Field(default_factory=dict)


TOOL = Tool(
    name="python",
    summary="Functions of the user's own project as steps.",
    actions=(
        Action(
            "call",
            "Calls a function of a Python file in the workspace with keyword arguments.",
            CallParams,
            CallOutputs,
            version=2,
            libraries=("pandas", "numpy", "pyarrow", "polars"),
            idempotent=False,
            privilege="run_python",
            columns=True,
        ),
    ),
)
