"""Explain a function of rows by its values alone. In: the function, rows and background rows. Out: SHAP values.

Absent features are replaced by those of the background rows, and the function's values are averaged over these. The
values are those of shap's explainers of the same names, of all rows at once instead of row by row in Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import factorial, sqrt
from typing import Any

from msgspec import Struct

from e2i.errors import StepError
from e2i.tools.shap import choice

PERMUTATIONS = 10
"""Orders in which features are added, each forward and backward."""
BATCH = 1 << 18
"""Rows that the function is asked for at once."""


class Asked(Struct, frozen=True, eq=False):
    """``values`` (n, p) or (n, p, k), ``expected`` (1,) or (k,), ``error``: standard errors, if they are estimates."""

    values: Any
    expected: Any
    error: Any = None


def values(outputs: Callable[[Any], Any], rows: Any, others: Any, explainer: str, seed: int) -> Asked:
    """Return SHAP values of a function of rows (n, p) against the background rows ``others`` (m, p).

    ``exact`` tries every combination of features. ``permutation`` adds them in 10 random orders and back (Castro and
    others, 2009; Mitchell and others, 2022). ``kernel`` fits a weighted regression (Lundberg and Lee, 2017). Equal
    seeds give equal values.
    """
    import numpy as np

    if refused := choice.too_many(explainer, rows.shape[1]):
        raise StepError(refused[0], code="too-many-features", hint=refused[1])
    expected = np.atleast_1d(np.asarray(outputs(others)).mean(axis=0))
    match explainer:
        case "exact":
            return Asked(np.stack([_values_of(_coalitions(outputs, row, others)) for row in rows]), expected)
        case "permutation":
            found = _of_orders(outputs, rows, others, seed)
            # an order and its reverse balance each other, so the error of the mean is rather smaller than this
            return Asked(found.mean(axis=0), expected, found.std(axis=0, ddof=1) / sqrt(len(found)))
    import shap

    with _seeded(seed):
        kernel = shap.KernelExplainer(outputs, others)
        return Asked(np.asarray(kernel.shap_values(rows, silent=True, l1_reg=False)), expected)


def interactions(outputs: Callable[[Any], Any], rows: Any, others: Any) -> Any:
    """Return the exact Shapley interaction values (n, p, p) or (n, p, p, k) of a function.

    A pair's interaction is halved between its two places, and the diagonal is the rest of each feature's SHAP value, as
    those of trees (Lundberg and others, 2020, equations 3 to 6). Raises StepError for more than 12 features.
    """
    import numpy as np

    if refused := choice.too_many("exact", rows.shape[1]):
        raise StepError(f"interactions: {refused[0]}", code="too-many-features", hint="use fewer features")
    return np.stack([_pairs_of(_coalitions(outputs, row, others)) for row in rows])


def _of_orders(outputs: Callable[[Any], Any], rows: Any, others: Any, seed: int) -> Any:
    """Return an estimate of the values for each order, forward and backward: (orders, n, p) or (orders, n, p, k)."""
    import numpy as np

    random, count = np.random.default_rng(seed), rows.shape[1]
    step, found = max(1, BATCH // (2 * count * len(others))), []
    for _ in range(PERMUTATIONS):
        orders = np.argsort(random.random(rows.shape), axis=1)
        parts = [
            _along(outputs, rows[start : start + step], orders[start : start + step], others)
            for start in range(0, len(rows), step)
        ]
        found.append(np.concatenate(parts, axis=1))
    return np.concatenate(found)


def _along(outputs: Callable[[Any], Any], rows: Any, orders: Any, others: Any) -> Any:
    """Return what each feature adds in its row's order of features, and in the reverse one: (2, n, p, …)."""
    import numpy as np

    count = rows.shape[1]
    ranks = np.argsort(orders, axis=1)[:, None, :]
    steps = np.arange(count + 1)[None, :, None]
    paths = np.concatenate([ranks < steps, (count - 1 - ranks < steps)[:, 1:-1]], axis=1)  # the ends are the same
    worth = _averaged(outputs, paths, rows[:, None, :], others)
    forward, inner = worth[:, : count + 1], worth[:, count + 1 :]
    backward = np.concatenate([forward[:, :1], inner, forward[:, -1:]], axis=1)
    places = ranks[:, 0].reshape(*rows.shape, *[1] * (worth.ndim - 2))
    both = (np.diff(forward, axis=1), np.diff(backward, axis=1)[:, ::-1])
    return np.stack([np.take_along_axis(added, places, axis=1) for added in both])


def _coalitions(outputs: Callable[[Any], Any], row: Any, others: Any) -> Any:
    """Return the mean output for each combination of present features (2^p, …); bit j of its number is feature j."""
    import numpy as np

    count = len(row)
    present = (np.arange(2**count)[:, None] >> np.arange(count)) & 1 == 1
    step = max(1, BATCH // len(others))
    parts = [_averaged(outputs, present[at : at + step], row, others) for at in range(0, len(present), step)]
    return np.concatenate(parts)


def _averaged(outputs: Callable[[Any], Any], present: Any, rows: Any, others: Any) -> Any:
    """Return the mean output over the background with the present features of the rows: (…, p) to (…) or (…, k)."""
    import numpy as np

    mixed = np.where(present[..., None, :], rows[..., None, :], others)
    asked = np.asarray(outputs(mixed.reshape(-1, mixed.shape[-1])))
    return asked.reshape(*mixed.shape[:-1], *asked.shape[1:]).mean(axis=mixed.ndim - 2)


def _values_of(worth: Any) -> Any:
    """Return the SHAP values (p,) or (p, k) of all combinations' worths."""
    import numpy as np

    numbers, sizes, count = _numbered(worth)
    weights = np.array([factorial(s) * factorial(count - s - 1) / factorial(count) for s in range(count)])
    found = []
    for i in range(count):
        without = numbers[numbers & 1 << i == 0]
        found.append(np.tensordot(weights[sizes[without]], worth[without | 1 << i] - worth[without], axes=1))
    return np.stack(found)


def _pairs_of(worth: Any) -> Any:
    import numpy as np

    numbers, sizes, count = _numbered(worth)
    found = np.zeros((count, count, *worth.shape[1:]))
    weights = np.array([factorial(s) * factorial(count - s - 2) / (2 * factorial(count - 1)) for s in range(count - 1)])
    for i in range(count):
        for j in range(i):
            rest = numbers[(numbers & 1 << i == 0) & (numbers & 1 << j == 0)]
            both, one, other = worth[rest | 1 << i | 1 << j], worth[rest | 1 << i], worth[rest | 1 << j]
            found[i, j] = found[j, i] = np.tensordot(weights[sizes[rest]], both - one - other + worth[rest], axes=1)
    values = _values_of(worth)
    for i in range(count):
        found[i, i] = values[i] - found[i].sum(axis=0)
    return found


def _numbered(worth: Any) -> tuple[Any, Any, int]:
    """Return the numbers of all combinations, their sizes, and the number of features."""
    import numpy as np

    numbers = np.arange(len(worth))
    return numbers, np.array([int(number).bit_count() for number in numbers]), len(worth).bit_length() - 1


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed NumPy's global state, which shap draws from, and put it back afterwards."""
    import numpy as np

    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)
