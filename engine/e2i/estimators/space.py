"""Define hyperparameter ranges: written in YAML or as an algorithm's default, read by the tuner. Pure.

A range with ``when`` is conditional: it is searched only in trials in which other hyperparameters have given values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Value = bool | int | float | str | None
OneOrMore = Value | Annotated[tuple[Value, ...], Field(min_length=1, max_length=1000)]
When = Annotated[
    dict[str, OneOrMore] | None,
    Field(
        min_length=1,
        description="Search it only in trials in which each of these hyperparameters, searched or fixed, has this "
        "value, or one of these; null: in every trial.",
    ),
]


class IntRange(BaseModel):
    """Integers from ``low`` to ``high``, both included."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    type: Annotated[Literal["int"], Field(description="Range of integers.")] = "int"
    low: Annotated[int, Field(description="Smallest value.")]
    high: Annotated[int, Field(description="Largest value, included.")]
    step: Annotated[int, Field(ge=1, description="Distance between values.")] = 1
    log: Annotated[bool, Field(description="Sample on a logarithmic scale.")] = False
    when: When = None

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
    when: When = None

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
    when: When = None


Dimension = Annotated[IntRange | FloatRange | Choices, Field(discriminator="type")]
"""One hyperparameter's range. Its type is always explicit, never guessed from the form of the values."""


def ordered(space: Mapping[str, Dimension]) -> dict[str, Dimension]:
    """Return the space with each range behind those that it depends on; otherwise the order stays.

    Raises ValueError naming a cycle of conditions.
    """
    found: dict[str, Dimension] = {}

    def add(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise ValueError(f"conditions in a cycle: {' → '.join([*path[path.index(name) :], name])}")
        if name in found:
            return
        for other in space[name].when or ():
            if other in space:
                add(other, (*path, name))
        found[name] = space[name]

    for name in space:
        add(name, ())
    return found


def is_active(dimension: Dimension, chosen: Mapping[str, Value]) -> bool:
    """Return True when a range is searched in a trial with these values; a missing one meets no condition."""
    return all(
        name in chosen and any(_same(chosen[name], value) for value in values) for name, values in conditions(dimension)
    )


def conditions(dimension: Dimension) -> Iterator[tuple[str, tuple[Value, ...]]]:
    """Yield each hyperparameter that a range depends on, with the values that it must have."""
    for name, values in (dimension.when or {}).items():
        yield name, values if isinstance(values, tuple) else (values,)


def may_have(dimension: Dimension, value: Value) -> bool:
    """Return True when a range has the value. Steps are compared to a rounding."""
    if isinstance(dimension, Choices):
        return any(_same(choice, value) for choice in dimension.choices)
    if isinstance(value, bool) or not isinstance(value, int | float) or not dimension.low <= value <= dimension.high:
        return False
    if isinstance(dimension, IntRange) and value != int(value):
        return False
    if dimension.step is None:
        return True
    steps = (value - dimension.low) / dimension.step
    return abs(steps - round(steps)) < 1e-9


def _same(value: Any, other: Any) -> bool:
    """Return True for equal values; a truth value is no number."""
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def _check(low: float, high: float, log: bool, *, stepped: bool) -> None:
    if low > high:
        raise ValueError(f"low ({low}) is greater than high ({high})")
    if log and low <= 0:
        raise ValueError(f"a logarithmic range must start above 0, not at {low}")
    if log and stepped:
        raise ValueError("a range cannot be logarithmic and have a step")
