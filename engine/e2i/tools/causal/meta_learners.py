"""Estimate effects as differences of predictions. In: a question. Out: models of the outcome, and of their differences.

S-, T- and X-learner as in Künzel, Sekhon, Bickel, Yu 2019, "Metalearners for estimating heterogeneous treatment effects
using machine learning", PNAS 116. None has intervals by row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from e2i.estimators import algorithms, making
from e2i.estimators.effects import EffectManifest, Effects
from e2i.tools.causal import EstimateParams, Nuisance, model_of
from e2i.tools.causal.crossfit import Nuisances
from e2i.tools.causal.crossfit import fit as fit_nuisance
from e2i.tools.causal.question import Question

if TYPE_CHECKING:
    from e2i.estimators.effect_scoring import Part
    from e2i.estimators.scoring import Matrix


def fit(
    question: Question, found: Nuisances, params: EstimateParams, manifest: EffectManifest, threads: int
) -> Effects:
    """Return the effect model, whose parts are models of the algorithm registry."""
    from e2i.estimators import scoring
    from e2i.estimators.effect_scoring import Predictions

    parts = _LEARNERS[params.estimator](question, found, params, manifest.seed, threads)
    native = Predictions(params.estimator, parts, scoring)
    return Effects(replace(manifest, parts=[dict(part.about) for part in parts.values()]), native)


def _s_learner(question: Question, found: Nuisances, params: EstimateParams, seed: int, threads: int) -> Any:
    import numpy as np

    rows = np.column_stack([question.modifiers, question.treatment])
    return {"outcome": _outcome("outcome", params, rows, question.outcome, seed, threads)}


def _t_learner(question: Question, found: Nuisances, params: EstimateParams, seed: int, threads: int) -> Any:
    return {
        name: _outcome(name, params, question.modifiers[own], question.outcome[own], seed, threads)
        for name, own in _arms(question).items()
    }


def _x_learner(question: Question, found: Nuisances, params: EstimateParams, seed: int, threads: int) -> Any:
    """Return models of what each arm's rows gain over the cross-fitted prediction of the other arm."""
    arms = _arms(question)
    gains = {
        "treated": (question.outcome - found.untreated)[arms["treated"]],
        "untreated": (found.treated - question.outcome)[arms["untreated"]],
    }
    parts = {
        name: _outcome(name, params, question.modifiers[own], gains[name], seed, threads) for name, own in arms.items()
    }
    model = model_of(params.treatment_model)
    fitted = fit_nuisance(model, "classification", question.modifiers, question.treatment, seed, threads)
    return {**parts, "propensity": _part("propensity", model, fitted)}


def _arms(question: Question) -> dict[str, Matrix]:
    return {"untreated": question.treatment == 0, "treated": question.treatment == 1}


def _outcome(name: str, params: EstimateParams, rows: Matrix, values: Matrix, seed: int, threads: int) -> Part:
    model = model_of(params.outcome_model)
    return _part(name, model, fit_nuisance(model, "regression", rows, values, seed, threads))


def _part(name: str, model: Nuisance, fitted: Any) -> Part:
    """Return a fitted estimator as its library saves and loads it."""
    from e2i.estimators.effect_scoring import Part

    known = algorithms.of(model.algorithm)
    is_class = hasattr(fitted, "predict_proba")
    about = {
        "name": name,
        "algorithm": algorithms.recorded(model.algorithm),
        "library": known.flavour,
        "shape": "binary" if is_class else "regression",
        "file": "",
        "sha256": "",
    }
    return Part(about, making.native(fitted))


_LEARNERS = {"SLearner": _s_learner, "TLearner": _t_learner, "XLearner": _x_learner}
