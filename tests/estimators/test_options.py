"""Weights, losses, transformations of the target and constraints: equal to the libraries' own classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn import dummy, ensemble, linear_model
from sklearn.compose import TransformedTargetRegressor
from sklearn.preprocessing import PowerTransformer

from e2i.errors import StepError
from e2i.estimators import devices, encoding, fitting, options, scoring, targets
from e2i.estimators.options import OBJECTIVES, Options
from e2i.estimators.rounds import EarlyStopping

FEATURES = ["x", "z"]
ROUNDS: dict[str, Any] = {"n_estimators": 15}
SIZES: dict[str, Any] = {"CatBoost": {"iterations": 15}, "HistGradientBoosting": {"max_iter": 15}, "Dummy": {}}
SIZES["QuantileLinear"] = {}


def rows(count: int = 300, seed: int = 0) -> pd.DataFrame:
    r = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": r.normal(size=count).round(3), "z": r.normal(size=count).round(3)})
    rate = np.exp(0.5 + 0.6 * frame["x"] - 0.3 * frame["z"])
    frame["y"] = np.asarray(r.poisson(rate) * r.uniform(0.5, 1.5, count)).round(3)
    frame["high"] = (rate + r.normal(size=count) > 2).astype(int)
    frame["w"] = r.uniform(0.1, 4, count).round(2)
    return frame


def model(algorithm: str, target: str = "y", params: Any = None, frame: Any = None, **chosen: Any) -> fitting.Fitted:
    frame = rows() if frame is None else frame
    about = {"features": FEATURES, "options": Options(**chosen)}
    prepared = fitting.prepare(frame, None, target, algorithm, **about)
    return fitting.fit(prepared, SIZES.get(algorithm, ROUNDS) if params is None else params, seed=3, threads=1)


XGB = {
    "squared": {"objective": "reg:squarederror"},
    "absolute": {"objective": "reg:absoluteerror"},
    "huber": {"objective": "reg:pseudohubererror", "huber_slope": 2.0},
    "poisson": {"objective": "count:poisson"},
    "tweedie": {"objective": "reg:tweedie", "tweedie_variance_power": 1.3},
    "quantile": {"objective": "reg:quantileerror", "quantile_alpha": 0.8},
}
LGB = {
    "squared": {"objective": "regression"},
    "absolute": {"objective": "regression_l1"},
    "huber": {"objective": "huber", "alpha": 2.0},
    "poisson": {"objective": "poisson"},
    "tweedie": {"objective": "tweedie", "tweedie_variance_power": 1.3},
    "quantile": {"objective": "quantile", "alpha": 0.8},
}
CAT = {
    "squared": "RMSE",
    "absolute": "MAE",
    "huber": "Huber:delta=2.0",
    "poisson": "Poisson",
    "tweedie": "Tweedie:variance_power=1.3",
    "quantile": "Quantile:alpha=0.8",
}
CRITERIA = {"squared": "squared_error", "absolute": "absolute_error", "poisson": "poisson", "quantile": "quantile"}


def direct(algorithm: str, objective: str) -> Any:
    """The library's own regressor of an objective."""
    match algorithm:
        case "XGBoost":
            return xgboost.XGBRegressor(tree_method="hist", random_state=3, **ROUNDS, **XGB[objective])
        case "LightGBM":
            more = {"deterministic": True, "force_col_wise": True, "subsample_freq": 1, "verbosity": -1}
            return lightgbm.LGBMRegressor(random_state=3, **ROUNDS, **LGB[objective], **more)
        case "CatBoost":
            more = {"allow_writing_files": False, "verbose": False, "thread_count": 1}
            return catboost.CatBoostRegressor(iterations=15, random_seed=3, loss_function=CAT[objective], **more)
        case "HistGradientBoosting":
            return ensemble.HistGradientBoostingRegressor(
                max_iter=15, random_state=3, loss=CRITERIA[objective], quantile=0.8, early_stopping=False
            )
        case "QuantileLinear":
            return linear_model.QuantileRegressor(alpha=0, quantile=0.8 if objective == "quantile" else 0.5)
        case "Dummy":
            if objective == "squared":
                return dummy.DummyRegressor()
            return dummy.DummyRegressor(strategy="quantile", quantile=0.8 if objective == "quantile" else 0.5)
        case _:
            kind = getattr(ensemble, f"{algorithm}Regressor")
            return kind(criterion=CRITERIA[objective], random_state=3, **ROUNDS)


PAIRS = [(name, objective) for name, able in OBJECTIVES.items() for objective in able if objective != "rank"]


@pytest.mark.parametrize(("algorithm", "objective"), PAIRS)
def test_each_loss_with_weights_is_that_of_the_library(algorithm: str, objective: Any, tmp_path: Path) -> None:
    frame, unseen = rows(), rows(80, seed=9)
    about = {"quantiles": (0.8,)} if objective == "quantile" else {}
    ours = model(algorithm, objective=objective, weights="w", huber_delta=2.0, tweedie_power=1.3, **about)
    theirs = direct(algorithm, objective)
    width = (
        np.float64 if algorithm in ("LightGBM", "QuantileLinear") else np.float32
    )  # the precision in which the libraries compare
    theirs.fit(frame[FEATURES].astype(width), frame["y"], sample_weight=frame["w"])
    wanted = theirs.predict(unseen[FEATURES].astype(width))
    loaded = scoring.load(fitting.save(ours, tmp_path / "model"))
    assert np.abs(loaded.predict(unseen) - wanted).max() < 1e-9
    if objective in options.LOG and algorithm not in ("RandomForest", "ExtraTrees"):
        assert np.exp(loaded.margin(unseen)) == pytest.approx(wanted, rel=1e-5), (
            "a margin is what SHAP values add up to"
        )


@pytest.mark.parametrize("algorithm", ["XGBoost", "LightGBM", "CatBoost", "RandomForest", "LogisticRegression"])
@pytest.mark.parametrize("given", ["balanced", {"1": 5.0}])
def test_class_weights_are_weights_of_rows(algorithm: str, given: Any) -> None:
    frame = rows()
    counts = frame["high"].value_counts()
    shares = {label: 300 / (2 * count) for label, count in counts.items()} if given == "balanced" else {0: 1.0, 1: 5.0}
    weighed = frame.assign(w=frame["high"].map(shares))
    params = {} if algorithm == "LogisticRegression" else None
    ours = model(algorithm, "high", params, frame, class_weight=given).scorer.predict(frame)
    as_rows = model(algorithm, "high", params, weighed, weights="w").scorer.predict(frame)
    assert np.abs(ours - as_rows).max() < 1e-9
    plain = model(algorithm, "high", params, frame).scorer.predict(frame)
    assert np.abs(ours - plain).max() > 1e-3
    if algorithm in ("RandomForest", "LogisticRegression"):
        own = ensemble.RandomForestClassifier if algorithm == "RandomForest" else linear_model.LogisticRegression
        weights = given if given == "balanced" else {0: 1.0, 1: 5.0}
        sizes: dict[str, Any] = ROUNDS if algorithm == "RandomForest" else {"max_iter": 1000}
        matrix = fitting.prepare(frame, None, "high", algorithm, features=FEATURES).train.matrix
        theirs = own(class_weight=weights, random_state=3, **sizes).fit(matrix, frame["high"])
        assert np.abs(theirs.predict_proba(matrix)[:, 1] - ours).max() < 1e-9


@pytest.mark.parametrize("name", ["log1p", "yeo_johnson"])
@pytest.mark.parametrize("algorithm", ["Ridge", "HistGradientBoosting"])
def test_a_transformed_target_is_answered_in_its_own_units(algorithm: str, name: Any, tmp_path: Path) -> None:
    frame, unseen = rows(), rows(80, seed=9)
    params = {} if algorithm == "Ridge" else {"max_iter": 15}
    ours = model(algorithm, params=params, target_transform=name)
    own = linear_model.Ridge(random_state=3) if algorithm == "Ridge" else direct(algorithm, "squared")
    if name == "log1p":
        theirs = TransformedTargetRegressor(own, func=np.log1p, inverse_func=np.expm1)
    else:
        theirs = TransformedTargetRegressor(own, transformer=PowerTransformer(standardize=False))
    theirs.fit(ours.prepared.train.matrix, frame["y"])
    loaded = scoring.load(fitting.save(ours, tmp_path / "model"))
    assert loaded.manifest["schema_version"] == 3
    assert np.abs(loaded.predict(unseen) - theirs.predict(loaded.encode(unseen))).max() < 1e-9
    back = targets.original(loaded.margin(unseen), loaded.manifest["target_transform"])
    assert np.abs(back - loaded.predict(unseen)).max() < 1e-12, "a margin is on the scale that is learned"


@pytest.mark.parametrize("power", [-2.0, 0.0, 0.7, 2.0, 3.5])
def test_the_inverse_of_yeo_johnson_is_defined_for_every_prediction(power: float) -> None:
    values = np.array([-7.5, -0.3, 0.0, 0.4, 9.0])
    about: targets.Transformation = {"name": "yeo_johnson", "power": power, "low": -7.5, "high": 9.0}
    learned = targets.transformed(values, about)
    assert np.abs(targets.original(learned, about) - values).max() < 1e-9
    beyond = targets.original(np.array([-1e6, 1e6]), about)
    assert np.isfinite(beyond).all() and beyond[0] <= -7.5 + 1e-9 and beyond[1] >= 9.0 - 1e-9


@pytest.mark.parametrize("algorithm", options.MONOTONE)
def test_monotone_predictions_only_rise_or_fall(algorithm: str) -> None:
    frame = rows(200).assign(high=lambda one: ((one["x"] > 0) ^ (np.arange(200) % 4 == 0)).astype(int))
    sizes = SIZES.get(algorithm, ROUNDS)
    ours = model(algorithm, "high", sizes, frame, monotone={"x": 1, "z": -1}).scorer
    free = model(algorithm, "high", sizes, frame).scorer
    line = np.linspace(-2, 2, 200)
    for name, sign in (("x", 1), ("z", -1)):
        moved = pd.DataFrame({"x": 0.1, "z": 0.1, name: line})[FEATURES]
        assert (sign * np.diff(ours.predict(moved)) >= -1e-7).all()
    moved = pd.DataFrame({"x": 0.1, "z": line})
    assert (np.diff(free.predict(moved)) > 1e-4).any(), "which it would not be by itself"


@pytest.mark.sweep
@pytest.mark.parametrize(("algorithm", "objective"), [pair for pair in PAIRS if pair[0] in options.MONOTONE])
def test_constraints_hold_for_every_loss_that_has_them(algorithm: str, objective: Any) -> None:
    if objective in options.UNCONSTRAINED.get(algorithm, ()):
        with pytest.raises(StepError, match="cannot be made monotone with objective"):
            model(algorithm, objective=objective, monotone={"x": -1})
        return
    line = pd.DataFrame({"x": np.linspace(-2, 2, 200), "z": 0.1})
    found = model(algorithm, objective=objective, monotone={"x": -1}).scorer.predict(line)
    assert np.diff(found).max() <= 1e-7


WRONG: list[tuple[str, str, dict[str, Any], str]] = [
    ("KNeighbors", "y", {"weights": "w"}, "cannot weigh rows"),
    ("Ridge", "y", {"objective": "poisson"}, "has no objective poisson, only squared"),
    ("XGBoost", "high", {"target_transform": "log1p"}, "for numeric targets"),
    ("XGBoost", "y", {"class_weight": "balanced"}, "no classes to weigh"),
    ("XGBoost", "y", {"quantiles": (0.2,)}, "belongs to objective quantile"),
    ("XGBoost", "y", {"objective": "poisson", "target_transform": "log1p"}, "another scale"),
    ("Ridge", "y", {"monotone": {"x": 1}}, "cannot be made monotone"),
    ("XGBoost", "y", {"monotone": {"xx": 1}}, "not among the features"),
    ("XGBoost", "y", {"weights": "ww"}, "no column 'ww' of weights"),
    ("XGBoost", "high", {"class_weight": {"2": 1.0}}, "'2' is not a class"),
    ("Ridge", "y", {"device": "cuda"}, "fitted on the CPU only"),
]


@pytest.mark.parametrize("algorithm", options.ON_GPU)
def test_a_machine_without_a_gpu_fits_the_same_model_on_the_cpu_and_says_so(algorithm: str) -> None:
    used = devices.usable(algorithm, "cuda")
    ours = model(algorithm, device="cuda")
    assert ours.prepared.loss.device == used.device
    assert [note for note in ours.prepared.warnings if note.startswith("device cuda: ")] == [used.note] * bool(
        used.note
    )
    if used.device == "cpu":
        frame = rows()
        assert (ours.scorer.predict(frame) == model(algorithm).scorer.predict(frame)).all()


def test_catboost_cannot_stop_early_on_a_gpu() -> None:
    frame = rows()
    prepared = fitting.prepare(frame[:200], frame[200:], "y", "CatBoost", options=Options(device="cuda"))
    with pytest.raises(StepError, match="reports no rounds while it fits on a GPU"):
        fitting.fit(prepared, {}, seed=1, threads=1, watch=EarlyStopping("rmse", 3))


@pytest.mark.parametrize(("algorithm", "target", "chosen", "message"), WRONG)
def test_an_option_that_does_not_fit_is_refused(algorithm: str, target: str, chosen: Any, message: str) -> None:
    with pytest.raises(StepError, match=message):
        model(algorithm, target, {}, **chosen)


def test_unusable_weights_and_targets_are_refused() -> None:
    frame = rows()
    for wrong in (frame.assign(w=-1.0), frame.assign(w=0.0), frame.assign(w=np.nan), frame.assign(w="a")):
        with pytest.raises(StepError, match="the weights 'w' are"):
            model("XGBoost", frame=wrong, weights="w")
    with pytest.raises(StepError, match="numbers from 0 up"):
        model("XGBoost", frame=frame.assign(y=frame["y"] - 3), objective="poisson")
    with pytest.raises(StepError, match="above -1"):
        model("XGBoost", frame=frame.assign(y=frame["y"] - 3), target_transform="log1p")
    with pytest.raises(StepError, match="set the same"):
        model("RandomForest", params={"criterion": "poisson"}, objective="absolute")
    prepared = fitting.prepare(
        frame[:200], frame[200:], "y", "XGBoost", options=Options(objective="quantile", quantiles=(0.9,))
    )
    with pytest.raises(StepError, match=r"a quantile other than 0\.5"):
        fitting.fit(prepared, ROUNDS, seed=1, threads=1, watch=EarlyStopping("mae", 3))


def test_the_column_of_weights_is_no_feature() -> None:
    frame = rows()
    prepared = fitting.prepare(frame.drop(columns="high"), None, "y", "XGBoost", options=Options(weights="w"))
    assert prepared.schema.names == ("x", "z")
    assert encoding.encode(frame, prepared.schema.features, "doubles").shape == (300, 2)
