"""Derive the columns of ``shap.explain`` while planning. In: known parameters. Out: columns and problems."""

from __future__ import annotations

from collections.abc import Collection

from e2i.catalog.columns import Flow, Given, Known, KnownKeys, KnownModel, KnownTable
from e2i.catalog.files import Files
from e2i.estimators import columns


def explain(given: Given, files: Files) -> Flow:
    """Return the columns, if known. The table has a column for the class if the data has more than two classes."""
    problems, model = columns.uses(given), given["model"]
    if not isinstance(model, KnownModel) or model.features is None:
        return Flow({}, problems)
    problems += columns.lacking(given["background"], ("background",), model.features, "used as features by the model")
    outputs: dict[str, Known] = {"importance": KnownKeys(model.features)}
    if model.task == "regression":
        row, expected, margin = (beside(name, model.features) for name in ("row", "expected_value", "margin"))
        names = [row, *model.features, expected, margin]
        outputs["values"] = KnownTable(dict.fromkeys(names))
    return Flow(outputs, problems)


def beside(name: str, features: Collection[str]) -> str:
    """Return the name of a column beside the features: with underscores at its end if a feature has that name."""
    while name in features:
        name += "_"
    return name
