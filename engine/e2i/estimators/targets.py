"""Transform a numeric target, and predictions back. In: numbers and a transformation. Out: numbers.

This module travels with every model (``travelling``), and imports nothing else of e2i.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

import numpy as np

Matrix = np.ndarray[Any, np.dtype[Any]]


LARGEST = 700.0
"""Logarithm of about the largest number."""


class Transformation(TypedDict):
    """A transformation of a target, as the manifest holds it."""

    name: Literal["log1p", "yeo_johnson"]
    power: float
    """Of Yeo-Johnson; 0 for the logarithm."""
    low: float
    high: float
    """The least and the largest target of the training rows: answers where the inverse has no value."""


def transformed(values: Matrix, about: Transformation) -> Matrix:
    """Return the target on the scale that is learned (Yeo and Johnson 2000, for ``yeo_johnson``)."""
    if about["name"] == "log1p":
        return np.log1p(values)
    power, result = about["power"], np.empty_like(values, dtype=np.float64)
    high, low = values >= 0, values < 0
    result[high] = np.log1p(values[high]) if power == 0 else ((values[high] + 1) ** power - 1) / power
    rest = 2 - power
    result[low] = -np.log1p(-values[low]) if rest == 0 else -((1 - values[low]) ** rest - 1) / rest
    return result


def original(values: Matrix, about: Transformation) -> Matrix:
    """Return predictions in the target's own units.

    Yeo-Johnson's inverse is not defined beyond a bound: there the answer is that of the training rows which is nearest.
    """
    if about["name"] == "log1p":
        return _exponential(values)
    power, result = about["power"], np.empty_like(values, dtype=np.float64)
    high, low = values >= 0, values < 0
    base = power * values[high] + 1
    result[high] = _exponential(values[high]) if power == 0 else _root(base, power, about["high"] + 1) - 1
    rest = 2 - power
    base = 1 - rest * values[low]
    result[low] = -_exponential(-values[low]) if rest == 0 else 1 - _root(base, rest, 1 - about["low"])
    return result


def _exponential(values: Matrix) -> Matrix:
    """Return the exponential minus one, finite for every value."""
    found: Matrix = np.expm1(np.minimum(values, LARGEST))
    return found


def _root(base: Matrix, power: float, limit: float) -> Matrix:
    """Return the base to the power of one by ``power``; the limit where the base is not positive."""
    inside = base > 0
    found: Matrix = np.full(len(base), limit, dtype=np.float64)
    found[inside] = base[inside] ** (1 / power)
    return found
