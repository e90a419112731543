from __future__ import annotations

import json
from typing import Any

from msgspec.structs import asdict, replace

from e2i.catalog.step_error import ErrorDocument
from e2i.planning.diff import SpecDiff
from e2i.records.comparison import compare
from e2i.records.differences import RunDiff
from e2i.store.past import RunOrigin
from records.past import altered, digest, model, past_run, with_result, with_steps

SAME = SpecDiff(())


def names(pairs: Any) -> list[tuple[str, Any, Any]]:
    return [(pair.name, pair.before, pair.after) for pair in pairs]


def test_a_run_does_not_differ_from_itself() -> None:
    found = compare(past_run("a"), past_run("b"), SAME)
    assert (found.same_inputs, found.same_results) == (True, True)
    assert not any((found.params, found.files, found.versions, found.environment, found.outputs, found.artifacts))
    assert not any(pair.differs or pair.reason for pair in found.steps)


def test_outputs_of_the_pipeline_come_first_then_metrics_which_say_which_is_better() -> None:
    after = altered(
        past_run("b", outputs={"auc": 0.6}), "judge", outputs={"metrics": {"roc_auc": 0.6, "log_loss": 0.4}}
    )
    found = compare(past_run("a"), after, SAME)
    figures = {figure.name: figure for figure in found.figures}
    assert list(figures) == ["auc", "judge.metrics.roc_auc", "judge.metrics.log_loss", "split.parts.test"]
    assert (figures["judge.metrics.roc_auc"].better, figures["judge.metrics.log_loss"].better) == (False, True)
    auc = figures["auc"]
    assert auc.better is None and auc.change is not None and auc.relative is not None
    assert (round(auc.change, 6), round(auc.relative, 6)) == (-0.1, -0.142857)
    assert not found.same_results


def test_parameters_files_versions_and_commits_that_differ_are_reported_as_pairs() -> None:
    before = past_run("a")
    origin = replace(before.run.provenance, libraries={"xgboost": "3.3.0"}, seed=8, git=None)
    after = past_run("b", params={"rows": 10, "more": 1}, provenance=origin)
    after = with_result(after, "f-load", files={"data/x.csv": digest("7")})
    found = compare(before, after, SAME)
    assert names(found.params) == [("rows", 9, 10), ("more", None, 1)]
    assert names(found.files) == [("data/x.csv", digest("a"), digest("7"))]
    assert names(found.versions) == [("xgboost", "3.2.0", "3.3.0")]
    assert names(found.environment) == [
        ("seed", 7, 8), ("commit", "1" * 40, None), ("branch", "main", None), ("changed files", "specs/demo.yaml", None)
    ]  # fmt: skip
    assert not found.same_inputs


def test_a_step_says_what_first_made_its_result_another_one() -> None:
    after = altered(past_run("b"), "train", fingerprint="f-other", outputs={"model": model("7")})
    inputs = asdict(after.results["f-train"].components)
    after = with_result(after, "f-other", **{**inputs, "libraries": {"xgboost": "3.3.0"}})
    found = compare(past_run("a"), after, SAME)
    reasons = {pair.id: pair.reason for pair in found.steps if pair.reason}
    assert {step: (reason.code, reason.detail) for step, reason in reasons.items()} == {
        "train": ("library-changed", "xgboost 3.2.0 → 3.3.0")
    }
    assert names(found.artifacts) == [("train.model", digest("e"), digest("7"))]


def test_a_reused_step_ended_as_one_that_was_executed_and_a_failed_one_did_not() -> None:
    error = ErrorDocument(code="step-failed", message="no")
    after = altered(
        altered(past_run("b"), "load", status="reused"), "judge", status="failed", error=error, outputs=None
    )
    found = compare(past_run("a"), after, SAME)
    assert [pair.id for pair in found.steps if pair.differs] == ["judge"]


def test_steps_of_one_run_only_have_no_other_side() -> None:
    after = past_run("b")
    after = with_steps(after, *after.run.steps[:3])
    last = compare(past_run("a"), after, None).steps[-1]
    assert (last.id, last.after, last.differs) == ("judge", None, True)


def test_runs_of_early_versions_have_nothing_to_say_of_where_they_come_from() -> None:
    found = compare(past_run("a", provenance=RunOrigin()), past_run("b"), SAME)
    assert ("seed", None, 7) in names(found.environment)


def test_a_spec_that_can_no_longer_be_read_is_no_equal_one() -> None:
    found: RunDiff = compare(past_run("a"), past_run("b", spec="other"), None)
    assert not found.same_inputs
    assert found.to_json()["spec"] is None
    json.dumps(found.to_json())
