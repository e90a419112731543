"""Lay out explanations as tables. In: an explanation and the numbers of its rows. Out: frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from e2i.tools.shap.columns import beside, key_name

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix
    from e2i.tools.shap.values import Explanation

Keys = tuple[str, Any]
"""The column that names instances, and its values in the explained rows."""


def values(found: Explanation, places: Matrix, labels: Sequence[str], keys: Keys | None) -> pd.DataFrame:
    """Return a row per explained row, and per class if there are more than two."""
    import pandas as pd

    expected, margin = (beside(name, found.features) for name in ("expected_value", "margin"))
    parts = []
    for which in range(found.values.shape[2]):
        part = pd.DataFrame(found.values[:, :, which], columns=found.features)
        about = {expected: found.expected[which], margin: found.margin[:, which]}
        first = pd.DataFrame(_named(found, places, _label(which, labels), keys))
        parts.append(pd.concat([first, part, pd.DataFrame(about, index=part.index)], axis=1))
    return pd.concat(parts, ignore_index=True)


def interactions(found: Explanation, places: Matrix, labels: Sequence[str], keys: Keys | None) -> pd.DataFrame | None:
    """Return a row per explained row and feature, and per class if there are more than two; None without any."""
    import numpy as np
    import pandas as pd

    if found.interactions is None:
        return None
    count = len(found.features)
    rows = np.repeat(np.arange(len(found.interactions)), count)
    of_rows = None if keys is None else (keys[0], keys[1].iloc[rows])
    parts = []
    for which in range(found.interactions.shape[3]):
        first = _named(found, places[rows], _label(which, labels), of_rows)
        first[beside("feature", found.features)] = found.features * len(found.interactions)
        part = pd.DataFrame(found.interactions[..., which].reshape(-1, count), columns=found.features)
        parts.append(pd.concat([pd.DataFrame(first), part], axis=1))
    return pd.concat(parts, ignore_index=True)


def _label(which: int, labels: Sequence[str]) -> str | None:
    """Return the class that the values speak for: none for regression, of two classes the positive one."""
    return labels[which if len(labels) > 2 else -1] if labels else None


def _named(found: Explanation, places: Matrix, label: str | None, keys: Keys | None) -> dict[str, Any]:
    import pandas as pd

    columns: dict[str, Any] = {beside("row", found.features): places}
    if keys is not None:
        columns[key_name(keys[0], found.features)] = keys[1].reset_index(drop=True)
    columns[beside("class", found.features)] = pd.Series([label] * len(places), dtype="string")
    return columns
