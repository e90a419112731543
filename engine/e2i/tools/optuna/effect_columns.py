"""Derive the outputs of a search for effects while planning. In: known parameters. Out: columns and problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from e2i.catalog.columns import ColumnProblem, Flow, Given, Known, KnownFolds, KnownModel
from e2i.catalog.files import Files
from e2i.estimators import columns, fold_columns
from e2i.tools.causal.columns import estimate
from e2i.tools.optuna import effect_space

_COPIED = ("treatment", "effect_modifiers", "confounders", "continuous", "control", "treated", "group", "decided_at")


def tune(given: Given, files: Files) -> Flow:
    """Return the model of the effect, and what is wrong with the question, with its rows and with the space."""
    question, train = given["effect"], given["train"]
    if not isinstance(question, Mapping):
        return Flow()
    asked: dict[str, Any] = {name: question[name] for name in _COPIED if name in question}
    asked |= {"table": train, "outcome": given["target"], "estimator": given["algorithm"], "keep": ()}
    flow = estimate({"instrument": None, "graph": (), "unmeasured": (), **asked}, files)
    problems = [replace(one, path=_here(one.path)) for one in flow.problems]
    model = flow.outputs.get("model", KnownModel(task="effect"))
    assert isinstance(model, KnownModel)
    validation = given["validation"]
    if validation is not None and not problems:
        names = dict.fromkeys((model.target, *(model.features or ()), *model.judged_by))
        wanted = [name for name in names if name is not None]
        problems += columns.lacking(validation, ("validation",), wanted, "which the question names")
        problems += columns.seen(validation, ("validation",), model.trained_on)
    problems += fold_columns.check({**given, "features": None}, KnownModel(), "train")
    problems += [*_folds(given, question), *pruned(given), *effect_space.check(given)]
    outputs: dict[str, Known] = {"model": model}
    return Flow(outputs, problems)


def _here(path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Return the path of a parameter of causal.estimate in this action."""
    renamed = {"table": ("train",), "outcome": ("target",)}.get(str(path[0]))
    return (*renamed, *path[1:]) if renamed else ("effect", *path)


def _folds(given: Given, question: Mapping[str, Any]) -> Iterator[ColumnProblem]:
    """Yield a problem when the folds divide the rows of an entity."""
    folds, group = given["folds"], question.get("group")
    if isinstance(folds, KnownFolds) and isinstance(group, str) and folds.by != group:
        message = (
            f'the folds do not keep the rows of one "{group}" together, so a trial would be judged by rows it knows'
        )
        hint = f"make the folds with `strategy: group` and `by: {group}`"
        yield ColumnProblem(("folds",), "bad-search", message, hint=hint)


def pruned(given: Given) -> Iterator[ColumnProblem]:
    if isinstance(given["pruner"], str) and given["pruner"] != "none" and given["folds"] is None:
        message = "a trial of effects is judged once, when it is fitted, so it cannot be pruned"
        hint = "remove it, or judge by `folds`: trials are then pruned after a split"
        yield ColumnProblem(("pruner",), "unprunable", message, hint=hint, take_out=True)
