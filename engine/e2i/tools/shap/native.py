"""Explain models whose library, or structure, gives exact SHAP values. In: a fitted model and rows. Out: values.

XGBoost, LightGBM and CatBoost explain their margins themselves. Trees of scikit-learn are explained along their paths:
classifiers of forests in probabilities, boosted ones in log-odds. A linear model is explained by its coefficients.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from e2i.errors import StepError
from e2i.estimators import live, live_effects


class Raw(Struct, frozen=True, eq=False):
    """``values`` (n, p) or (n, p, k), ``expected`` (1,) or (k,), ``margin`` (n,) or (n, k): their sum."""

    values: Any
    expected: Any
    margin: Any
    error: Any = None
    """Standard errors of the values, if they are estimates."""


def explain(model: Any, table: Any, background: Any) -> Raw | None:
    """Return exact SHAP values; None for a model that can only be asked for predictions.

    ``background`` is for linear models. Raises StepError for a causal model, and for a linear one without other rows.
    """
    explainer = _EXPLAINERS.get(live.library_of(model))
    if explainer is None:
        return None
    try:
        return explainer(model, table, background)
    except Exception as error:  # errors of LightGBM and CatBoost are no ValueErrors
        if "not implemented for linear trees" in str(error):  # of LightGBM
            return None
        if type(error).__name__ in ("LightGBMError", "CatBoostError", "XGBoostError"):
            raise StepError(f"{type(model).__name__}: {str(error).splitlines()[0]}", code="bad-features") from error
        raise


def kind(model: Any) -> str | None:
    """Return the exact explainer of a model, ``tree`` or ``linear``; None for one that can only be asked."""
    match live.library_of(model):
        case "xgboost":
            return "linear" if _is_linear_booster(model) else "tree"
        case "lightgbm" | "catboost":
            return "tree"
        case "sklearn" if _has_trees(model):
            return "tree"
        case "sklearn" if hasattr(model, "coef_"):
            return "linear"
    return None


def interactions(model: Any, table: Any) -> Any:
    """Return interaction values (n, p, p) or (n, p, p, k); None for a model without trees."""
    import numpy as np

    match live.library_of(model):
        case "xgboost":
            booster = _booster(model)
            if _is_linear_booster(model):
                return None
            found = booster.predict(
                _matrix(booster, model, table),
                pred_interactions=True,
                iteration_range=_rounds(model),
                validate_features=False,
            )
            found = found.astype(np.float64)[..., :-1, :-1]
            return found if found.ndim == 3 else np.moveaxis(found, 1, -1)
        case "catboost":
            found = model.get_feature_importance(_pool(model, table), type="ShapInteractionValues")[..., :-1, :-1]
            return found if found.ndim == 3 else np.moveaxis(found, 1, -1)
        case "lightgbm":
            if any(str(kind) == "category" for kind in getattr(table, "dtypes", ())):
                raise StepError(
                    "interactions of LightGBM are computed for numbers only, and `X` has categories",
                    code="no-interactions",
                    hint="use compute_shap_values",
                )
            return _positive(np.asarray(_trees_of(model).shap_interaction_values(_numbers(table))), model)
        case "sklearn" if _has_trees(model):
            rows = _numbers(table)
            if (rounds := _rounds_of_classes(model)) is not None:
                return _added(rounds, lambda tree: _trees_of(tree).shap_interaction_values(rows)) * model.learning_rate
            return _positive(np.asarray(_trees_of(model).shap_interaction_values(rows)), model)
        case _:
            return None


def feature_names(model: Any) -> list[str] | None:
    """Return the names of the features that a model was fitted with; None when it was fitted with an array."""
    if type(model).__module__.startswith("xgboost") and hasattr(model, "feature_names"):
        names = model.feature_names
    elif live.library_of(model) == "catboost":
        names = model.feature_names_
    elif live.library_of(model) == "lightgbm":
        names = model.feature_name() if hasattr(model, "feature_name") else model.feature_name_
    else:
        names = getattr(model, "feature_names_in_", None)
    if names is None or not len(names) or all(re.fullmatch(r"(Column_)?\d+", str(name)) for name in names):
        return None
    return [str(name) for name in names]


def feature_count(model: Any) -> int | None:
    """Return the number of features that a model was fitted with; None when it does not say."""
    if hasattr(model, "n_features_in_"):
        return int(model.n_features_in_)
    for method in ("num_features", "num_feature"):
        if hasattr(model, method):
            return int(getattr(model, method)())
    return None


def as_fitted(model: Any, table: Any) -> Any:
    """Return the table as scikit-learn expects it: with names only if the model was fitted with names."""
    if live.library_of(model) != "sklearn" or hasattr(model, "named_steps"):
        return table
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        return table.to_numpy() if hasattr(table, "columns") else table
    if hasattr(table, "columns"):
        return table
    import pandas as pd

    return pd.DataFrame(table, columns=names)


def is_regressor(model: Any) -> bool:
    """Return True for a model of scikit-learn's interface that predicts numbers."""
    from sklearn import base

    from e2i.tools.shap.hints import final

    last = final(model)
    return hasattr(last, "get_params") and hasattr(last, "fit") and bool(base.is_regressor(last))


def _xgboost(model: Any, table: Any, background: Any) -> Raw:
    import numpy as np

    booster = _booster(model)
    rows = _matrix(booster, model, table)
    options = {"iteration_range": _rounds(model), "validate_features": False}
    found = booster.predict(rows, pred_contribs=True, **options).astype(np.float64)
    return _split(found, booster.predict(rows, output_margin=True, **options).astype(np.float64))


def _is_linear_booster(model: Any) -> bool:
    return bool(json.loads(_booster(model).save_config())["learner"]["gradient_booster"]["name"] == "gblinear")


def _booster(model: Any) -> Any:
    return model.get_booster() if hasattr(model, "get_booster") else model


def _matrix(booster: Any, model: Any, table: Any) -> Any:
    import numpy as np
    import xgboost

    about: dict[str, Any] = {"enable_categorical": True, "missing": getattr(model, "missing", np.nan)}
    if not hasattr(table, "columns"):
        about["feature_types"] = booster.feature_types
    return xgboost.DMatrix(table, **about)


def _rounds(model: Any) -> tuple[int, int]:
    """Return the rounds that the model predicts with: those before its early stop."""
    if not hasattr(model, "get_booster"):
        return (0, 0)
    try:
        return (0, int(model.best_iteration) + 1)
    except AttributeError:
        return (0, 0)


def _lightgbm(model: Any, table: Any, background: Any) -> Raw:
    import numpy as np

    booster = getattr(model, "booster_", model)
    flat = np.asarray(booster.predict(table, pred_contrib=True))
    columns = booster.num_feature() + 1
    found = flat.reshape(len(flat), -1, columns) if flat.shape[1] > columns else flat
    return _split(found, np.asarray(booster.predict(table, raw_score=True)))


def _catboost(model: Any, table: Any, background: Any) -> Raw:
    import numpy as np

    pool = _pool(model, table)
    found = np.asarray(model.get_feature_importance(pool, type="ShapValues"))
    return _split(found, np.asarray(model.predict(pool, prediction_type="RawFormulaVal")))


def _pool(model: Any, table: Any) -> Any:
    import catboost

    if hasattr(table, "columns") and feature_names(model) is None:
        table = table.to_numpy()
    return catboost.Pool(
        table, cat_features=model.get_cat_feature_indices(), text_features=model.get_text_feature_indices()
    )


def _sklearn(model: Any, table: Any, background: Any) -> Raw | None:
    if _has_trees(model):
        return _trees(model, table)
    return _linear(model, table, background) if hasattr(model, "coef_") and hasattr(model, "intercept_") else None


def _econml(model: Any, table: Any, background: Any) -> Raw | None:
    """Return EconML's own values of the effect; None where they do not add up to it, as those of its forests."""
    import numpy as np

    if not live_effects.is_live(model):
        raise StepError(
            f"a {type(model).__name__} of EconML estimates no effect of rows",
            code="bad-model",
            hint="pass a fitted estimator with `effect`, such as LinearDML or CausalForestDML",
        )
    if (name := live_effects.named(model)) == "CausalForest":
        return None
    effect = np.asarray(model.effect(table), dtype=np.float64).reshape(-1)
    outcomes = model.shap_values(table, background_samples=None if name else 100)
    found = next(iter(next(iter(outcomes.values())).values()))
    values, base = np.asarray(found.values), np.broadcast_to(np.asarray(found.base_values), effect.shape)
    if values.ndim != 2 or not np.allclose(values.sum(axis=1) + base, effect, rtol=1e-5, atol=1e-5):
        return None
    return Raw(values, np.atleast_1d(base[0]), effect)


def _has_trees(model: Any) -> bool:
    """Return True for trees that are explained along their paths; not for categories, which shap does not read."""
    name = type(model).__name__
    kinds = ("DecisionTree", "ExtraTree", "RandomForest", "GradientBoosting", "HistGradientBoosting")
    if not name.endswith(("Classifier", "Regressor")) or not name.startswith(kinds):
        return False
    categories = getattr(model, "is_categorical_", None)
    if name.startswith("HistGradientBoosting") and categories is not None and any(categories):
        return False
    return not (name.startswith("GradientBoosting") and model.init not in (None, "zero"))


def _trees(model: Any, table: Any) -> Raw:
    import numpy as np

    rows = _numbers(table)
    margin = np.asarray(_margin(model, as_fitted(model, table)), dtype=np.float64)
    if (rounds := _rounds_of_classes(model)) is not None:
        values = _added(rounds, lambda tree: _trees_of(tree).shap_values(rows, check_additivity=False))
        means = _added(rounds, lambda tree: float(np.ravel(_trees_of(tree).expected_value)[0]))
        grown = _added(rounds, lambda tree: tree.predict(rows))
        start = (margin - model.learning_rate * grown).mean(axis=0)  # the same for each row
        return Raw(model.learning_rate * values, start + model.learning_rate * means, margin)
    explainer = _trees_of(model)
    found = np.asarray(explainer.shap_values(rows, check_additivity=False))
    return Raw(found, np.atleast_1d(explainer.expected_value), margin)


def _margin(model: Any, table: Any) -> Any:
    if "GradientBoosting" in type(model).__name__ and hasattr(model, "decision_function"):
        return model.decision_function(table)
    if type(model).__name__ == "HistGradientBoostingRegressor" and model.loss in ("poisson", "gamma"):
        import numpy as np

        return np.log(model.predict(table))  # its trees add up to the logarithm
    return model.predict_proba(table) if hasattr(model, "predict_proba") else model.predict(table)


def _trees_of(model: Any) -> Any:
    import shap

    return shap.TreeExplainer(model)


def _rounds_of_classes(model: Any) -> Any:
    """Return the trees (rounds, classes) of gradient boosting for more than two classes, which shap does not read as a
    whole; None for another model.
    """
    if type(model).__name__ != "GradientBoostingClassifier" or model.estimators_.shape[1] == 1:
        return None
    return model.estimators_


def _added(rounds: Any, of_tree: Callable[[Any], Any]) -> Any:
    """Return the sum over the rounds of what ``of_tree`` returns, with the classes as the last axis."""
    import numpy as np

    return np.stack(
        [sum(np.asarray(of_tree(tree)) for tree in rounds[:, place]) for place in range(rounds.shape[1])], -1
    )


def _linear(model: Any, table: Any, background: Any) -> Raw | None:
    """Return coefficient times distance from the mean; None when the model is not the sum of its coefficients."""
    import numpy as np

    coefficients = np.asarray(model.coef_.toarray() if hasattr(model.coef_, "toarray") else model.coef_)
    if coefficients.ndim == 2 and coefficients.shape[0] == 1:
        coefficients = coefficients[0]
    rows, others = _numbers(table), _numbers(background)
    if coefficients.shape[-1] != rows.shape[1]:
        return None
    function = model.decision_function if hasattr(model, "decision_function") else model.predict
    margin = np.asarray(function(as_fitted(model, table)), dtype=np.float64)
    total = rows @ coefficients.T + np.asarray(model.intercept_).reshape(-1 if coefficients.ndim == 2 else ())
    if total.shape != margin.shape or not np.allclose(total, margin, rtol=1e-6, atol=1e-6):
        return None
    if len(others) < 2:
        raise StepError(
            "a linear model is explained against other rows, and `X` has one row: every value would be 0",
            code="no-background",
            hint="pass more rows, and explain one of them with explain_instance",
        )
    mean = others.mean(axis=0)
    values = (rows - mean)[..., None] * coefficients.T if coefficients.ndim == 2 else (rows - mean) * coefficients
    return Raw(values, np.atleast_1d(mean @ coefficients.T + model.intercept_).ravel(), margin)


def _numbers(table: Any) -> Any:
    import numpy as np

    return np.asarray(table, dtype=np.float64)


def _split(contributions: Any, margin: Any) -> Raw:
    """Split (n, p + 1) or (n, k, p + 1), the bias last."""
    import numpy as np

    values, bias = contributions[..., :-1], contributions[0, ..., -1]
    return Raw(values if values.ndim == 2 else values.transpose(0, 2, 1), np.atleast_1d(bias), margin)


def _positive(found: Any, model: Any) -> Any:
    """Return the interactions of the positive class, of two."""
    two = found.ndim == 4 and found.shape[3] == 2 and len(getattr(model, "classes_", (0, 1))) == 2
    return found[..., 1] if two and not is_regressor(model) else found


_EXPLAINERS: dict[str, Callable[[Any, Any, Any], Raw | None]] = {
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "catboost": _catboost,
    "sklearn": _sklearn,
    "econml": _econml,
}
