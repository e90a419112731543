"""What declarations of ``causal.*`` share: names of columns, levels, estimates."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

LIBRARIES = ("econml", "statsmodels", "xgboost", "lightgbm", "catboost", "scikit-learn", "numpy", "pandas")

Label = bool | int | float | str
Level = Annotated[float, Field(gt=0.5, lt=1, description="Level of the intervals.")]
Seed = Annotated[int | None, Field(ge=0, le=2**31 - 1, description="Seed of random draws; null: the run's seed.")]


class Estimate(BaseModel):
    """An estimate with its interval, such as an average effect."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    value: Annotated[float, Field(description="The estimate, in units of the outcome.")]
    low: Annotated[float, Field(description="Lower bound of the interval.")]
    high: Annotated[float, Field(description="Upper bound of the interval.")]
    standard_error: Annotated[float, Field(description="Standard error.")]
