"""Mistakes in how a model is judged: slices, metrics, limits, held-out rows. In: good specs. Out: mutants."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from mutation.good import Good
from mutation.mutant import Mutants, mutant
from mutation.sites import Path, Site

SLICED = {"model.evaluate": "by", "model.fairness": "by", "model.errors": "columns"}
OTHER = {"roc_auc": "r2", "log_loss": "mae", "brier": "rmse", "rmse": "brier", "mae": "log_loss", "r2": "accuracy"}
"""A metric of one task → one of the other, with the same direction."""


def slice_by_target(good: Good, rng: Random) -> Mutants:
    """A slice for each value of the target."""
    targets = {good.value(site.path) for site in good.matching("steps", "*", "with", "target")}
    for site, _ in _slices(good) if targets == {"target"} else ():
        yield mutant(good, [(site.start, site.end, "target")], (site.start, site.start), codes="bad-slice")


def slice_twice(good: Good, rng: Random) -> Mutants:
    """A column of slices that is listed twice."""
    for site, index in _slices(good):
        if index:
            first = good.value((*site.path[:-1], 0))
            yield mutant(good, [(site.start, site.end, first)], (site.start, site.start), codes="bad-slice")


def metric_of_the_other_task(good: Good, rng: Random) -> Mutants:
    """A metric that the task of the model does not have."""
    for _, path in _judged(good, "model.compare", "model.errors", "model.learning_curve"):
        for site in good.matching(*path, "with", "metric"):
            if (other := OTHER.get(good.value(site.path))) is not None:
                yield mutant(good, [(site.start, site.end, other)], (site.start, site.start), codes="wrong-metric")


def limit_of_the_other_task(good: Good, rng: Random) -> Mutants:
    """A limit for a metric, or a disparity, that the task of the model does not have."""
    for _, path in _judged(good, "model.evaluate", "model.fairness"):
        for limits in ("at_least", "at_most"):
            for site in good.matching(*path, "with", limits, "*"):
                key = str(site.path[-1])
                other = OTHER.get(key) or ("mae_difference" if key.endswith("_difference") else None)
                if site.key and other and _is_known(good, path):
                    span = (site.key[0], site.key[1])
                    yield mutant(good, [(*span, other)], span, codes="wrong-metric")


def falling_shares(good: Good, rng: Random) -> Mutants:
    """Shares of a learning curve that do not rise."""
    for _, path in _judged(good, "model.learning_curve"):
        for site in good.matching(*path, "with", "shares"):
            yield mutant(good, [(site.start, site.end, "[1.0, 0.1]")], (site.start, site.end), codes="bad-shares")


def held_out_training(good: Good, rng: Random) -> Mutants:
    """A learning curve that is judged on the rows that it is trained on."""
    for _, path in _judged(good, "model.learning_curve"):
        for site in good.matching(*path, "with", "held_out"):
            table = good.sites[(*path, "with", "table")]
            edit = (site.start, site.end, good.text[table.start : table.end])
            yield mutant(good, [edit], (site.start, site.end), codes="trained-on")


def _judged(good: Good, *actions: str) -> Iterator[tuple[str, Path]]:
    return ((name, path) for name, path in good.steps.items() if good.uses(name) in actions)


def _slices(good: Good) -> Iterator[tuple[Site, int]]:
    """Where a column of slices is named, of a model whose target is known, and its place in the list."""
    for name, path in _judged(good, *SLICED):
        for site in good.matching(*path, "with", SLICED[good.uses(name)], "*"):
            if _is_known(good, path):
                yield site, int(site.path[-1])


def _is_known(good: Good, path: Path) -> bool:
    """Whether the model is that of one step: which of two is chosen, a plan does not know."""
    return " if " not in str(good.value((*path, "with", "model")))
