"""Learn a policy that a sentence describes: treat the groups of a tree of one or two splits that gain most.

The tree is the best of all trees of its depth on the learning rows (Athey and Wager 2021, "Policy learning with
observational data", Econometrica 89; exact search as in Sverdrup et al. 2020, "policytree"), with splits of numbers at
quantiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix

SPLITS = 16
"""Candidate splits of a number, at quantiles."""


class Split(Struct, frozen=True):
    """A question to a row: whether a number is at most ``bound``, or a value is a category."""

    column: str
    bound: float | None = None
    category: str | None = None

    @property
    def words(self) -> tuple[str, str]:
        """The answers yes and no, in words."""
        if self.bound is None:
            return f"{self.column} is {self.category}", f"{self.column} is not {self.category}"
        return f"{self.column} is at most {self.bound:.4g} or missing", f"{self.column} is above {self.bound:.4g}"

    def mask(self, frame: pd.DataFrame) -> Matrix:
        """Return which rows answer yes."""
        import pandas as pd

        values = frame[self.column]
        if self.bound is None:
            return (values.astype("string") == self.category).fillna(False).to_numpy(dtype=bool)
        return ~(pd.to_numeric(values, errors="coerce").to_numpy(dtype=float) > self.bound)


class Tree(Struct, frozen=True):
    """A tree. Group 2 × a + b is that of answer a (0 yes, 1 no) to the first split and b to the second."""

    first: Split
    second: tuple[Split | None, Split | None] = (None, None)

    def groups(self, frame: pd.DataFrame) -> Matrix:
        """Return the group of each row, shape (rows,)."""
        import numpy as np

        found = np.zeros(len(frame), dtype=int)
        no = ~self.first.mask(frame)
        found[no] = 2
        for side, split in enumerate(self.second):
            if split is not None:
                found += ((found >= 2) == bool(side)) & ~split.mask(frame)
        return found

    def words(self, group: int) -> str:
        """Return who is in a group."""
        side, answer = divmod(group, 2)
        split = self.second[side]
        return self.first.words[side] + (f" and {split.words[answer]}" if split is not None else "")


def candidates(frame: pd.DataFrame, features: Sequence[Mapping[str, Any]]) -> list[Split]:
    """Return all splits that a tree may have."""
    import numpy as np
    import pandas as pd

    found = []
    for feature in features:
        name = str(feature["name"])
        if feature["kind"] == "category":
            found += [Split(name, category=str(category)) for category in feature["categories"]]
            continue
        values = pd.to_numeric(frame[name], errors="coerce").dropna().to_numpy(dtype=float)
        if len(values):
            bounds = np.unique(np.quantile(values, np.arange(1, SPLITS + 1) / (SPLITS + 1)))
            found += [Split(name, bound=float(bound)) for bound in bounds]
    return found


def learn(masks: Matrix, splits: list[Split], rewards: Matrix, depth: int, fewest: int) -> Tree | None:
    """Return the tree with the largest sum of rewards of the groups whose sum is above 0. None: no group may be split.

    ``masks`` are the answers yes as 0 and 1, shape (rows, splits), and ``rewards`` what treating each row gains, shape
    (rows,). All trees are compared, by the sums over the rows that answer yes to both of two splits.
    """
    import numpy as np

    counts, sums = masks.T @ masks, (masks * rewards[:, None]).T @ masks
    rows, total = float(len(rewards)), float(rewards.sum())
    size, own = np.diag(counts), np.diag(sums)
    allowed = (size >= fewest) & (rows - size >= fewest)
    if not allowed.any():
        return None
    sides = (
        _best(counts, size[:, None] - counts, sums, own[:, None] - sums, fewest),
        _best(
            size - counts, rows - size[:, None] - size + counts, own - sums, total - own[:, None] - own + sums, fewest
        ),
    )
    whole = (np.maximum(own, 0), np.maximum(total - own, 0))
    gains = [side[0] if depth > 1 else alone for side, alone in zip(sides, whole, strict=True)]
    value = np.maximum(gains[0], whole[0]) + np.maximum(gains[1], whole[1])
    first = int(np.where(allowed, value, -np.inf).argmax())
    second = [
        splits[int(side[1][first])] if gain[first] > alone[first] else None
        for side, gain, alone in zip(sides, gains, whole, strict=True)
    ]
    return Tree(splits[first], (second[0], second[1]))


def _best(yes: Matrix, no: Matrix, gain_yes: Matrix, gain_no: Matrix, fewest: int) -> tuple[Matrix, Matrix]:
    """Return the value of the best second split for each first one, and its number, both of shape (splits,)."""
    import numpy as np

    value = np.maximum(gain_yes, 0) + np.maximum(gain_no, 0)
    value = np.where((yes >= fewest) & (no >= fewest), value, -np.inf)
    return value.max(axis=1), value.argmax(axis=1)
