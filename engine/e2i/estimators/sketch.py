"""Remember which rows a model was trained on, in a few kilobytes. In: rows. Out: a sketch, and the share of rows known.

The sketch is the smallest hashes of the training rows (a k-minimum-values sketch, Bar-Yossef et al. 2002). Rows of
another table whose hash is below the sketch's largest are in it exactly when they were trained on. A table is sketched
only when chance can hardly make two of its rows equal: when one feature has mostly different values, in the rows or,
where rows are repeated, in those that remain without repetitions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2i.estimators.folding import TEST, TRAIN

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.folding import Roles
    from e2i.estimators.schema import Schema
    from e2i.estimators.scoring import Matrix

FILE = "rows.npy"
BLOCK = 1 << 16
"""Rows that are encoded at once to be hashed: encoded rows take more memory than their hashes."""
SIZE = 4_096
"""Hashes in a sketch: 32 kB."""
DISTINCT = 0.5
"""Share of different values in one feature from which equal rows are copies, not chance."""
COMBINATIONS = 10
"""Combinations of the features' values, for each row, from which repeated rows are copies, not chance."""
SHARED_ROWS = 0.02
"""Share of judged rows that are training rows too, from which there is a warning."""
FEWEST = 3
"""Known rows from which a share is reported."""


def of(frame: pd.DataFrame, schema: Schema, labels: Matrix) -> Matrix | None:
    """Return the sketch of a table's features and labels; None when equal rows may be chance."""
    import numpy as np

    counts: list[int] = []
    for name in schema.names:
        counts.append(max(1, frame[name].nunique()))
        if counts[-1] > DISTINCT * len(frame):
            break  # one such feature decides, and counting takes longer than hashing
    most = max(counts, default=0)
    if most <= DISTINCT * len(frame) and math.prod(counts) < COMBINATIONS * len(frame):
        return None
    found: Matrix = np.unique(hashes(frame, schema.features, labels))
    return found[:SIZE] if most > DISTINCT * len(found) else None


def hashes(frame: pd.DataFrame, features: Any, labels: Matrix) -> Matrix:
    """Return one 64-bit hash for each row, from its encoded features and its label."""
    import numpy as np
    import pandas as pd

    from e2i.estimators.encoding import encode

    found = np.empty(len(frame), dtype=np.uint64)
    for start in range(0, len(frame), BLOCK):
        part = slice(start, start + BLOCK)
        matrix = encode(frame.iloc[part], features, "doubles", strict=False)
        values = pd.DataFrame(np.column_stack([matrix, labels[part]]), copy=False)
        found[part] = pd.util.hash_pandas_object(values, index=False).to_numpy()
    return found


def shares(found: Matrix, splits: Sequence[Roles]) -> list[float]:
    """Return, for each split of the hashed rows, the share of the tested ones that are trained on; 0 for too few."""
    import numpy as np

    _, codes = np.unique(found, return_inverse=True)
    known = [int(np.isin(codes[split == TEST], codes[split == TRAIN]).sum()) for split in splits]
    tested = [int((split == TEST).sum()) for split in splits]
    return [count / rows if count >= FEWEST else 0.0 for count, rows in zip(known, tested, strict=True)]


def share(sketch: Matrix | None, found: Matrix) -> float:
    """Return the share of the hashed rows that the sketch knows, as far as it can tell; 0 for too few."""
    import numpy as np

    if sketch is None or not len(sketch):
        return 0.0
    comparable = found if len(sketch) < SIZE else found[found <= sketch[-1]]
    known = int(np.isin(comparable, sketch).sum())
    return known / len(comparable) if known >= FEWEST else 0.0


def save(sketch: Matrix | None, folder: Path) -> None:
    """Write the sketch into a model's folder, if there is one."""
    import numpy as np

    if sketch is not None:
        np.save(folder / FILE, sketch, allow_pickle=False)


def load(folder: Path) -> Matrix | None:
    """Return the sketch of a saved model; None when it has none."""
    import numpy as np

    file = folder / FILE
    if not file.exists():
        return None
    found: Matrix = np.load(file, allow_pickle=False)
    return found
