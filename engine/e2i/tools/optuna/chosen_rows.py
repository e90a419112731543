"""Keep the prepared rows of the last few choices of a recipe. In: choices of trials. Out: prepared rows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from e2i.estimators.fitting import Prepared

KEPT = 4
"""Choices of a recipe whose prepared rows are kept in memory."""


class ChosenRows:
    """The rows of trials, one pair for each split. Safe to use from several threads at once."""

    def __init__(self, prepare: Callable[[Mapping[str, Any]], Sequence[Prepared]]) -> None:
        self._prepare = prepare
        self._kept: dict[tuple[tuple[str, Any], ...], Sequence[Prepared]] = {}
        self._lock = threading.Lock()

    def __call__(self, choices: Mapping[str, Any]) -> Sequence[Prepared]:
        """Return the rows with these choices of the recipe, which is fitted to them unless they are kept."""
        key = tuple(sorted(choices.items()))
        with self._lock:
            found = self._kept.pop(key, None) or self._prepare(choices)
            self._kept[key] = found  # the newest last
            while len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
        return found
