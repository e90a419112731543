"""Write encoded rows as one number per feature, and back. In: encoded rows, from any library. Out: a matrix.

A feature may be several encoded columns, such as the columns of one category. Its number is the place of its values
among all that occur, so features of different rows can be mixed without knowing the encoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Mixing:
    """Codes of ``rows`` and of ``others``, both encoded; ``widths`` are the encoded columns of each feature."""

    def __init__(self, rows: Any, others: Any, widths: Sequence[int]) -> None:
        import numpy as np
        import pandas as pd

        self._columns = list(rows.columns) if isinstance(rows, pd.DataFrame) else None
        self._blocks: list[list[Any]] = []
        codes, place = [], 0
        for width in widths:
            columns = [np.concatenate([_column(part, place + i) for part in (rows, others)]) for i in range(width)]
            block, inverse = np.unique(_stacked(columns), axis=0, return_inverse=True, equal_nan=True)
            codes.append(inverse.reshape(-1).astype(np.float64))
            self._blocks.append([block[:, i].astype(column.dtype) for i, column in enumerate(columns)])
            place += width
        whole = np.column_stack(codes)
        self.rows, self.others = whole[: len(rows)], whole[len(rows) :]

    def encoded(self, codes: Any) -> Any:
        """Return the rows with these codes (n, p) as they were encoded."""
        import numpy as np
        import pandas as pd

        places = codes.astype(np.int64)
        columns = [column[places[:, i]] for i, block in enumerate(self._blocks) for column in block]
        if self._columns is None:
            return np.column_stack(columns)
        return pd.DataFrame(dict(zip(self._columns, columns, strict=True)))


def _column(part: Any, place: int) -> Any:
    return part.iloc[:, place].to_numpy() if hasattr(part, "iloc") else part[:, place]


def _stacked(columns: list[Any]) -> Any:
    """Return the columns side by side in float64, which holds the values of float32 and int32 exactly."""
    import numpy as np

    return np.column_stack([column.astype(np.float64) for column in columns])
