"""Fit LightGBM boosters. In: encoded rows and parameters. Out: the model and its file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from msgspec import Struct

from e2i.documents import JsonObject
from e2i.errors import StepError
from e2i.estimators.algorithm import Hyperparameters
from e2i.estimators.learning import Loss, Settings
from e2i.estimators.library import Encoded
from e2i.estimators.rounds import Watch, WatchedMetric
from e2i.estimators.schema import Schema

FILE = "model.txt"

_LOSSES = {"squared": "regression", "absolute": "regression_l1", "rank": "lambdarank"}
"""Losses of other names than the objectives."""


WHOLE = 1_000_000
"""Places of a query that are judged round by round: all."""


class Rows(Struct, frozen=True, eq=False):
    """Encoded rows. LightGBM changes a Dataset during training, so each fit bins its own (milliseconds)."""

    train: Encoded
    validation: Encoded | None
    sizes: Any = None
    """Rows of each query of a ranking, in order."""
    held_sizes: Any = None


def prepare(schema: Schema, train: Encoded, validation: Encoded | None, threads: int) -> Rows:
    """Return the encoded rows: nothing else can be shared safely."""
    if schema.shape != "ranking":
        return Rows(train, validation)
    rows, sizes = train.by_query()
    held_out, held_sizes = (None, None) if validation is None else validation.by_query()
    return Rows(rows, held_out, sizes, held_sizes)


def fit(
    algorithm: str,
    schema: Schema,
    data: Rows,
    params: Hyperparameters,
    loss: Loss,
    *,
    seed: int,
    threads: int,
    watch: Watch | None,
) -> Any:
    """Fit a booster. ``n_estimators`` (100 by default) is the number of rounds; ``subsample`` applies in each."""
    import lightgbm

    settings = {
        **_objective(schema, loss),
        "seed": seed,
        "num_threads": threads,
        "verbosity": -1,
        "deterministic": True,
        "force_col_wise": True,
        "subsample_freq": 1,
        "device_type": loss.device,
        "metric": "none" if watch is None else metric_name(watch.metric, schema.shape),
        **{name: value for name, value in params.items() if value is not None},
    }
    if schema.shape == "multiclass":
        settings["num_class"] = len(schema.classes or ())
    rounds = int(params.get("n_estimators") or 100)
    settings.pop("n_estimators", None)
    binning = {"num_threads": threads, "verbosity": -1}
    try:
        train = lightgbm.Dataset(
            data.train.matrix,
            data.train.labels,
            weight=data.train.weights,
            group=data.sizes,
            categorical_feature=schema.categorical,
            params=binning,
        )
        watching: JsonObject = {}
        if watch is not None and data.validation is not None:
            held_out = train.create_valid(data.validation.matrix, data.validation.labels, group=data.held_sizes)
            watching = {"valid_sets": [held_out], "valid_names": ["validation"], "callbacks": [callback(watch)]}
        model = lightgbm.train(settings, train, rounds, **watching)
    except (lightgbm.basic.LightGBMError, ValueError, TypeError) as error:
        raise StepError(f"LightGBM: {error}", code="fit-failed") from error
    if watch is not None and watch.keep is not None:
        model.best_iteration = watch.keep  # also when the rounds ran out before the patience did
    return model


def _objective(schema: Schema, loss: Loss) -> Settings:
    found: Settings = {"objective": _LOSSES.get(loss.objective, loss.objective)}
    if schema.classes is not None:
        found["objective"] = schema.shape
    if schema.shape == "ranking":
        found["eval_at"] = [WHOLE]
    match loss.objective:
        case "huber":
            found["alpha"] = loss.delta
        case "tweedie":
            found["tweedie_variance_power"] = loss.power
        case "quantile":
            found["alpha"] = loss.quantile
    if loss.monotone:
        found["monotone_constraints"] = list(loss.monotone)
    return found


def save(native: Any, path: Path) -> None:
    """Write LightGBM's own text, with the rounds kept by early stopping, without the number of threads."""
    text = native.model_to_string(num_iteration=native.best_iteration)
    path.write_text(re.sub(r"(?m)^\[num_threads: \d+\]$", "[num_threads: 0]", text), encoding="utf-8")


def metric_name(metric: WatchedMetric, shape: str) -> str:
    """Return LightGBM's name of a metric."""
    log_loss = "multi_logloss" if shape == "multiclass" else "binary_logloss"
    return {"log_loss": log_loss, "roc_auc": "auc", "rmse": "rmse", "mae": "l1", "ndcg": "ndcg"}[metric]


def callback(watch: Watch) -> Any:
    """Return LightGBM's callback that asks ``watch`` after each round. It needs one validation set and one metric."""
    from lightgbm.callback import EarlyStopException

    def watching(env: Any) -> None:
        if watch.stop(env.iteration, float(env.evaluation_result_list[0][2])):
            raise EarlyStopException(env.iteration, env.evaluation_result_list)

    return watching
