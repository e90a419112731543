"""What a hyperparameter may be: written in YAML or as an algorithm's default, read by the tuner. Pure."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class IntRange(BaseModel):
    """Whole numbers from ``low`` to ``high``, both included."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    type: Annotated[Literal["int"], Field(description="Whole numbers.")] = "int"
    low: Annotated[int, Field(description="The least value.")]
    high: Annotated[int, Field(description="The greatest value, included.")]
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
    low: Annotated[float, Field(description="The least value.")]
    high: Annotated[float, Field(description="The greatest value.")]
    step: Annotated[float | None, Field(gt=0, description="Distance between values; none: any value.")] = None
    log: Annotated[bool, Field(description="Sample on a logarithmic scale.")] = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check(self.low, self.high, self.log, stepped=self.step is not None)
        return self


class Choices(BaseModel):
    """One of a list of values."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    type: Annotated[Literal["categorical"], Field(description="One of a list.")] = "categorical"
    choices: Annotated[
        tuple[bool | int | float | str | None, ...], Field(min_length=1, max_length=1000, description="The values.")
    ]


Dimension = Annotated[IntRange | FloatRange | Choices, Field(discriminator="type")]
"""One hyperparameter's range. Its kind is always written out: nothing is guessed from the form of the values."""


def _check(low: float, high: float, log: bool, *, stepped: bool) -> None:
    if low > high:
        raise ValueError(f"low ({low}) is greater than high ({high})")
    if log and low <= 0:
        raise ValueError(f"a logarithmic range must start above 0, not at {low}")
    if log and stepped:
        raise ValueError("a range cannot be logarithmic and have a step")
