"""EconML's forests as arrays. In: a fitted forest. Out: the bytes of an ``.npz`` file, and the forest from them.

A tree is its nodes, and what the rows of each leaf say of the parameters. EconML's own code predicts from them, so a
loaded forest gives the very numbers of the one that was saved. Nothing is unpickled: numpy refuses objects.
"""

from __future__ import annotations

import io
from typing import Any

KINDS = ("CausalForest", "RegressionForest")
STATE = ("nodes", "values", "jac", "precond")
WHOLE = ("n_features_", "n_y_", "n_outputs_", "n_relevant_outputs_")


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


def from_arrays(content: bytes, kind: str) -> Any:
    """Return the forest that ``to_arrays`` wrote. Raises ValueError for content or a kind that it did not write."""
    import econml.grf
    import numpy as np
    from econml.grf._base_grftree import GRFTree
    from econml.tree._tree import Tree

    if kind not in KINDS:
        raise ValueError(f"{kind!r} is not a kind of forest")
    forest = getattr(econml.grf, kind)()
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    for name, value in zip(WHOLE, found["shape"].tolist(), strict=True):
        setattr(forest, name, value)
    ends = np.cumsum(found["counts"])
    trees = []
    for number, end in enumerate(ends):
        rows = slice(end - found["counts"][number], end)
        tree = Tree(*(int(value) for value in found["trees"][number][:3]), bool(found["trees"][number][3]))
        state = {name: np.ascontiguousarray(found[name][rows]) for name in STATE if name in found}
        tree.__setstate__(
            {"max_depth": int(found["depths"][number]), "node_count": int(found["counts"][number]), **state}
        )
        shell = GRFTree()
        shell.tree_ = tree
        for name in WHOLE:
            setattr(shell, "n_features_in_" if name == "n_features_" else name, getattr(forest, name))
        trees.append(shell)
    forest.estimators_ = trees
    forest.slices_ = list(found["slices"])
    forest.inference_ = forest.inference = True
    forest.n_jobs = 1  # sums of threads keep no order
    return forest
