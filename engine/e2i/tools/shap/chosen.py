"""Choose the rows to explain. In: parameters and the table. Out: the numbers of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2i.errors import StepError
from e2i.spec.suggest import few
from e2i.tools.shap import ExplainParams, Instances

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix


def places(params: ExplainParams, frame: pd.DataFrame, seed: int) -> Matrix:
    """Return the rows of the instances, in the order of their keys, or a sample in the table's order.

    Raises StepError for a key that no row has, and for more rows than ``params.rows``.
    """
    import numpy as np

    if params.instances is not None:
        return _named(params.instances, frame, params.rows)
    if params.rows >= len(frame):
        return np.arange(len(frame))
    return np.sort(np.random.default_rng(seed).choice(len(frame), params.rows, replace=False))


def _named(instances: Instances, frame: pd.DataFrame, most: int) -> Matrix:
    import numpy as np

    if instances.by not in frame.columns:
        raise StepError(
            f"the table has no column {instances.by!r}, by which instances are named",
            code="unknown-column",
            hint=f"columns: {few(list(map(str, frame.columns)))}",
        )
    column = frame[instances.by]
    rows: dict[object, list[int]] = {}
    for place, value in enumerate(column.tolist()):
        rows.setdefault(value, []).append(place)
    keys = list(dict.fromkeys(instances.keys))
    if missing := [str(key) for key in keys if key not in rows]:
        raise StepError(
            f"no row has {few(missing)} in the column {instances.by!r}",
            code="no-such-instance",
            hint=f"its values are {column.dtype}, such as {few([repr(value) for value in list(rows)[:3]])}",
        )
    found = np.array([place for key in keys for place in rows[key]])
    if len(found) > most:
        raise StepError(
            f"{len(found):,} rows have these keys, and `rows` is {most:,}",
            code="too-many-instances",
            hint="raise `rows`, or name fewer keys",
        )
    return found
