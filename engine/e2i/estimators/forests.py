"""EconML's forests as arrays. In: a fitted forest. Out: the bytes of an ``.npz`` file, and the forest from them.

A tree is its nodes, and what the rows of each leaf say of the parameters. EconML's own code predicts from them, so a
loaded forest gives the very numbers of the one that was saved. ``effect_scoring.from_arrays`` reads them.
"""

from __future__ import annotations

import io
from typing import Any

from e2i.estimators.effect_scoring import STATE, WHOLE


def to_arrays(forest: Any) -> bytes:
    """Return a fitted forest of one of ``KINDS`` as the bytes of an ``.npz`` file. Equal forests give equal bytes."""
    import numpy as np

    trees = [tree.tree_ for tree in forest.estimators_]
    states = [tree.__getstate__() for tree in trees]
    arrays: dict[str, Any] = {
        "shape": np.array([getattr(forest, name) for name in WHOLE]),
        "trees": np.array([tree.__reduce__()[1] for tree in trees], dtype=np.int64),
        "depths": np.array([state["max_depth"] for state in states]),
        "counts": np.array([state["node_count"] for state in states]),
        "slices": np.array(forest.slices_),
    }
    for name in STATE:
        if all(name in state for state in states):
            arrays[name] = np.concatenate([state[name] for state in states])
    written = io.BytesIO()
    np.savez_compressed(written, allow_pickle=False, **arrays)
    return written.getvalue()
