"""EconML's own estimators of effects, for programs. In: an algorithm, rows, outcomes and treatments. Out: estimators.

The models of outcome and treatment are LightGBM's unless a program passes others.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from e2i.errors import StepError
from e2i.estimators.effect_algorithms import AS_NUMBERS, EFFECT_ALGORITHMS
from e2i.spec.suggest import few, nearest

if TYPE_CHECKING:
    from e2i.estimators.effects import Effects

Params = Mapping[str, bool | int | float | str | None]
NUISANCE = {"n_estimators": 100, "max_depth": 3, "learning_rate": 0.08, "min_child_samples": 20, "verbosity": -1}
"""LightGBM's settings: shallow and slow, as those of ``causal.estimate``."""
CLIP = 0.01
"""Propensities are kept this far from 0 and 1."""
PARTS = 3
"""Parts for cross-fitting of the models that effects are judged by."""
LEVEL = 0.95


def check(algorithm: str, params: Params) -> None:
    """Check that the algorithm has each parameter. Raises StepError."""
    import inspect

    if EFFECT_ALGORITHMS[algorithm].models == "outcomes":
        from lightgbm import LGBMRegressor

        kind: Any = LGBMRegressor
    else:
        kind = _kind(algorithm)
    known = set(inspect.signature(kind.__init__).parameters) - {"self", "kwargs"}
    for name in params:
        if name not in known:
            near = nearest(name, known)
            raise StepError(
                f"{algorithm} has no parameter {name!r}",
                code="unknown-hyperparameter",
                hint=f'did you mean "{near[0]}"?' if near else f"parameters: {few(sorted(known), 25)}",
            )


def check_treatment(algorithm: str, *, is_discrete: bool) -> None:
    """Check that the algorithm takes the treatment. Raises StepError."""
    if is_discrete or EFFECT_ALGORITHMS[algorithm].amounts:
        return
    able = ", ".join(name for name, known in EFFECT_ALGORITHMS.items() if known.estimator and known.amounts)
    raise StepError(
        f"{algorithm} needs a treatment of 0 and 1", code="wrong-task", hint=f"algorithms for amounts: {able}"
    )


def make(algorithm: str, params: Params, seed: int, *, is_discrete: bool, threads: int = 1) -> Any:
    """Return an estimator that is not fitted. Parameters of S-, T- and X-learners are those of their outcome models."""
    check_treatment(algorithm, is_discrete=is_discrete)
    known = EFFECT_ALGORITHMS[algorithm]
    if known.models == "outcomes":
        given = {"models" if algorithm != "SLearner" else "overall_model": outcome_model(seed, threads, params)}
        if algorithm == "XLearner":
            given["propensity_model"] = treatment_model(seed, threads, is_discrete=True)
        return _kind(algorithm)(**given)
    outcome, treatment = outcome_model(seed, threads), treatment_model(seed, threads, is_discrete=is_discrete)
    settings: dict[str, Any] = {"random_state": seed}
    if known.models == "robust":
        settings |= {"model_regression": outcome, "model_propensity": treatment}
    else:
        settings |= {"model_y": outcome, "model_t": treatment, "discrete_treatment": is_discrete}
    if known.explainer == "tree":
        settings["n_jobs"] = threads
    return _kind(algorithm)(**{**settings, **params})


def outcome_model(seed: int, threads: int = 1, params: Params | None = None) -> Any:
    """Return the model of an outcome, which is a number; ``params`` replace its settings."""
    from lightgbm import LGBMRegressor

    fixed = {"random_state": seed, "n_jobs": threads, "deterministic": True, "force_col_wise": True}
    return LGBMRegressor(**{**NUISANCE, **fixed, **(params or {})})


def treatment_model(seed: int, threads: int = 1, *, is_discrete: bool) -> Any:
    """Return the model of a treatment."""
    from lightgbm import LGBMClassifier

    if not is_discrete:
        return outcome_model(seed, threads)
    return LGBMClassifier(**NUISANCE, random_state=seed, n_jobs=threads, deterministic=True, force_col_wise=True)


def judge(metric: str, rows: Any, outcome: Any, treatment: Any, seed: int, *, is_discrete: bool) -> Any:
    """Return a function that takes a fitted estimator and returns its score on these rows."""
    if metric == "r_score":
        from econml.score import RScorer

        scorer = RScorer(
            model_y=outcome_model(seed),
            model_t=treatment_model(seed, is_discrete=is_discrete),
            discrete_treatment=is_discrete,
            cv=PARTS,
            random_state=seed,
        )
        return scorer.fit(outcome, treatment, X=rows).score
    return _doubly_robust(rows, outcome, treatment, seed, is_discrete=is_discrete)


def _doubly_robust(rows: Any, outcome: Any, treatment: Any, seed: int, *, is_discrete: bool) -> Any:
    """Return the judge by doubly robust scores (Kennedy 2023), whose models do not know the row that they judge."""
    import numpy as np
    from sklearn.model_selection import StratifiedKFold

    if not is_discrete:
        raise StepError(
            "dr_score needs a treatment of 0 and 1", code="wrong-metric", hint="use r_score for a treatment by amounts"
        )
    matrix, scores = np.asarray(rows, dtype=np.float64), np.empty(len(outcome))
    parts = StratifiedKFold(PARTS, shuffle=True, random_state=seed)
    for learn, held in parts.split(matrix, treatment):
        share = treatment_model(seed, is_discrete=True).fit(matrix[learn], treatment[learn]).predict_proba(matrix[held])
        propensity = np.clip(share[:, 1], CLIP, 1 - CLIP)
        expected = [
            outcome_model(seed).fit(matrix[arm], outcome[arm]).predict(matrix[held])
            for arm in (learn[treatment[learn] == 0], learn[treatment[learn] == 1])
        ]
        t, y = treatment[held], outcome[held]
        scores[held] = expected[1] - expected[0]
        scores[held] += t * (y - expected[1]) / propensity - (1 - t) * (y - expected[0]) / (1 - propensity)
    spread = float(((scores - scores.mean()) ** 2).mean())

    def score(model: Any) -> float:
        effect = np.asarray(model.effect(rows), dtype=np.float64).reshape(-1)
        return 1 - float(((scores - effect) ** 2).mean()) / spread

    return score


def is_live(model: Any) -> bool:
    """Return True for a fitted estimator of EconML."""
    return type(model).__module__.partition(".")[0] == "econml" and hasattr(model, "effect")


def named(model: Any) -> str | None:
    """Return the registry's name of an estimator of EconML that has a form as numbers; None for another one."""
    for name in AS_NUMBERS:
        if type(model) is _kind(name):
            return name
    return None


def to_effects(model: Any, example: Any = None) -> Effects:
    """Return a fitted LinearDML or CausalForestDML as numbers, whose effects and intervals are equal to its own.

    ``example`` are rows to keep with it, if it is a frame. Raises StepError for another estimator, and for one of
    several treatments or outcomes, or with a featurizer.
    """
    import numpy as np
    from msgspec.structs import replace

    from e2i.estimators import fitting
    from e2i.estimators.effects import EffectManifest, Effects

    name = named(model)
    if name is None or model._d_t not in ((1,), ()) or model._d_y not in ((), (1,)) or model.featurizer is not None:
        raise StepError(
            f"{type(model).__name__} cannot be saved as numbers",
            code="unknown-flavor",
            hint=f"e2i saves {' and '.join(AS_NUMBERS)} of one outcome and one treatment, without a featurizer",
        )
    if getattr(model, "_d_x", None) is None:
        raise StepError("the estimator has no effect modifiers", code="unknown-flavor", hint="fit it with X")
    discrete = bool(model.discrete_treatment)
    names = [str(one) for one in model.cate_feature_names()]
    manifest = EffectManifest(
        estimator=name,
        treatment=str((model._input_names.get("treatment_names") or ["treatment"])[0]),
        outcome=str((model._input_names.get("output_names") or ["outcome"])[0]),
        control=0 if discrete else None,
        treated=1 if discrete else None,
        features=[{"name": one, "kind": "number", "type": "double"} for one in names],
        question={"level": LEVEL},
        encoding="doubles",
        example=fitting.example(example, names) if hasattr(example, "itertuples") else [],
    )
    if name == "CausalForest":
        forest = model.model_cate.estimators_[0]
        return Effects(replace(manifest, forest=type(forest).__name__), forest)
    final = model.model_final_
    params, covariance = np.ravel(final._param), np.asarray(final._param_var)
    if not model.fit_cate_intercept:
        params, covariance = np.insert(params, 0, 0.0), np.pad(covariance, ((1, 0), (1, 0)))
    return Effects(replace(manifest, coefficients=params.tolist(), covariance=covariance.tolist()))


def _kind(algorithm: str) -> Any:
    module, name = EFFECT_ALGORITHMS[algorithm].estimator or ("", "")
    return getattr(import_module(module), name)
