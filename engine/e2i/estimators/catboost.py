"""Fit CatBoost models. In: encoded rows and parameters. Out: the model and its file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, assert_never

from msgspec import Struct

from e2i.documents import JsonObject
from e2i.errors import StepError
from e2i.estimators.algorithm import Hyperparameters
from e2i.estimators.learning import Loss
from e2i.estimators.library import Encoded
from e2i.estimators.rounds import Watch, WatchedMetric
from e2i.estimators.schema import Schema

FILE = "model.cbm"

_OBJECTIVES = {"binary": "Logloss", "multiclass": "MultiClass"}


NDCG = "NDCG:type=Exp"


class Pools(Struct, frozen=True, eq=False):
    """Rows as CatBoost reads them. A fit quantises its own copy, so several threads can share them."""

    train: Any
    validation: Any | None


def prepare(schema: Schema, train: Encoded, validation: Encoded | None, threads: int) -> Pools:
    """Build the pools once."""
    import catboost

    def pool(rows: Encoded) -> Any:
        about = {"cat_features": schema.categorical, "thread_count": threads}
        if schema.shape == "ranking":
            rows = rows.by_query()[0]
            about["group_id"] = rows.groups
        return catboost.Pool(rows.matrix, rows.labels, weight=rows.weights, **about)

    try:
        return Pools(pool(train), validation and pool(validation))
    except catboost.CatBoostError as error:
        raise StepError(f"CatBoost refuses the data: {error}", code="bad-features") from error


def fit(
    algorithm: str,
    schema: Schema,
    data: Pools,
    params: Hyperparameters,
    loss: Loss,
    *,
    seed: int,
    threads: int,
    watch: Watch | None,
) -> Any:
    """Fit a CatBoost model. ``iterations`` (100 by default) is the number of rounds."""
    import catboost

    settings = {
        "iterations": 100,
        "loss_function": _OBJECTIVES.get(schema.shape) or _loss(loss),
        **({"monotone_constraints": list(loss.monotone)} if loss.monotone else {}),
        "random_seed": seed,
        "thread_count": threads,
        **({"task_type": "GPU"} if loss.device == "cuda" else {}),
        "allow_writing_files": False,
        "logging_level": "Silent",
        **{name: value for name, value in params.items() if value is not None},
    }
    watching: JsonObject = {}
    if watch is not None:
        settings |= {"eval_metric": metric_name(watch.metric, schema.shape), "use_best_model": False}
        watching = {"eval_set": data.validation, "callbacks": [Watching(watch)]}
    try:
        model = catboost.CatBoost(settings).fit(data.train, **watching)
        if watch is not None and watch.keep is not None and watch.keep < model.tree_count_:
            model.shrink(watch.keep)
    except catboost.CatBoostError as error:
        raise StepError(f"CatBoost: {error}", code="fit-failed") from error
    return model


def _loss(loss: Loss) -> str:
    """Return CatBoost's name of a loss for numbers, with its parameter in the shortest exact form."""
    match loss.objective:
        case "squared":
            return "RMSE"
        case "absolute":
            return "MAE"
        case "huber":
            return f"Huber:delta={loss.delta!r}"
        case "poisson":
            return "Poisson"
        case "tweedie":
            return f"Tweedie:variance_power={loss.power!r}"
        case "quantile":
            return f"Quantile:alpha={loss.quantile!r}"
        case "rank":
            return "YetiRank"
        case _:
            assert_never(loss.objective)


def save(native: Any, path: Path) -> None:
    """Write CatBoost's own binary file without what differs between equal fits: time, random id, number of threads, and
    the metrics of the rounds, whose last digits depend on the number of threads.
    """
    about = native.get_metadata()
    about["train_finish_time"] = about["model_guid"] = ""
    about["training"] = "{}"
    about["params"] = re.sub(r'"thread_count":\d+', '"thread_count":1', about["params"])
    native.save_model(str(path))


def metric_name(metric: WatchedMetric, shape: str) -> str:
    """Return CatBoost's name of a metric."""
    log_loss = "MultiClass" if shape == "multiclass" else "Logloss"
    return {"log_loss": log_loss, "roc_auc": "AUC", "rmse": "RMSE", "mae": "MAE", "ndcg": NDCG}[metric]


class Watching:
    """Implement CatBoost's callback; return True to continue."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def after_iteration(self, info: Any) -> bool:
        name = self.watch.metric
        values = info.metrics["validation"]
        key = {"roc_auc": "AUC", "rmse": "RMSE", "mae": "MAE", "ndcg": NDCG}.get(name) or next(
            found for found in values if found in ("Logloss", "MultiClass")
        )
        return not self.watch.stop(info.iteration - 1, float(values[key][-1]))
