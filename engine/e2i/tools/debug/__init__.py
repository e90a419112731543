"""Small actions for tests and examples: a value goes in and comes out, time passes, or the step fails."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from e2i.catalog.action import Action, Outputs, Params, Tool


class EchoParams(Params):
    value: Annotated[Any, Field(description="Any value.")] = None


class EchoOutputs(Outputs):
    value: Annotated[Any, Field(description="The value that went in.")]


class SleepParams(Params):
    seconds: Annotated[float, Field(ge=0, le=86_400, description="How long to sleep.")]
    value: Annotated[Any, Field(description="Any value, given back afterwards.")] = None


class FailParams(Params):
    message: Annotated[str, Field(max_length=10_000, description="The error message.")] = "asked to fail"
    unavailable: Annotated[bool, Field(description="Fail as if the tool were out, so that retries apply.")] = False


class FailOutputs(Outputs):
    pass


TOOL = Tool(
    name="debug",
    summary="Small actions for tests and examples.",
    actions=(
        Action("echo", "Gives back the value it is given.", EchoParams, EchoOutputs, inline=True),
        Action("sleep", "Sleeps, then gives back the value it is given.", SleepParams, EchoOutputs),
        Action("fail", "Fails.", FailParams, FailOutputs, inline=True),
    ),
)
