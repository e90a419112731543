"""Explain models that e2i trained. In: a loaded model and rows. Out: SHAP values, checked against the model's margin.

XGBoost, LightGBM and CatBoost compute exact values themselves; forests and linear models use shap. The explainers that
ask for predictions suit all of them, and explain the same margin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from e2i.errors import StepError
from e2i.tools.shap import asked, choice, ensembles, explaining
from e2i.tools.shap.mixing import Mixing
from e2i.tools.shap.values import Explanation, How, additive, summing

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix, Scorer


def explain(scorer: Scorer, frame: pd.DataFrame, background: pd.DataFrame, how: How) -> Explanation:
    """Return SHAP values of every row of ``frame``, and interactions of the first of them if ``how`` asks for some.

    ``background`` is used by all explainers but those of trees. Raises StepError when a table does not match the model,
    when the explainer does not suit it, and when values or interactions do not add up.
    """
    import numpy as np

    from e2i.estimators.scoring import ScoringError

    algorithm = scorer.manifest["algorithm"]
    names = [feature["name"] for feature in scorer.encoded]
    own = choice.native_of(scorer.manifest)
    of_effects = scorer.manifest["library"] == "effects"
    explainer = own or choice.auto(len(names))
    if of_effects:
        explainer = choice.of_effects(own, len(names), interactions=how.interactions > 0)
    if how.explainer != "auto":
        explainer = how.explainer
        if refused := choice.unsuited(explainer, algorithm, own):
            raise StepError(refused[0], code="wrong-explainer", hint=refused[1])
    if scorer.members:
        return ensembles.explain(scorer, frame, background, replace(how, explainer=explainer))
    try:
        encoded = scorer.encode(frame)
        averaged = of_effects and explainer == "tree"
        others = None if explainer == "tree" and not averaged else _others(scorer.encode(background), explainer, how)
        margin = explaining.mean_of_trees(scorer, encoded) if averaged else scorer.output(encoded, margin=True)
    except ScoringError as error:
        raise StepError(str(error), code="bad-features") from error
    values, expected, deviation, pairs = _explained(scorer, explainer, encoded, others, how)
    margin = margin.reshape(len(margin), -1)
    classes = None if scorer.manifest["classes"] is None or scorer.binary else list(scorer.manifest["classes"])
    found = Explanation(
        names, classes, values, np.atleast_1d(expected), margin, explainer, deviation,
        None if pairs is None else summing(pairs, values),
    )  # fmt: skip
    return additive(found, algorithm)


def _others(encoded: Any, explainer: str, how: How) -> Any:
    """Return the background rows: all of them for a linear model, else as many as the settings say, by the seed."""
    import numpy as np

    if len(encoded) < 2:
        what = "a linear model" if explainer == "linear" else f"the explainer `{explainer}`"
        raise StepError(
            f"{what} needs background rows other than the explained row: every value would be 0",
            code="no-background",
            hint="set `background`, such as the training table",
        )
    if explainer == "linear" or len(encoded) <= how.background_rows:
        return encoded
    chosen = np.sort(np.random.default_rng(how.seed).choice(len(encoded), how.background_rows, replace=False))
    return encoded.iloc[chosen] if hasattr(encoded, "iloc") else encoded[chosen]


def _explained(
    scorer: Scorer, explainer: str, encoded: Any, others: Any, how: How
) -> tuple[Matrix, Matrix, Matrix | None, Matrix | None]:
    """Return values (n, p, k), the expected value (k,), standard errors and interactions, in the model's margin."""
    if explainer in choice.ASKED:
        return _asked(scorer, explainer, encoded, others, how)
    few = encoded[: how.interactions]
    library = scorer.manifest["library"]
    if explainer == "linear":
        values, expected = _linear(scorer, encoded, others)
        pairs = _diagonal(values[: how.interactions]) if how.interactions else None
    elif library == "effects":
        values, expected = explaining.trees(scorer, encoded, others, _widths(scorer))
        pairs = None
        if how.interactions:
            hint = "set `explainer: exact` for few features"
            raise StepError(
                "forests of effects have no interactions along their trees", code="no-interactions", hint=hint
            )
    else:
        values, expected = _EXPLAINERS[library](scorer, encoded, how.threads)
        pairs = _INTERACTIONS[library](scorer, few, how.threads) if how.interactions else None
    values, expected = values * scorer.scale, expected * scorer.scale + scorer.center
    values = _with_classes(values, 2)
    if scorer.binary and values.shape[2] == 2:  # shap returns both classes of a forest; the second is the positive
        values, expected = values[:, :, 1:], expected[1:]
    if pairs is None:
        return values, expected, None, None
    pairs = _with_classes(pairs * scorer.scale, 3)
    return values, expected, None, pairs[..., 1:] if scorer.binary and pairs.shape[3] == 2 else pairs


def _asked(
    scorer: Scorer, explainer: str, encoded: Any, others: Any, how: How
) -> tuple[Matrix, Matrix, Matrix | None, Matrix | None]:
    mixing = Mixing(encoded, others, _widths(scorer) if scorer.manifest["encoding"] == "one-hot" else _ones(scorer))

    def outputs(codes: Any) -> Any:
        return scorer.output(mixing.encoded(codes), margin=True)

    found = asked.values(outputs, mixing.rows, mixing.others, explainer, how.seed)
    pairs = asked.interactions(outputs, mixing.rows[: how.interactions], mixing.others) if how.interactions else None
    error = None if found.error is None else _with_classes(found.error, 2)
    return _with_classes(found.values, 2), found.expected, error, None if pairs is None else _with_classes(pairs, 3)


def _with_classes(array: Matrix, axes: int) -> Matrix:
    """Return an array of so many axes, and a last one for the classes."""
    return array if array.ndim == axes + 1 else array[..., None]


def _widths(scorer: Scorer) -> Sequence[int]:
    """Return the columns of each feature of a model that is encoded as one column per category."""
    return [len(feature.get("categories", (0,))) for feature in scorer.encoded]


def _ones(scorer: Scorer) -> Sequence[int]:
    return [1] * len(scorer.encoded)


def _xgboost(scorer: Scorer, encoded: Any, threads: int) -> tuple[Matrix, Matrix]:
    """Return (n, p) or (n, p, k), and the bias, which XGBoost returns as a last column."""
    return _split(scorer.native.predict(_matrix(scorer, encoded, threads), pred_contribs=True).astype("float64"))


def _xgboost_interactions(scorer: Scorer, encoded: Any, threads: int) -> Matrix:
    found = scorer.native.predict(_matrix(scorer, encoded, threads), pred_interactions=True).astype("float64")
    return _without_bias(found)


def _matrix(scorer: Scorer, encoded: Any, threads: int) -> Any:
    import xgboost

    booster = scorer.native
    booster.set_param({"nthread": threads})
    return xgboost.DMatrix(
        encoded,
        feature_names=booster.feature_names,
        feature_types=booster.feature_types,
        enable_categorical=True,
        nthread=threads,
    )


def _lightgbm(scorer: Scorer, encoded: Any, threads: int) -> tuple[Matrix, Matrix]:
    flat = scorer.native.predict(encoded, pred_contrib=True, num_threads=threads)
    columns = len(scorer.encoded) + 1
    return _split(flat.reshape(len(flat), -1, columns) if flat.shape[1] > columns else flat)


def _lightgbm_interactions(scorer: Scorer, encoded: Any, threads: int) -> Matrix:
    categories = [feature["name"] for feature in scorer.encoded if feature["kind"] == "category"]
    if categories:
        raise StepError(
            f"LightGBM has no interactions of categories, and {categories[0]!r} is one",
            code="no-interactions",
            hint="set `explainer: exact` for few features, or train XGBoost",
        )
    return _tree_interactions(scorer, encoded, threads)


def _catboost(scorer: Scorer, encoded: Any, threads: int) -> tuple[Matrix, Matrix]:
    pool = _pool(scorer, encoded, threads)
    return _split(scorer.native.get_feature_importance(pool, type="ShapValues", thread_count=threads))


def _catboost_interactions(scorer: Scorer, encoded: Any, threads: int) -> Matrix:
    pool = _pool(scorer, encoded, threads)
    return _without_bias(scorer.native.get_feature_importance(pool, type="ShapInteractionValues", thread_count=threads))


def _pool(scorer: Scorer, encoded: Any, threads: int) -> Any:
    import catboost

    categorical = [i for i, feature in enumerate(scorer.encoded) if feature["kind"] == "category"]
    return catboost.Pool(encoded, cat_features=categorical, thread_count=threads)


def _forest(scorer: Scorer, encoded: Any, threads: int) -> tuple[Matrix, Matrix]:
    """Return exact values along the trees' own paths, in probabilities for classes."""
    import numpy as np
    import shap

    explainer = shap.TreeExplainer(scorer.native)
    return np.asarray(explainer.shap_values(encoded, check_additivity=False)), np.atleast_1d(explainer.expected_value)


def _tree_interactions(scorer: Scorer, encoded: Any, threads: int) -> Matrix:
    import warnings

    import numpy as np
    import shap

    is_lightgbm = scorer.manifest["library"] == "lightgbm"
    explainer = shap.TreeExplainer(_as_classifier(scorer.native) if is_lightgbm else scorer.native)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that LightGBM's values were a list in another version
        return np.asarray(explainer.shap_interaction_values(encoded))


def _as_classifier(booster: Any) -> Any:
    """Return a LightGBM booster of several classes as its classifier: shap asks only that for the classes."""
    import lightgbm

    if (classes := booster.num_model_per_iteration()) < 2:
        return booster
    model = lightgbm.LGBMClassifier(objective="multiclass")
    model._Booster, model._n_classes, model._objective, model.fitted_ = booster, classes, "multiclass", True
    return model


def _linear(scorer: Scorer, encoded: Matrix, background: Matrix) -> tuple[Matrix, Matrix]:
    """Return exact values against all background rows; the columns of one category are summed to its feature."""
    import numpy as np
    import shap

    masker = shap.maskers.Independent(background, max_samples=len(background))
    explainer = shap.LinearExplainer(scorer.native, masker)
    columns = np.asarray(explainer.shap_values(encoded))
    starts = np.cumsum([0, *_widths(scorer)[:-1]])
    return np.add.reduceat(columns, starts, axis=1), np.atleast_1d(explainer.expected_value)


def _diagonal(values: Matrix) -> Matrix:
    """Return the interactions (n, p, p, k) of a sum over its features: each feature's value, and no pairs."""
    import numpy as np

    whole = _with_classes(values, 2)
    found: Matrix = np.einsum("npk,pq->npqk", whole, np.eye(whole.shape[1]))
    return found


def _split(contributions: Matrix) -> tuple[Matrix, Matrix]:
    """Split (n, p + 1) or (n, k, p + 1), the bias last, into values (n, p) or (n, p, k), and the bias of each class."""
    import numpy as np

    values, bias = contributions[..., :-1], contributions[0, ..., -1]
    return (values if values.ndim == 2 else values.transpose(0, 2, 1)), np.atleast_1d(bias)


def _without_bias(interactions: Matrix) -> Matrix:
    """Return (n, p, p) or (n, p, p, k) of (n, p + 1, p + 1) or (n, k, p + 1, p + 1)."""
    import numpy as np

    found = np.asarray(interactions)[..., :-1, :-1]
    return found if found.ndim == 3 else np.moveaxis(found, 1, -1)


_EXPLAINERS: Mapping[str, Callable[[Scorer, Any, int], tuple[Matrix, Matrix]]] = {
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "catboost": _catboost,
    "sklearn": _forest,
}
_INTERACTIONS: Mapping[str, Callable[[Scorer, Any, int], Matrix]] = {
    "xgboost": _xgboost_interactions,
    "lightgbm": _lightgbm_interactions,
    "catboost": _catboost_interactions,
    "sklearn": _tree_interactions,
}
