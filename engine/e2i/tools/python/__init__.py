"""The python tool: call functions of the user's project as steps.

In: a file, a function and arguments. Out: its result.
"""

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
        str, Code(), Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$", description="Name of a function in the file.")
    ]
    arguments: Annotated[
        dict[str, Any],
        MayBeSecret(),
        Field(description="Keyword arguments. A table is passed as a pandas DataFrame."),
    ] = Field(default_factory=dict)


class CallOutputs(Outputs):
    value: Annotated[Any, Field(description="Return value of the function, unless it is a DataFrame.")] = None
    table: Annotated[Table | None, Field(description="Return value of the function, if it is a DataFrame.")] = None


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
            libraries=("pandas", "numpy"),
            idempotent=False,
            privilege="run_python",
        ),
    ),
)
