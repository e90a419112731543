"""Define hyperparameter ranges: written in YAML or as an algorithm's default, read by the tuner. Pure."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class IntRange(BaseModel):
    """Integers from ``low`` to ``high``, both included."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    type: Annotated[Literal["int"], Field(description="Range of integers.")] = "int"
    low: Annotated[int, Field(description="Smallest value.")]
    high: Annotated[int, Field(description="Largest value, included.")]
    step: Annotated[int, Field(ge=1, description="Distance between values.")] = 1
    log: Annotated[bool, Field(description="Sample on a logarithmic scale.")] = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check(self.low, self.high, self.log, stepped=self.step != 1)
        return self


class FloatRange(BaseModel):
    """Numbers from ``low`` to ``high``."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)

    type: Annotated[Literal["float"], Field(description="Numbers.")] = "float"
    low: Annotated[float, Field(description="Smallest value.")]
    high: Annotated[float, Field(description="Largest value.")]
    step: Annotated[float | None, Field(gt=0, description="Distance between values; null: any value.")] = None
    log: Annotated[bool, Field(description="Sample on a logarithmic scale.")] = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check(self.low, self.high, self.log, stepped=self.step is not None)
        return self


class Choices(BaseModel):
    """One of a list of values."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    type: Annotated[Literal["categorical"], Field(description="One value of a list.")] = "categorical"
    choices: Annotated[
        tuple[bool | int | float | str | None, ...], Field(min_length=1, max_length=1000, description="The values.")
    ]


Dimension = Annotated[IntRange | FloatRange | Choices, Field(discriminator="type")]
"""One hyperparameter's range. Its type is always explicit, never guessed from the form of the values."""


def _check(low: float, high: float, log: bool, *, stepped: bool) -> None:
    if low > high:
        raise ValueError(f"low ({low}) is greater than high ({high})")
    if log and low <= 0:
        raise ValueError(f"a logarithmic range must start above 0, not at {low}")
    if log and stepped:
        raise ValueError("a range cannot be logarithmic and have a step")
