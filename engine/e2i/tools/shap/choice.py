"""Choose the explainer of a model. In: an algorithm's name and what is asked for. Out: the explainer, or why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2i.estimators import algorithms
from e2i.estimators.effect_algorithms import EFFECT_ALGORITHMS

if TYPE_CHECKING:
    from e2i.estimators.manifest import Manifest

ASKED = ("permutation", "kernel", "exact")
"""Explainers that only ask for predictions, so that they suit every model."""
EXACT = 8
"""Features up to which every combination is tried where nothing else is asked for: 256 for each row."""
MOST_EXACT = 12
"""Features up to which ``exact`` may be asked for: 4,096 combinations for each row, each over the background."""


def native(algorithm: str) -> str | None:
    """Return the exact explainer of an algorithm, ``tree`` or ``linear``; None for one that has none."""
    known = algorithms.known(algorithm) or EFFECT_ALGORITHMS.get(algorithm)
    return None if known is None else known.explainer


def native_of(manifest: Manifest) -> str | None:
    """Return the exact explainer of a saved model. That of a plug-in's algorithm is in the manifest itself."""
    return manifest["explainer"] if "explainer" in manifest else native(manifest["algorithm"])


def of_effects(own: str | None, features: int, *, interactions: bool) -> str:
    """Return the explainer of an effect model where none is asked for.

    Trees of a forest have values of their mean, which is not quite the effect. Few features have exact ones.
    """
    if own is None or (own == "tree" and (features <= EXACT or interactions)):
        return auto(features)
    return own


def auto(features: int) -> str:
    """Return the explainer of a model that can only be asked for predictions."""
    return "exact" if features <= EXACT else "permutation"


def misfit(explainer: str, algorithm: str | None) -> tuple[str, str] | None:
    """Return why an explainer does not suit an algorithm, and a hint; None when it does, or when it is not known."""
    is_own = algorithm in EFFECT_ALGORITHMS or algorithm == algorithms.ENSEMBLE
    is_known = algorithm is not None and (is_own or algorithms.known(algorithm))
    return unsuited(explainer, algorithm, native(algorithm)) if is_known and algorithm is not None else None


def unsuited(explainer: str, algorithm: str, own: str | None) -> tuple[str, str] | None:
    """Return why an explainer does not suit an algorithm whose exact explainer is ``own``; None when it does."""
    if explainer in ("auto", *ASKED) or explainer == own:
        return None
    if algorithm in EFFECT_ALGORITHMS and own is None:
        return (
            f"the explainer `{explainer}` does not know effects of meta-learners, such as {algorithm}",
            "use `auto`; `permutation`, `kernel` and `exact` suit every model",
        )
    what = {"tree": "trees", "linear": "coefficients"}[explainer]
    return (
        f"the explainer `{explainer}` needs a model of {what}, and {algorithm} is none",
        f"use `{own or 'permutation'}` or `auto`; `permutation`, `kernel` and `exact` suit every model",
    )


def too_many(explainer: str, features: int) -> tuple[str, str] | None:
    """Return why there are too many features for an explainer, and a hint; None when there are not."""
    if explainer != "exact" or features <= MOST_EXACT:
        return None
    return (
        f"the explainer `exact` tries all {2**features:,} combinations of {features} features for each row; at most "
        f"{MOST_EXACT} features are possible",
        "use `permutation`, or `auto`",
    )
