"""Fit intervals between two models of quantiles. In: the models and held-out rows. Out: scores, and a model with both.

Conformalised quantile regression (Romano, Patterson and Candès 2019): the quantile of how far the truth is outside of
the two predictions is added at both ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from e2i.catalog.artifacts import Model
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators import conformal, saved
from e2i.tools.model import evaluation
from e2i.tools.model.params.after_training import ConformalParams

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.deciding import Conformal
    from e2i.estimators.manifest import Manifest
    from e2i.estimators.scoring import Matrix, Scorer


class End(Struct, frozen=True, eq=False):
    """A model whose predictions are one end of the intervals, before they are widened."""

    model: Model
    scorer: Scorer


Ends = Mapping[str, End]
"""``lower`` and ``upper``; empty for intervals around the prediction."""


def open_ends(params: ConformalParams, frame: pd.DataFrame, features: list[str], ctx: StepContext) -> Ends:
    """Return the two models of the method cqr. Raises StepError when they do not fit to the model."""
    if params.lower is None or params.upper is None:
        return {}
    found = {name: End(model, saved.open_model(model, ctx)) for name, model in _named(params.lower, params.upper)}
    for name, end in found.items():
        if "classification" in (end.model.task, params.model.task) or end.model.target != params.model.target:
            raise StepError(
                f"`{name}` is a model of {end.model.task} of {end.model.target!r}, and the model one of "
                f"{params.model.task} of {params.model.target!r}",
                code="wrong-task",
                hint="train both for regression of one target",
            )
        if more := [feature for feature in end.scorer.features if feature not in features]:
            raise StepError(
                f"`{name}` needs features that the model does not have: {', '.join(more[:10])}",
                code="bad-feature",
                hint="train both on the same features",
            )
        for warning in evaluation.trained_on(end.model, end.scorer, frame, ctx):
            ctx.warn(f"{name}: {warning}")
    return found


def scores(ends: Ends, labels: Matrix, frame: pd.DataFrame) -> Matrix:
    """Return the score of each row, (n,). Raises StepError when the lower model mostly predicts more than the upper."""
    lower, upper = (saved.predict(ends[name].scorer, frame) for name in ("lower", "upper"))
    if (lower > upper).mean() > 0.5:
        raise StepError(
            f"`lower` predicts more than `upper` for {(lower > upper).mean():.0%} of the rows",
            code="wrong-order",
            hint="exchange them, or train them on quantiles such as 0.05 and 0.95",
        )
    return conformal.outside(labels, lower, upper)


def keep(model: Model, manifest: Manifest, fitted: Conformal, ends: Ends, ctx: StepContext) -> Model:
    """Save the model with its intervals and, if there are any, the models of their ends."""
    if not ends:
        return saved.keep_changed(model, {**manifest, "conformal": fitted}, ctx)
    needed = [manifest["requirements"], *(end.scorer.manifest["requirements"] for end in ends.values())]
    requirements = list(dict.fromkeys(one for several in needed for one in several))
    changed: Manifest = {**manifest, "conformal": {**fitted, "method": "cqr"}, "requirements": requirements}
    return saved.keep_changed(model, changed, ctx, {name: end.model for name, end in ends.items()})


def _named(lower: Model, upper: Model) -> tuple[tuple[str, Model], ...]:
    return (("lower", lower), ("upper", upper))
