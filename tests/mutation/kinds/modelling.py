"""Mistakes in how a model is fitted and finished: recipes, folds, options of a fit, what follows training.

In: good specs. Out: mutants.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from mutation.good import Good
from mutation.mutant import Mutants, Span, mutant
from mutation.sites import Path, Site

FITS = ("model.train", "model.cross_validate", "optuna.tune", "model.learning_curve")
AFTER = ("model.calibrate", "model.threshold", "model.conformal")
TEXTS = ("brand", "specialty", "region")
OPTION = "unsupported-option"


def recipe_of_texts(good: Good, rng: Random) -> Mutants:
    """An operation on numbers or times, of a column of texts."""
    encoded = {good.value(site.path) for site in _columns_of(good, "target_encode")}  # which may be numbers by then
    texts = [name for name in TEXTS if name not in encoded]
    for site in _columns_of(good, "scale", "dates", "impute") if texts else ():
        yield from _in_recipe(good, site, rng.choice(texts), "bad-column unknown-column")


def recipe_of_no_column(good: Good, rng: Random) -> Mutants:
    """An operation on a column that is no feature of the model."""
    for site in _columns_of(good, "scale", "dates", "impute", "target_encode", "one_hot"):
        yield from _in_recipe(good, site, rng.choice(("customer_value", "weight_kg")), "unknown-column")


def recipe_of_the_target(good: Good, rng: Random) -> Mutants:
    """An operation on the target."""
    for site in _columns_of(good, "scale", "target_encode", "one_hot"):
        for fit in _fits_with(good, str(site.path[1])):
            target = good.value((*good.steps[fit], "with", "target"))
            yield from _in_recipe(good, site, target, "target-leak")


def folds_of_other_rows(good: Good, rng: Random) -> Mutants:
    """Folds that were made from another part of the rows."""
    for step in _steps(good, "data.folds"):
        table = good.sites[(*good.steps[step], "with", "table")]
        text = good.raw(table)
        if ".train" in text and (users := _readers(good, f"steps.{step}.folds")):
            spans = [(table.start, table.end), *((site.start, site.end) for site in users)]
            edit = (table.start, table.end, text.replace(".train", ".validation"))
            yield mutant(good, [edit], *spans, codes="fold-rows")


def group_among_features(good: Good, rng: Random) -> Mutants:
    """The group of the folds as a feature."""
    for step in _steps(good, *FITS):
        names = good.sites.get((*good.steps[step], "with", "features"))
        folds = good.value((*good.steps[step], "with")).get("folds")
        maker = str(folds).split(".")[1] if str(folds).startswith("${{ steps.") else ""
        by = good.value((*good.steps[maker], "with")).get("by") if maker in good.steps else None
        if names and names.flow and by:
            at = names.start + 1
            yield mutant(good, [(at, at, f"{by}, ")], (at, at), codes="fold-feature", certain=True)


def times_of_folds(good: Good, rng: Random) -> Mutants:
    """Folds in time by a column that is no time."""
    for step in _steps(good, "data.folds"):
        path: Path = (*good.steps[step], "with")
        for site in good.matching(*path, "time"):
            yield mutant(good, [(site.start, site.end, "brand")], (site.start, site.start), codes="bad-column")


def stopped_without_rounds(good: Good, rng: Random) -> Mutants:
    """Early stopping of an algorithm that does not train in rounds."""
    for path, stop in _given(good, "early_stopping"):
        for site in good.matching(*path, "algorithm"):
            if not good.raw(site).startswith(("$", '"')) and good.value(path).get("params") is None:
                edit = (site.start, site.end, "RandomForest")
                spans = [(site.start, site.end), *_around(stop)]
                yield mutant(good, [edit], *spans, codes=f"{OPTION} wrong-task")


def stopped_by_another_metric(good: Good, rng: Random) -> Mutants:
    """Early stopping by a metric that the task does not have."""
    for path, _ in _given(good, "early_stopping"):
        known = good.value(path)
        is_told = known.get("positive") is not None or known.get("task") is not None
        for site in good.matching(*path, "early_stopping", "metric") if is_told else ():
            other = {"log_loss": "rmse", "roc_auc": "mae", "mae": "log_loss", "rmse": "roc_auc"}[good.value(site.path)]
            yield mutant(good, [(site.start, site.end, other)], (site.start, site.start), codes=OPTION)


def weights_of_texts(good: Good, rng: Random) -> Mutants:
    """Weights that are texts, and weights that are the target."""
    for path, site in _given(good, "weights"):
        for name in ("brand", good.value(path)["target"]):
            yield mutant(good, [(site.start, site.end, name)], (site.start, site.start), codes=OPTION)


def monotone_in_texts(good: Good, rng: Random) -> Mutants:
    """A direction of a column that has no order, or is no feature."""
    for path, _ in _given(good, "monotone"):
        for site in good.matching(*path, "monotone", "*"):
            for name in ("brand", "customer_value"):
                if site.key:
                    yield mutant(good, [(*site.key, name)], site.key, codes=OPTION)


def loss_of_numbers(good: Good, rng: Random) -> Mutants:
    """An objective, or a transformation of the target, of classes: the objective or `positive` is wrong."""
    for step in _steps(good, *FITS):
        path: Path = (*good.steps[step], "with")
        known = good.value(path)
        if known.get("positive") is not None and "objective" not in known:
            site = good.sites[(*path, "target")]
            for option in ("objective: huber", "target_transform: log1p"):
                positive = good.sites[(*path, "positive")]
                yield from _added(good, site, option, f"{OPTION} wrong-task", *_around(positive))


def quantiles_of_another_objective(good: Good, rng: Random) -> Mutants:
    """Quantiles of a model that learns something else."""
    for path, site in _given(good, "quantiles"):
        for objective in good.matching(*path, "objective"):
            edit = (objective.start, objective.end, "absolute")
            spans = [(objective.start, objective.end), *_around(site)]
            yield mutant(good, [edit], *spans, codes=OPTION)


def ranking_without_queries(good: Good, rng: Random) -> Mutants:
    """A ranking whose queries are not named, or are a column that there is not."""
    for path, site in _given(good, "group"):
        if good.value(path).get("objective") == "rank":
            yield mutant(good, [(site.start, site.end, "null")], (site.start, site.start), codes=OPTION)
            yield mutant(good, [(site.start, site.end, "quarrel")], (site.start, site.start), codes="unknown-column")


def query_among_features(good: Good, rng: Random) -> Mutants:
    """The query of a ranking as a feature."""
    for path, site in _given(good, "group"):
        names = good.sites.get((*path, "features"))
        if good.value(path).get("objective") == "rank" and names and names.flow:
            edit = (names.start + 1, names.start + 1, f"{good.raw(site)}, ")
            yield mutant(good, [edit], edit[:2], codes=OPTION)


def space_of_another_algorithm(good: Good, rng: Random) -> Mutants:
    """A search over a hyperparameter that the algorithm does not have."""
    for pattern in (("steps", "*", "with", "space", "*"), ("steps", "*", "with", "search", "space", "*")):
        for site in good.matching(*pattern):
            if site.key and good.uses(str(site.path[1])) in FITS:
                yield mutant(good, [(*site.key, "bandwidth")], site.key, codes="unknown-hyperparameter")


def calibrated_again(good: Good, rng: Random) -> Mutants:
    """A model that is calibrated twice."""
    models = {step: good.sites[(*good.steps[step], "with", "model")] for step in _steps(good, "model.calibrate")}
    for step, site in models.items():
        for other in models:
            if other != step and step not in good.upstream(other):
                text = f'"${{{{ steps.{other}.model }}}}"'
                yield mutant(good, [(site.start, site.end, text)], (site.start, site.end), codes="calibrated-late")


def finished_by_training_rows(good: Good, rng: Random) -> Mutants:
    """Calibration, a threshold or intervals that are fitted to the rows of training."""
    for step in _steps(good, *AFTER):
        table = good.sites[(*good.steps[step], "with", "table")]
        if ".validation" in (text := good.raw(table)) and _is_one_model(good, step):
            edit = (table.start, table.end, text.replace(".validation", ".train"))
            yield mutant(good, [edit], (table.start, table.end), codes="trained-on")


def judged_by_fitted_rows(good: Good, rng: Random) -> Mutants:
    """A model that is judged by the rows that its calibration, threshold or intervals were fitted to."""
    for step in _steps(good, "model.evaluate"):
        table = good.sites[(*good.steps[step], "with", "table")]
        finished = [one for one in good.upstream(step) if good.uses(one) in AFTER]
        if finished and ".test" in (text := good.raw(table)) and _is_one_model(good, step):
            edit = (table.start, table.end, text.replace(".test", ".validation"))
            yield mutant(good, [edit], (table.start, table.end), codes="trained-on")


def intervals_of_none(good: Good, rng: Random) -> Mutants:
    """Intervals of a model that has none."""
    for step in _steps(good, "model.predict"):
        path: Path = (*good.steps[step], "with")
        intervals = good.sites.get((*path, "intervals"))
        for site in good.matching(*path, "model") if intervals else ():
            for fit in _steps(good, "model.train"):
                if fit in good.upstream(step) and "matrix" not in good.value(good.steps[fit]):
                    edit = (site.start, site.end, f'"${{{{ steps.{fit}.model }}}}"')
                    spans = [(site.start, site.end), *_around(intervals)]
                    yield mutant(good, [edit], *spans, codes="no-intervals")


def cost_of_no_column(good: Good, rng: Random) -> Mutants:
    """A cost in a column that the table lacks, or that has texts."""
    for pattern in ("fp", "fn"):
        for site in good.matching("steps", "*", "with", "costs", pattern):
            for name in ("customer_value", "brand"):
                codes = "unknown-column not-a-number"
                yield mutant(good, [(site.start, site.end, name)], (site.start, site.start), codes=codes)


def limit_that_is_none(good: Good, rng: Random) -> Mutants:
    """A limit of a threshold without its direction, or beyond what a share can be."""
    for site in good.matching("steps", "*", "with", "constraint", "*"):
        if "{{" not in good.raw(site):
            for text in ('"0.5"', '"<=50"', '"=0.5"'):
                yield mutant(
                    good, [(site.start, site.end, text)], (site.start, site.start), codes="bad-action-parameter"
                )


def intervals_by_no_feature(good: Good, rng: Random) -> Mutants:
    """Groups of intervals by a column that the model does not have."""
    for step in _steps(good, "model.conformal"):
        for site in good.matching(*good.steps[step], "with", "by"):
            if _is_one_model(good, step):
                yield mutant(good, [(site.start, site.end, "hcp_id")], (site.start, site.start), codes="bad-group")


def threshold_of_numbers(good: Good, rng: Random) -> Mutants:
    """A calibration, or a threshold, of a regression."""
    numbers = [
        step
        for step in _steps(good, "model.train")
        if good.value((*good.steps[step], "with")).get("task") == "regression"
    ]
    for step in _steps(good, "model.calibrate", "model.threshold"):
        site = good.sites[(*good.steps[step], "with", "model")]
        for other in numbers:
            text = f'"${{{{ steps.{other}.model }}}}"'
            yield mutant(good, [(site.start, site.end, text)], (site.start, site.end), codes="wrong-task")


def _steps(good: Good, *actions: str) -> Iterator[str]:
    return (name for name in good.steps if good.uses(name) in actions)


def _given(good: Good, parameter: str) -> Iterator[tuple[Path, Site]]:
    """Where a step that fits a model sets a parameter."""
    for step in _steps(good, *FITS):
        path: Path = (*good.steps[step], "with")
        if (site := good.sites.get((*path, parameter))) is not None:
            yield path, site


def _columns_of(good: Good, *operations: str) -> Iterator[Site]:
    """The columns that operations of recipes name."""
    for step in _steps(good, "prepare.recipe"):
        for site in good.matching(*good.steps[step], "with", "steps", "*", "columns", "*"):
            if good.value(site.path[:-2])["op"] in operations:
                yield site


def _in_recipe(good: Good, site: Site, name: str, codes: str) -> Mutants:
    """The recipe with another column, which shows where a model is fitted with it."""
    fits = _fits_with(good, str(site.path[1]))
    spans: list[Span] = [(site.start, site.end)]
    for fit in fits:
        used = good.sites[(*good.steps[fit], "with", "recipe" if good.uses(fit) == "prepare.preview" else "prepare")]
        spans.append((used.start, used.end))
    if fits and name not in good.value(site.path[:-1]):
        yield mutant(good, [(site.start, site.end, name)], *spans, codes=codes)


def _fits_with(good: Good, recipe: str) -> list[str]:
    """The steps that fit a model, or show rows, with a recipe."""
    users = [str(site.path[1]) for site in _readers(good, f"steps.{recipe}.recipe")]
    return [step for step in users if good.uses(step) in (*FITS, "prepare.preview")]


def _readers(good: Good, reference: str) -> list[Site]:
    return [ref.site for ref in good.references if ".".join([ref.root[0], *(one for one, _ in ref.parts)]) == reference]


def _around(site: Site) -> list[Span]:
    """A value with its key."""
    return [(site.key[0] if site.key else site.start, site.end)]


def _added(good: Good, site: Site, option: str, codes: str, *others: Span) -> Mutants:
    """An option before a parameter of a block."""
    around = good.sites[site.path[:-1]]
    if site.key and not around.flow:
        start = site.key[0]
        indent = " " * (start - good.text.rfind("\n", 0, start) - 1)
        yield mutant(good, [(start, start, f"{option}\n{indent}")], (start, start), *others, codes=codes)


def _is_one_model(good: Good, step: str) -> bool:
    """Whether the model is that of one step: which of several is chosen, a plan does not know."""
    model: Any = good.value((*good.steps[step], "with", "model"))
    chosen = [one for one in good.upstream(step) if good.uses(one) == "model.select"]
    return " if " not in str(model) and not chosen
