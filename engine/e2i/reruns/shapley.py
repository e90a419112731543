"""Divide a change among its causes. Pure.

In: the value for every set of factors of the second side. Out: a share for each factor; the shares sum to the change.

The share of a factor is its Shapley value: the mean, over all orders in which the factors can change, of what the value
changes by when the factor does (Shapley 1953, "A value for n-person games").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import combinations
from typing import TypeVar

F = TypeVar("F")


def subsets(factors: Sequence[F]) -> list[frozenset[F]]:
    """Returns all sets of factors, the empty one first, the whole one last."""
    return [frozenset(one) for count in range(len(factors) + 1) for one in combinations(factors, count)]


def shares(factors: Sequence[F], value: Callable[[frozenset[F]], float]) -> dict[F, Fraction]:
    """Returns the share of each factor, exactly."""
    found: dict[F, Fraction] = {}
    count = len(factors)
    for factor in factors:
        total = Fraction(0)
        for others in subsets([one for one in factors if one != factor]):
            weight = Fraction(
                math.factorial(len(others)) * math.factorial(count - len(others) - 1), math.factorial(count)
            )
            total += weight * (Fraction(value(others | {factor})) - Fraction(value(others)))
        found[factor] = total
    return found


def rounded(exact: dict[F, Fraction], change: float) -> dict[F, float]:
    """Returns the shares as numbers whose exact sum rounds to the change: the largest one takes the rounding error."""
    found = {factor: float(share) for factor, share in exact.items()}
    if found:
        largest = max(found, key=lambda factor: abs(found[factor]))
        rest = [share for factor, share in found.items() if factor != largest]
        found[largest] = math.fsum([change, *(-share for share in rest)])
    return found
