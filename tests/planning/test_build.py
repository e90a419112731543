"""Plans from a history that is made up: verdicts and reasons without a run."""

from __future__ import annotations

from typing import Any

import pytest

from e2i.planning import fingerprint
from e2i.planning.build import Planner
from e2i.planning.fingerprint import Environment
from e2i.planning.inputs import Components
from e2i.planning.model import Plan
from e2i.spec.expansion.expand import expand
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.load import load

AROUND = Environment(library=lambda name: None, file=lambda name: None, python="3.11")
SPEC = """
version: 1
name: p
steps:
  a: {uses: debug.echo, with: {value: 1}}
  b: {uses: debug.echo, with: {value: "${{ steps.a.value }}"}}
  c: {uses: debug.echo, needs: [b]}
"""


class Past:
    """A history that says what a test wants."""

    def __init__(self, results: dict[str, dict[str, Any]] | None = None, static: bool = False) -> None:
        self.results = results or {}
        self.static = static
        self.before: dict[str, Components] = {}

    def outputs(self, fingerprint: str) -> dict[str, Any] | None:
        return self.results.get(fingerprint)

    def any_result(self, static_key: str) -> bool:
        return self.static

    def last(self, pipeline: str, step: str) -> Components | None:
        return self.before.get(step)


def expanded(text: str) -> Expanded:
    loaded, problems = load(text, "p.yaml")
    assert loaded is not None, problems
    return expand(loaded, {}, {}, ["T"])[0]


def reported(plan: Plan) -> dict[str, tuple[str, str]]:
    return {step.id: (step.verdict.value, step.reason.code.value) for step in plan.steps}


def test_without_a_history_everything_runs() -> None:
    plan = Planner(expanded(SPEC), Past(), AROUND).plan()
    assert reported(plan) == dict.fromkeys("abc", ("run", "never-run"))
    assert [step.fingerprint is None for step in plan.steps] == [False, True, False]
    assert plan.summary == {"run": 3, "reuse": 0, "undecided": 0, "always": 0, "skip": 0}


def test_a_known_result_is_reused_and_carries_on() -> None:
    spec = expanded(SPEC)
    first = Planner(spec, Past(), AROUND).plan().steps[0]
    assert first.fingerprint is not None
    plan = Planner(spec, Past({first.fingerprint: {"value": 1}}), AROUND).plan()
    assert reported(plan)["a"] == ("reuse", "unchanged")
    assert plan.steps[1].fingerprint == first.fingerprint  # b does what a did
    assert reported(plan)["b"] == ("reuse", "unchanged")


def test_a_step_below_one_that_runs_is_deferred_if_it_may_have_been_done() -> None:
    plan = Planner(expanded(SPEC), Past(static=True), AROUND).plan()
    assert reported(plan)["b"] == ("undecided", "upstream-runs")
    assert plan.steps[1].reason.detail == "depends on the output of a"


def test_a_lost_result_is_called_lost() -> None:
    spec = expanded(SPEC)
    past = Past()
    past.before["a"] = Planner(spec, past, AROUND).plan().steps[0].components
    assert reported(Planner(spec, past, AROUND).plan())["a"] == ("run", "result-lost")


def test_the_digest_is_of_what_would_be_done_not_of_what_was() -> None:
    spec = expanded(SPEC)
    empty = Planner(spec, Past(), AROUND).plan()
    assert empty.digest == Planner(spec, Past(static=True), AROUND).plan().digest
    others = {
        Planner(spec, Past(), AROUND, fresh=True).plan().digest,
        Planner(spec, Past(), AROUND, selected={"a"}).plan().digest,
        Planner(expanded(SPEC.replace("value: 1", "value: 2")), Past(), AROUND).plan().digest,
        Planner(expanded(SPEC.replace("needs: [b]", "needs: [a]")), Past(), AROUND).plan().digest,
        Planner(expanded(SPEC.replace("needs: [b]", "needs: [b], on_error: continue")), Past(), AROUND).plan().digest,
        Planner(spec, Past(), Environment(lambda name: None, lambda name: None, "3.12")).plan().digest,
    }
    assert len(others) == 6
    assert empty.digest not in others


def test_a_secret_is_in_the_plan_by_name_only() -> None:
    spec = expanded(SPEC.replace("value: 1", "value: '${{ secrets.T }}'"))
    first = Planner(spec, Past(), AROUND).plan().steps[0]
    assert first.components.params == {"value": {"$secret": "T"}}
    assert first.fingerprint == fingerprint.fingerprint(first.components)


@pytest.mark.parametrize(("needs", "verdict"), [("", "reuse"), ("cache: false,", "run")])
def test_a_service_is_started_only_for_a_step_that_is_executed(needs: str, verdict: str) -> None:
    spec = expanded(
        f"""
version: 1
name: s
steps:
  load: {{uses: data.load, with: {{path: x.csv}}}}
  train: {{uses: model.train, with: {{table: "${{{{ steps.load.table }}}}", target: y, algorithm: XGBoost}}}}
  package: {{uses: bentoml.package, with: {{model: "${{{{ steps.train.model }}}}", name: m}}}}
  serve: {{uses: bentoml.serve, with: {{bento: "${{{{ steps.package.bento }}}}"}}}}
  smoke:
    {{{needs} uses: bentoml.predict,
     with: {{service: "${{{{ steps.serve.service }}}}", table: "${{{{ steps.load.table }}}}"}}}}
"""
    )
    digest = "sha256:" + "0" * 64
    results: dict[str, dict[str, Any]] = {}
    given: dict[str, dict[str, Any]] = {
        "load": {"table": {"type": "table", "digest": digest, "columns": [], "rows": 0}},
        "train": {
            "model": {"type": "model", "digest": digest, "algorithm": "", "task": "", "target": "", "features": []},
            "metrics": {},
        },
        "package": {"bento": {"type": "bento", "digest": digest, "tag": "m:1", "model": digest}},
        "serve": {"service": {"type": "service", "digest": digest, "url": "", "pid": 1, "kept": False}},
        "smoke": {},
    }
    for name, outputs in given.items():
        step = next(step for step in Planner(spec, Past(results), AROUND).plan().steps if step.id == name)
        assert step.fingerprint is not None, name
        results[step.fingerprint] = outputs
    plan = Planner(spec, Past(results), AROUND).plan()
    serve = next(step for step in plan.steps if step.id == "serve")
    assert serve.verdict.value == verdict
    assert serve.reason.code.value == ("service-not-needed" if verdict == "reuse" else "service-needed")


def test_what_reads_the_run_or_stands_under_finally_is_executed_every_time() -> None:
    spec = """
version: 1
name: p
steps:
  a: {uses: debug.echo, with: {value: "${{ run.id }}"}}
  b: {uses: debug.echo, with: {value: "${{ steps.a.value }}"}}
finally:
  c: {uses: debug.echo}
  d: {uses: debug.echo, needs: [c], when: "${{ run.status == 'failed' }}"}
"""
    found = Planner(expanded(spec), Past(), AROUND).plan()
    assert {step.id: (*reported(found)[step.id], step.final) for step in found.steps} == {
        "a": ("always", "reads-run", False),
        "b": ("run", "never-run", False),
        "c": ("always", "finally", True),
        "d": ("undecided", "when-unknown", True),
    }


def test_a_condition_on_a_result_that_is_reused_is_decided() -> None:
    spec = """
version: 1
name: p
steps:
  a: {uses: debug.echo, with: {value: 1}}
  b: {uses: debug.echo, when: "${{ steps.a.value == 2 }}"}
  c: {uses: debug.echo, with: {value: "${{ 1 / (steps.a.value - 1) }}"}}
  d: {uses: debug.echo, with: {value: "${{ steps.b.value | default('none') }}"}}
"""
    first = Planner(expanded(spec), Past(), AROUND).plan()
    mark = next(step.fingerprint for step in first.steps if step.id == "a")
    assert mark is not None
    found = Planner(expanded(spec), Past({mark: {"value": 1}}), AROUND).plan()
    assert {step.id: step.verdict.value for step in found.steps} == {"a": "reuse", "b": "skip", "c": "run", "d": "run"}
