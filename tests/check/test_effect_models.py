"""Effect models in a plan: what they go into, the columns that come out, and what does not apply to them."""

from __future__ import annotations

import e2i

SPEC = """version: 1
name: effects
steps:
  data: {{uses: dataset.hcp}}
  effect:
    uses: causal.estimate
    with:
      table: ${{{{ steps.data.journeys }}}}
      treatment: treatment
      outcome: outcome
      effect_modifiers: [{modifiers}]
      confounders: [region]
      estimator: {estimator}
  last:
    uses: {uses}
    with: {{{given}}}
"""
MODEL = 'model: "${{ steps.effect.model }}"'
TABLE = 'table: "${{ steps.data.journeys }}"'


def problems(
    uses: str, given: str, modifiers: str = "specialty", estimator: str = "LinearDML"
) -> list[tuple[str, int]]:
    spec = SPEC.format(uses=uses, given=given, modifiers=modifiers, estimator=estimator)
    found = e2i.validate(spec).to_json()["problems"]
    return [(one["code"], one["line"]) for one in found if one["severity"] == "error"]


def test_effect_models_go_where_models_are_applied() -> None:
    assert problems("model.predict", f"{MODEL}, {TABLE}") == []
    assert problems("shap.explain", f"{MODEL}, {TABLE}, explainer: linear") == []
    assert problems("mlflow.register", f"{MODEL}, name: effects") == []
    assert problems("bentoml.package", f"{MODEL}, name: effects") == []


def test_what_does_not_apply_to_an_effect_model_is_a_problem_of_its_line() -> None:
    last = 16
    assert problems("model.evaluate", f"{MODEL}, {TABLE}") == [("wrong-type", last)]
    assert problems("mlflow.compare", f"{MODEL}, {TABLE}, name: m, metric: rmse") == [("wrong-type", last)]
    assert problems("model.select", 'candidates: ["${{ steps.effect.model }}"], ' + TABLE)[0][1] == last
    trees = problems("shap.explain", f"{MODEL}, {TABLE}, explainer: tree", estimator="DRLearner")
    assert problems("shap.explain", f"{MODEL}, {TABLE}, explainer: tree", estimator="CausalForest") == []
    assert trees == [("wrong-explainer", last)]
    assert problems("shap.explain", f"{MODEL}, {TABLE}", modifiers="") == [("bad-feature", last)]
    assert problems("bentoml.package", f"{MODEL}, name: effects", modifiers="") == [("bad-feature", last)]


def test_the_columns_of_predicted_effects_are_known() -> None:
    spec = SPEC.format(
        uses="model.predict", given=f"{MODEL}, {TABLE}, keep: [hcp_id]", modifiers="specialty", estimator="DRLearner"
    )
    keep = "  {}: {{uses: data.select, with: {{table: '${{{{ steps.last.table }}}}', columns: [hcp_id, {}]}}}}\n"
    known = e2i.validate(spec + keep.format("good", "effect, lower, upper")).to_json()
    assert known["valid"], known["problems"]
    (problem,) = e2i.validate(spec + keep.format("bad", "effect_low")).to_json()["problems"]
    assert problem["code"] == "unknown-column" and (problem["line"], problem["column"]) == (17, 87)


def test_an_effect_model_cannot_be_promoted_by_a_metric() -> None:
    spec = SPEC.format(
        uses="mlflow.register", given=f"{MODEL}, name: effects", modifiers="specialty", estimator="LinearDML"
    )
    spec += (
        "  promote:\n    uses: mlflow.promote\n    with:\n      version: ${{ steps.last.version }}\n"
        "      stage: production\n      if_better: {metric: rmse, table: '${{ steps.data.journeys }}'}\n"
    )
    (problem,) = e2i.validate(spec).to_json()["problems"]
    assert problem["code"] == "wrong-task" and problem["line"] == 22
