"""Derive the outputs of the actions that follow training. In: known parameters. Out: the model, and problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from msgspec.structs import replace

from e2i.catalog.columns import ColumnProblem, Flow, Given, KnownKeys, KnownModel, KnownTable, absent
from e2i.catalog.files import Files
from e2i.estimators import columns
from e2i.spec.problems import Code
from e2i.spec.suggest import few
from e2i.tools.model.params.after_training import Limited

ENDS = ("lower", "upper")
SLACK = 1e-9


def calibrate(given: Given, files: Files) -> Flow:
    """Return the calibrated model. It is calibrated once, before its threshold and intervals."""
    model = given["model"] if isinstance(given["model"], KnownModel) else KnownModel()
    problems = [*columns.uses(given, target=True, judges=False), *_of_classes(model, "probabilities are calibrated")]
    if model.calibrated or model.threshold or model.level:
        what = "is calibrated already" if model.calibrated else "has a threshold or intervals already"
        hint = "calibrate once, before model.threshold and model.conformal: take the model of the training step"
        problems.append(ColumnProblem(("model",), "calibrated-late", f"the model {what}", hint=hint))
    found = replace(_with_rows(model, given["table"]), calibrated=True)
    names = tuple(f"{when}_{name}" for when in ("before", "after") for name in ("ece", "brier", "log_loss"))
    return Flow({"model": found, "metrics": KnownKeys(names)}, problems)


def threshold(given: Given, files: Files) -> Flow:
    """Return the model with its threshold, and columns of costs that the table lacks."""
    model = given["model"] if isinstance(given["model"], KnownModel) else KnownModel()
    problems = [*columns.uses(given, target=True, judges=False), *_of_classes(model, "a threshold is chosen")]
    if model.binary is False:
        message = "the model has more than two classes, and a threshold decides between two"
        problems.append(ColumnProblem(("model",), "wrong-task", message, hint="join classes before training"))
    problems += cost_columns(given)
    names = [*get_args(Limited), *(["cost"] if given.get("costs") is not None else [])]
    keys = KnownKeys((*names, *(f"half_{name}" for name in names)))
    return Flow({"model": replace(_with_rows(model, given["table"]), threshold=True), "metrics": keys}, problems)


def conformal(given: Given, files: Files) -> Flow:
    """Return the model with its intervals. Their groups are values of a feature, which every user of the model has."""
    model = given["model"] if isinstance(given["model"], KnownModel) else KnownModel()
    level, by = given.get("level"), given.get("by")
    problems = [*columns.uses(given, target=True, judges=False), *absent(given["table"], ("by",), by)]
    if model.task == "ranking":
        message = "intervals are of classes or amounts, and this is a model of ranking, whose scores only order rows"
        problems.append(ColumnProblem(("model",), "wrong-task", message, hint="judge it by model.evaluate"))
    if model.calibrated:
        problems += columns.fitted_to(given["table"], model, "warning")
    if isinstance(by, str) and model.features is not None and by not in model.features and not problems:
        message = f'"{by}" is not a feature of the model, and a service or MLflow would not have it'
        problems.append(ColumnProblem(("by",), "bad-group", message, by, model.features))
    problems += _of_quantiles(given)
    for name in ENDS:
        if isinstance(end := given.get(name), KnownModel):
            problems += _end(given, name, end, model)
            model = replace(model, fitted_on=(*model.fitted_on, *end.known_rows))
    found = replace(_with_rows(model, given["table"]), level=level if isinstance(level, float | int) else True)
    return Flow({"model": found}, problems)


def _end(given: Given, name: str, end: KnownModel, model: KnownModel) -> Iterator[ColumnProblem]:
    """Yield problems of a model that intervals lie above or below: it must answer what the model answers, from less."""
    if end.task == "classification" or model.task == "classification":
        yield ColumnProblem((name,), "wrong-task", "cqr is for numbers, and this is a model of classes")
    elif None not in (end.target, model.target) and end.target != model.target:
        message = f'the target of `{name}` is "{end.target}", and that of the model "{model.target}"'
        yield ColumnProblem((name,), "wrong-task", message, hint="train both on one target")
    elif model.features is not None and (more := [one for one in end.features or () if one not in model.features]):
        message = f"`{name}` needs features that the model does not have: {few(more)}"
        yield ColumnProblem((name,), "bad-feature", message, hint="train both on the same features")
    for rows in end.known_rows:
        yield from columns.seen(given["table"], ("table",), rows)


def _of_quantiles(given: Given) -> Iterator[ColumnProblem]:
    """Yield problems of two ends that are no models of quantiles, in order, which have the level between them."""
    known = {name: given.get(name) for name in ENDS}
    found = {
        name: model.quantile
        for name, model in known.items()
        if isinstance(model, KnownModel) and model.task != "classification"
    }
    for name, quantile in found.items():
        if quantile is False:
            message = f"`{name}` predicts no quantile, so that intervals would be as wide where the truth varies less"
            hint = "train it with `objective: quantile` and `quantiles`"
            yield ColumnProblem((name,), "wrong-quantile", message, hint=hint, severity="warning")
    low, high, level = found.get("lower"), found.get("upper"), given.get("level")
    if isinstance(low, bool | None) or isinstance(high, bool | None):
        return
    if low > high:
        message = f"`lower` is a model of the quantile {low:g}, and `upper` one of {high:g}"
        yield ColumnProblem(("lower",), "wrong-order", message, hint="exchange them")
    elif isinstance(level, int | float) and abs(high - low - level) > SLACK:
        message = f"the quantiles {low:g} and {high:g} have {high - low:.0%} of the rows between them, not {level:.0%}"
        share = (1 - level) / 2
        hint = f"train them with `quantiles: [{share:.4g}]` and `[{1 - share:.4g}]`, or set `level: {high - low:.4g}`"
        yield ColumnProblem(("level",), "wrong-quantile", message, hint=hint, severity="warning")


def _with_rows(model: KnownModel, table: Any) -> KnownModel:
    """Return the model with rows that something of it is fitted to."""
    rows = (table.rows,) if isinstance(table, KnownTable) else ()
    return replace(model, fitted_on=(*model.fitted_on, *rows))


def _of_classes(model: KnownModel, what: str) -> Iterator[ColumnProblem]:
    if model.task in ("regression", "ranking"):
        yield ColumnProblem(("model",), "wrong-task", f"{what} for classes, and this is a model of {model.task}")


def cost_columns(given: Given) -> Iterator[ColumnProblem]:
    """Yield a problem for each cost that is no number, and no column of numbers."""
    table, costs = given["table"], given.get("costs")
    for name, cost in costs.items() if isinstance(costs, Mapping) else ():
        if not isinstance(cost, str):
            continue
        yield from absent(table, ("costs", name), cost)
        if isinstance(table, KnownTable) and table.columns.get(cost) in ("string", "large_string"):
            message = f'"{cost}" is a column of texts, and costs are numbers'
            yield ColumnProblem(("costs", name), "not-a-number", message)


def without_intervals(given: Given) -> Iterator[ColumnProblem]:
    """Yield a problem when intervals are requested of a model that has none."""
    model = given["model"]
    if given.get("intervals") is not True or not isinstance(model, KnownModel):
        return
    if model.task == "effect":
        message = "an effect model has the intervals of its estimation, without `intervals`"
        yield ColumnProblem(("intervals",), "no-intervals", message, take_out=True)
    elif model.level is False:
        hint = "fit them with model.conformal on held-out rows, and predict with its model"
        yield ColumnProblem(("intervals",), "no-intervals", "the model has no intervals", hint=hint)


_STEPS = """steps:
  data: {uses: dataset.hcp}
  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: entity, by: hcp_id}}
  train:
    uses: model.train
    with: {table: "${{ steps.split.train }}", target: target, features: [brand, region, call_frequency]}
"""
_CALIBRATED = (
    _STEPS
    + """  calibrate:
    uses: model.calibrate
    with: {model: "${{ steps.train.model }}", table: "${{ steps.split.validation }}"}
  again:
    uses: model.calibrate
    with: {model: "${{ steps."""
)
_PREDICTED = (
    _STEPS
    + """  conformal:
    uses: model.conformal
    with: {model: "${{ steps.train.model }}", table: "${{ steps.split.validation }}"}
  predict:
    uses: model.predict
    with: {table: "${{ steps.split.test }}", intervals: true, model: "${{ steps."""
)
_CQR = (
    _STEPS.replace(
        "target: target, features: [brand, region, call_frequency]", "target: call_frequency, features: [brand]"
    )
    + """  low:
    uses: model.train
    with:
      table: ${{ steps.split.train }}
      target: call_frequency
      features: [brand]
      objective: quantile
      quantiles: [0.1]
  high:
    uses: model.train
    with:
      table: ${{ steps.split.train }}
      target: call_frequency
      features: [brand]
      objective: quantile
      quantiles: [0.9]
  conformal:
    uses: model.conformal
    with:
      model: ${{ steps.train.model }}
      table: ${{ steps.split.validation }}
      method: cqr
      lower: ${{ steps.low.model }}
      upper: ${{ steps.high.model }}
"""
)
CODES = (
    Code(
        "wrong-quantile",
        "Ends of intervals that are not the quantiles of the level",
        "Intervals of `method: cqr` lie between two models of quantiles. They hold their level in any case, because "
        "they are widened, but they adapt to the row only as far as the two models do.",
        "Train both with `objective: quantile`, for a level of 0.9 of the quantiles 0.05 and 0.95.",
        _CQR + "      level: 0.9\n",
        _CQR + "      level: 0.8\n",
    ),
    Code(
        "calibrated-late",
        "A model that is calibrated twice, or after its threshold or intervals",
        "A calibration replaces the probabilities. A threshold and intervals hold for the probabilities that they were "
        "fitted to, and a second calibration would be one of probabilities that are calibrated already.",
        "Calibrate the model of the training step, once, before `model.threshold` and `model.conformal`.",
        _CALIBRATED + 'calibrate.model }}", table: "${{ steps.split.validation }}", method: isotonic}\n',
        _CALIBRATED + 'train.model }}", table: "${{ steps.split.validation }}", method: isotonic}\n',
    ),
    Code(
        "no-intervals",
        "Intervals of a model that has none",
        "`model.conformal` fits the intervals of a model, or its sets of classes, to rows that it was not trained on.",
        "Predict with the model of a `model.conformal` step.",
        _PREDICTED + 'train.model }}"}\n',
        _PREDICTED + 'conformal.model }}"}\n',
    ),
)
