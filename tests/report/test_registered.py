"""Questions of a bound run: registered against executed, and how many were tried before."""

from __future__ import annotations

import pytest

from e2i.errors import Refused
from e2i.records import lookup
from e2i.report import page, registered, steps
from e2i.store.artifacts import ArtifactStore
from project import Project

SPEC = """
version: 1
name: calls
params: {confounder: {type: string, default: region}}
steps:
  data: {uses: dataset.hcp, with: {rows: 1000, seed: 1}}
  effect:
    uses: causal.estimate
    with:
      table: "${{ steps.data.journeys }}"
      treatment: treatment
      outcome: outcome
      confounders: ["${{ params.confounder }}", call_frequency]
      outcome_model: {algorithm: Ridge}
      treatment_model: {algorithm: LogisticRegression}
      keep: [hcp_id]
  refute:
    uses: causal.refute
    with:
      model: "${{ steps.effect.model }}"
      table: "${{ steps.data.journeys }}"
      repeats: 2
      on_refuted: warn
      checks: {robustness: 0.01}
"""


@pytest.mark.slow
def test_a_bound_run_shows_what_was_registered_and_another_question_is_refused(project: Project) -> None:
    project.run(SPEC, {"confounder": "brand"})
    plan = project.plan(SPEC).document
    record = project.run(SPEC, bound_to=plan)
    past = lookup.run(project.workspace.store, record.run)
    effect, refute = registered.of(past, steps.of(past, steps.read_spec(past.run)))
    rows = {row.name: (row.registered, row.executed) for row in effect.rows}
    assert rows["confounders"] == ("region; call_frequency",) * 2 and rows["estimand"] == ("ATE", "ATE")
    assert rows["adjusted for"] == ("region; call_frequency",) * 2 and rows["table"][0] == "${{ steps.data.journeys }}"
    checks = next(row for row in refute.rows if row.name == "checks")
    assert checks.executed == "placebo: 3.0, random_cause: 1.0, subset: 1.0, robustness: 0.01" == checks.registered
    assert (effect.on_data, effect.on_question) == (1, 1) and not any(row.differs for row in effect.rows)
    artifacts = ArtifactStore(project.workspace.store)
    shown = page.build(past, lambda artifact: artifacts.path(artifact.digest))
    assert "Before this run, 1 other specification had been estimated on this table" in shown
    for old, new, named in (
        ("keep: [hcp_id]", "estimand: ATT\n      keep: [hcp_id]", r"effect differs \(params\.estimand\)"),
        ("robustness: 0.01", "robustness: 0.001", r"refute differs \(params\.checks\.robustness\)"),
        (SPEC[SPEC.index("  refute:") :], "", "refute is gone"),
    ):
        with pytest.raises(Refused, match=f"the plan no longer matches the approved one: .*{named}"):
            project.run(SPEC.replace(old, new), bound_to=plan)
