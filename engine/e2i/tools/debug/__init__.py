"""The debug tool, for tests and examples: return a value, wait, or fail."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from e2i.catalog.action import Action, Outputs, Params, Tool


class EchoParams(Params):
    value: Annotated[Any, Field(description="Any value.")] = None


class EchoOutputs(Outputs):
    value: Annotated[Any, Field(description="The input value.")]


class SleepParams(Params):
    seconds: Annotated[float, Field(ge=0, le=86_400, description="Time to sleep, in seconds.")]
    value: Annotated[Any, Field(description="Any value; returned after the sleep.")] = None


class FailParams(Params):
    message: Annotated[str, Field(max_length=10_000, description="The error message.")] = "asked to fail"
    unavailable: Annotated[bool, Field(description="Fail as if the tool were unavailable, so that retries apply.")] = (
        False
    )


class FailOutputs(Outputs):
    pass


TOOL = Tool(
    name="debug",
    summary="Small actions for tests and examples.",
    actions=(
        Action("echo", "Returns its input value.", EchoParams, EchoOutputs, inline=True),
        Action("sleep", "Sleeps, then returns its input value.", SleepParams, EchoOutputs),
        Action("fail", "Fails.", FailParams, FailOutputs, inline=True),
    ),
)
