"""Combine models into one. In: models, and their predictions out of fold. Out: an ensemble, or the best of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.catalog.artifacts import Model, Table
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators import ensembles, metrics, saved
from e2i.estimators.ensembles import Stacking
from e2i.tools.model import judged, out_of_fold
from e2i.tools.model.params.combining import EnsembleOutputs, EnsembleParams, Member, MemberCombination

if TYPE_CHECKING:
    from e2i.estimators.deciding import Mixture
    from e2i.tools.model.out_of_fold import Seen

WHOLE = "ensemble"
"""The name of the ensemble among those of the models."""


class Named(Struct, frozen=True):
    """A model to combine, and its predictions out of fold if there are any."""

    name: str
    model: Model
    oof: Table | None


def ensemble(params: EnsembleParams, ctx: StepContext) -> EnsembleOutputs:
    """Combine the models, compare the ensemble with each out of fold, and return the better one."""
    found = named(params)
    _check(found, params)
    first = found[0].model
    judged.refuse_ranking(first, "models are combined by their probabilities or amounts")
    how = Stacking(params.method, _metric(params, first.task), params.rounds)
    _warn(found, params, ctx)
    seen = None if any(one.oof is None for one in found) else out_of_fold.read({o.name: o for o in found}, ctx)
    mixture, figures = _mixture(params, how, found, seen)
    chosen, conclusion = _choose(figures, how.metric, params.fallback)
    model = next((one.model for one in found if one.name == chosen), None) or _keep(mixture, found, params, ctx)
    for name, value in figures.get(chosen, {}).items():
        ctx.metric(name, value)
    weights = _weights(mixture, found) if chosen == WHOLE else {one.name: float(one.name == chosen) for one in found}
    ctx.param("chosen", chosen)
    for name, value in weights.items():
        ctx.metric(f"weight_{name}", value)
    ctx.attach("model", model)
    return EnsembleOutputs(model=model, chosen=chosen, conclusion=conclusion, weights=weights, metrics=figures)


def named(params: EnsembleParams) -> list[Named]:
    """Return each model with its name: that of a mapping, the values of a matrix, or its algorithm and its place."""
    if isinstance(params.models, dict):
        return [_named(name, item) for name, item in params.models.items()]
    return [_named(_name(place, item), item) for place, item in enumerate(params.models, start=1)]


def _named(name: str, item: MemberCombination | Member | Model) -> Named:
    match item:
        case MemberCombination():
            return Named(name, item.outputs.model, item.outputs.oof)
        case Member():
            return Named(name, item.model, item.oof)
        case Model():
            return Named(name, item, None)


def _name(place: int, item: MemberCombination | Member | Model) -> str:
    match item:
        case MemberCombination():
            return "/".join(str(value) for value in item.matrix.values()) or str(place)
        case Member():
            return f"{item.model.algorithm} {place}"
        case Model():
            return f"{item.algorithm} {place}"


def _check(found: Sequence[Named], params: EnsembleParams) -> None:
    """Raise StepError for models that cannot be combined."""
    first = found[0]
    for one in found:
        mine, theirs = one.model, first.model
        if (mine.task, mine.target, mine.classes) != (theirs.task, theirs.target, theirs.classes):
            raise StepError(
                f"{one.name} predicts {_about(mine)}, {first.name} {_about(theirs)}",
                code="wrong-task",
                hint="combine models of one target with the same classes, and of two the same positive one",
            )
    if WHOLE in {one.name for one in found}:
        raise StepError(f"a model is named {WHOLE!r}, which is the ensemble's name", code="unknown-name")
    if params.method != "mean" and (bare := [one.name for one in found if one.oof is None]):
        raise StepError(
            f"method {params.method} needs predictions out of fold, and {bare[0]} has none",
            code="no-oof",
            hint="pass whole steps of model.cross_validate, as in {trees: ${{ steps.trees }}}",
        )
    names = {one.name for one in found}
    if strange := [name for name in params.weights or () if name not in names]:
        raise StepError(
            f"no model is named {strange[0]!r}", code="unknown-name", hint=f"names: {', '.join(sorted(names))}"
        )
    if params.weights is not None and (left := sorted(names.difference(params.weights))):
        raise StepError(f"{left[0]} has no weight", code="unknown-name", hint="give each model a weight, 0 for none")


def _about(model: Model) -> str:
    classes = "" if model.classes is None else f" of {', '.join(model.classes)}"
    return f"{model.target} ({model.task}{classes})"


def _metric(params: EnsembleParams, task: Any) -> str:
    default = "log_loss" if task == "classification" else "rmse"
    return metrics.choose(params.metric or default, task)


def _warn(found: Sequence[Named], params: EnsembleParams, ctx: StepContext) -> None:
    left_out = [one.name for one in found if one.model.threshold is not None or one.model.level is not None]
    if left_out:
        ctx.warn(f"thresholds and intervals of {', '.join(left_out)} are not those of the ensemble: fit its own")
    calibrated = [one.name for one in found if one.model.calibration is not None and one.oof is not None]
    if calibrated and params.method != "mean":
        ctx.warn(f"{', '.join(calibrated)} was calibrated after the predictions that it is combined by")


def _mixture(
    params: EnsembleParams, how: Stacking, found: Sequence[Named], seen: Seen | None
) -> tuple[Mixture, dict[str, dict[str, float]]]:
    """Return what combines the models, and the metrics of each and of the ensemble out of fold."""
    from e2i.estimators.deciding import combined

    task = found[0].model.task
    given = [1.0] * len(found) if params.weights is None else [params.weights[one.name] for one in found]
    if seen is None:
        return ensembles.average(given), {}
    if how.method == "mean":
        mixture = ensembles.average(given)
        judged = combined(seen.predicted, mixture)
    else:
        mixture = ensembles.fit(how, task, seen.labels, seen.predicted)
        judged = ensembles.cross_fitted(how, task, seen.labels, seen.predicted, seen.parts)
    figures = {
        one.name: metrics.evaluate(task, seen.labels, seen.predicted[:, place]) for place, one in enumerate(found)
    }
    return mixture, {**figures, WHOLE: metrics.evaluate(task, seen.labels, judged)}


def _choose(figures: dict[str, dict[str, float]], metric: str, fallback: bool) -> tuple[str, str]:
    """Return the name of what is chosen, and why."""
    if not figures:
        return WHOLE, "The models were combined without a comparison: they have no predictions out of fold."
    if absent := [name for name, values in figures.items() if metric not in values]:
        raise StepError(
            f"{metric} is not defined for {absent[0]}", code="undefined-metric", hint="set another `metric`"
        )
    sign = -1.0 if metrics.METRICS[metric].direction == "maximize" else 1.0
    best = min((name for name in figures if name != WHOLE), key=lambda name: sign * figures[name][metric])
    own, theirs = figures[WHOLE][metric], figures[best][metric]
    values = f"{metric} {own:.4g} against {theirs:.4g} of {best}, the best single model, out of fold"
    if sign * own < sign * theirs:
        return WHOLE, f"The ensemble is better: {values}."
    if not fallback:
        return WHOLE, f"The ensemble is not better: {values}. It is returned because `fallback` is false."
    return best, f"The ensemble is not better: {values}. {best} is returned."


def _keep(mixture: Mixture, found: Sequence[Named], params: EnsembleParams, ctx: StepContext) -> Model:
    members = {one.name: (Path(ctx.open(one.model)), saved.open_model(one.model, ctx)) for one in found}
    about = {"method": params.method, "members": ", ".join(members)}
    folder = Path(ctx.scratch) / "model"
    return saved.keep_ensemble(folder, ensembles.save(folder, mixture, members, about, ctx.seed), ctx)


def _weights(mixture: Mixture, found: Sequence[Named]) -> dict[str, float]:
    """Return a number for each model; none of a stack with a number for each class."""
    if mixture["method"] == "average":
        return dict(zip((one.name for one in found), mixture["weights"], strict=True))
    rows = mixture["coefficients"]
    return {} if len(rows) != len(found) else {one.name: row[0] for one, row in zip(found, rows, strict=True)}
