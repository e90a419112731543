"""Apply the options of a fit to its rows. In: options, a table and its target. Out: weights, a scale and a loss."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.errors import StepError
from e2i.estimators import devices
from e2i.estimators import options as options_
from e2i.estimators.options import CODE, DeviceName, EarlyStop, ObjectiveName, Options
from e2i.estimators.rounds import EarlyStopping, WatchedMetric
from e2i.estimators.schema import Schema
from e2i.spec.suggest import hint

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix
    from e2i.estimators.targets import Transformation

Settings = dict[str, str | float | list[int]]
"""Parameters of a library, by its own names."""

SMALL, LARGE = 2.0**-6, 2.0**30
"""Standard deviations of a target below and above which boosters are trained on a multiple of it."""
FAR = 100.0
"""Distance of a target from 0, in standard deviations, from which its mean is subtracted for boosters."""


class Loss(Struct, frozen=True):
    """What a library minimises, in the units of the target that it is given.

    ``monotone`` has 1, 0 or -1 for each encoded feature; it is empty when there are no constraints.
    """

    objective: ObjectiveName = "squared"
    quantile: float = 0.5
    delta: float = 1.0
    power: float = 1.5
    monotone: tuple[int, ...] = ()
    device: DeviceName = "cpu"
    """Where the fit runs: ``cuda`` only where there is a GPU that the library can use."""


def check(algorithm: str, task: str, options: Options, params: Collection[str]) -> None:
    """Raise StepError for an option that does not go with the algorithm, the task or a hyperparameter."""
    given = {name: getattr(options, name) for name in options.__struct_fields__}
    for fault in options_.faults(algorithm, task, given):
        raise StepError(f"{fault.name}: {fault.message}", code=CODE, hint=fault.hint)
    for name, others in options_.SAME.items():
        if given[name] is not None and (twice := [other for other in others if other in params]):
            raise StepError(
                f"`{name}` and the hyperparameter `{twice[0]}` set the same", code=CODE, hint="remove one of them"
            )


def check_watched(algorithm: str, options: Options) -> None:
    """Raise StepError where the errors of rounds say little of what is learned, or are not reported."""
    if what := options_.unheard(algorithm, options.device):
        raise StepError(what, code=CODE, hint="remove `device`, or set the number of rounds")
    if what := options_.unwatchable(algorithm, options.objective, options.quantile):
        raise StepError(
            f"rounds are judged by rmse or mae, which do not fit {what}",
            code=CODE,
            hint="set the number of rounds in `params`, without early stopping or a pruner",
        )


def watch(stop: EarlyStop | None, task: str, loss: Loss) -> EarlyStopping | None:
    """Return what stops one fit early, by the metric of rounds that is nearest to what is learned; None for none."""
    if stop is None:
        return None
    nearest: WatchedMetric = "mae" if loss.objective in ("absolute", "quantile") else "rmse"
    of_task: dict[str, WatchedMetric] = {"classification": "log_loss", "ranking": "ndcg"}
    return EarlyStopping(stop.metric or of_task.get(task, nearest), stop.rounds)


def row_weights(frame: pd.DataFrame, options: Options, labels: Matrix, classes: Sequence[Any] | None) -> Matrix | None:
    """Return the weight of each row, (n,) float64; None when all are alike. Raises StepError for unusable weights."""
    import numpy as np

    found: Matrix | None = None
    if options.weights is not None:
        found = _column(frame, options.weights)
    if options.class_weight is None or classes is None:
        return found
    counts = np.bincount(labels, minlength=len(classes))
    if isinstance(options.class_weight, str):
        shares = len(labels) / (len(classes) * np.maximum(counts, 1))
    else:
        texts = [_text(label) for label in classes]
        if strange := [name for name in options.class_weight if name not in texts]:
            raise StepError(
                f"class_weight: {strange[0]!r} is not a class of the target",
                code="unknown-class",
                hint=hint(strange[0], texts, most=20),
            )
        shares = np.array([options.class_weight.get(text, 1.0) for text in texts])
    weighed: Matrix = shares[labels]
    return weighed if found is None else found * weighed


def transformation(options: Options, labels: Matrix, target: str) -> Transformation | None:
    """Return the transformation of the target, fitted to the training rows; None without one. Raises StepError."""
    if options.is_log and (labels.min() < 0 or not labels.any()):
        raise StepError(
            f"objective {options.objective} needs a target of numbers from 0 up, some above 0; the least value of "
            f"{target!r} is {labels.min():g}",
            code="bad-target",
            hint="choose another objective",
        )
    if options.target_transform is None:
        return None
    low, high = float(labels.min()), float(labels.max())
    if options.target_transform == "log1p":
        if low <= -1:
            raise StepError(
                f"log1p needs a target above -1; the least value of {target!r} is {low:g}",
                code="bad-target",
                hint="use yeo_johnson, which takes all numbers",
            )
        return {"name": "log1p", "power": 0.0, "low": low, "high": high}
    from sklearn.preprocessing import PowerTransformer

    if low == high:
        raise StepError(f"all values of {target!r} are {low:g}, so none is most normal", code="bad-target")
    fitted = PowerTransformer("yeo-johnson", standardize=False).fit(labels.reshape(-1, 1))
    return {"name": "yeo_johnson", "power": float(fitted.lambdas_[0]), "low": low, "high": high}


def loss(algorithm: str, options: Options, schema: Schema, scale: float) -> Loss:
    """Return the loss on a target that is divided by ``scale``. Raises StepError for a constraint of no number."""
    return Loss(
        "rank" if schema.task == "ranking" else options.objective or options_.default(algorithm),
        options.quantile,
        options.huber_delta / scale,
        options.tweedie_power,
        _constraints(options, schema),
        devices.usable(algorithm, options.device).device,
    )


def standard(labels: Matrix) -> tuple[float, float]:
    """Return a center and a scale for a target that boosters cannot learn as it is; 0 and 1 for any other.

    Boosters compute in 32 bits, so values that hardly differ are one value to them. XGBoost takes errors whose squares
    are below 1e-6 for rounding. The scale is a power of two, which divides exactly.
    """
    spread, middle = float(labels.std()), float(labels.mean())
    if not 0.0 < spread < math.inf:
        return 0.0, 1.0
    center = float(round(middle)) if abs(middle) > FAR * spread else 0.0
    is_odd = spread < SMALL or spread > LARGE
    return center, 2.0 ** math.floor(math.log2(spread)) if is_odd or center else 1.0


def constant(objective: ObjectiveName, quantile: float, labels: Matrix, classes: Sequence[Any] | None) -> Matrix:
    """Return the best constant answer to these labels: shares of classes, a quantile for such a loss, or the mean."""
    import numpy as np

    if classes is not None:
        return np.bincount(labels, minlength=len(classes)) / len(labels)
    if objective in ("absolute", "quantile"):
        return np.array([np.quantile(labels, quantile if objective == "quantile" else 0.5)])
    return np.array([labels.mean()])


def _constraints(options: Options, schema: Schema) -> tuple[int, ...]:
    if options.monotone is None:
        return ()
    numbers = [feature["name"] for feature in schema.features if feature["kind"] == "number"]
    for name in options.monotone:
        if name not in numbers:
            what = "a category" if name in schema.names else "not among the features"
            raise StepError(f"monotone: {name!r} is {what}", code="bad-features", hint=hint(name, numbers, most=20))
    if schema.shape == "multiclass":
        raise StepError("monotone: a target of more than two classes has no order", code=CODE, hint="remove `monotone`")
    return tuple(options.monotone.get(name, 0) for name in schema.names)


def _column(frame: pd.DataFrame, name: str) -> Matrix:
    import numpy as np
    import pandas as pd

    if name not in frame.columns:
        raise StepError(
            f"the table has no column {name!r} of weights",
            code="unknown-column",
            hint=hint(name, list(map(str, frame.columns)), most=40),
        )
    column = frame[name]
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        raise StepError(f"the weights {name!r} are {column.dtype}, not numbers", code="bad-column")
    found: Matrix = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if not np.isfinite(found).all() or (found < 0).any() or not found.any():
        wrong = "missing or infinite" if not np.isfinite(found).all() else "negative" if (found < 0).any() else "all 0"
        raise StepError(f"the weights {name!r} are {wrong}", code="bad-column", hint="weights are numbers from 0 up")
    return found


def _text(label: Any) -> str:
    """Return a class as a key of a spec's mapping: true and false as in YAML."""
    return str(label).lower() if isinstance(label, bool) else str(label)
