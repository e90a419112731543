"""How columns flow through ``shap.explain``. In: parameters, as far as they are known. Out: columns, and faults."""

from __future__ import annotations

from e2i.catalog.columns import Flow, Given, Known, KnownKeys, KnownModel, KnownTable
from e2i.catalog.files import Files
from e2i.estimators import columns


def explain(given: Given, files: Files) -> Flow:
    """The table of values has a column for the class when there are more than two, which only the data tells."""
    problems, model = columns.uses(given), given["model"]
    if not isinstance(model, KnownModel) or model.features is None:
        return Flow({}, problems)
    problems += columns.lacking(given["background"], ("background",), model.features, "what the model learnt from")
    outputs: dict[str, Known] = {"importance": KnownKeys(model.features)}
    if model.task == "regression":
        names = ["row", *model.features, "expected_value", "margin"]
        outputs["values"] = KnownTable(dict.fromkeys(names))
    return Flow(outputs, problems)
