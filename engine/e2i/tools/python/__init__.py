"""Functions of the user's own project as steps. In: a file, a function and arguments. Out: its result."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from e2i.catalog.action import Action, Outputs, Params, Tool
from e2i.catalog.artifacts import Table
from e2i.catalog.marks import Code, MayBeSecret, WorkspaceFile


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
        str, Code(), Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$", description="Name of a function in it.")
    ]
    arguments: Annotated[
        dict[str, Any],
        MayBeSecret(),
        Field(description="Keyword arguments; a table arrives as a pandas DataFrame."),
    ] = Field(default_factory=dict)


class CallOutputs(Outputs):
    value: Annotated[Any, Field(description="What the function returned, unless that is a DataFrame.")] = None
    table: Annotated[Table | None, Field(description="What the function returned, if that is a DataFrame.")] = None


TOOL = Tool(
    name="python",
    summary="Functions of the user's own project as steps.",
    actions=(
        Action(
            "call",
            "Calls a function of a Python file in the workspace with keyword arguments.",
            CallParams,
            CallOutputs,
            libraries=("pandas", "numpy"),
            idempotent=False,
            privilege="run_python",
        ),
    ),
)
