"""The policy file and the operator's word for who wrote a spec."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2i import policy
from e2i.catalog.action import Effect
from e2i.catalog.marks import NamedPlace, Privilege, WrittenFile
from e2i.catalog.registry import BUILT_IN
from e2i.errors import BadInput, Refused
from e2i.policy import Origin

REPOSITORY = Path(__file__).parents[1]


def test_the_shipped_file_says_what_holds_without_it() -> None:
    assert policy.load(REPOSITORY / "config", {}) == policy.default()


def test_what_a_file_leaves_out_keeps_its_default(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("agent: {budgets: {trials: 5}, refused: [feast.*]}\n")
    found = policy.load(tmp_path, {})
    assert (found.agent.budgets.trials, found.agent.budgets.steps, found.agent.run_python) == (5, 1_000, False)
    assert found.agent.refused == ("feast.*",)
    assert found.human == policy.default().human


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("agent: {budget: {trials: 5}}\n", "agent.budget"),
        ("human: {actions: [mlflw.*]}\n", "there is no tool 'mlflw'; did you mean \"mlflow\"?"),
        ("human: {actions: [mlflow]}\n", "neither tool.action nor"),
        ("human: {budgets: {timeout: 3}}\n", "is not a duration"),
        ("roles: {a b: ['*']}\n", "roles"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "policy.yaml").write_text(text)
    with pytest.raises(Refused) as raised:
        policy.load(tmp_path, {})
    assert raised.value.code == "bad-policy"
    assert message in raised.value.message
    assert "policy.yaml" in raised.value.message


def test_what_a_run_may_not_do_is_what_is_refused_or_needs_an_approval_that_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("agent: {run_python: true, approval: {rules: [run_python, hosts]}}\n")
    found = policy.load(tmp_path, {})
    always = {
        *("promote_to_production", "keep_services", "change_endpoints", "publish_features", "unpinned_downloads"),
        "write_formulas",
    }
    assert set(found.agent.withheld(approved=True)) == {*always, "hidden_files"}
    assert set(found.agent.withheld(approved=False)) == {*always, "hidden_files", "run_python"}
    assert found.human.withheld(approved=False) == ()


def test_the_origin_is_that_of_the_option_or_the_environment_or_a_human() -> None:
    assert policy.origin(None, {}) is Origin.HUMAN
    assert policy.origin("agent", {}) is Origin.AGENT
    assert policy.origin(None, {"E2I_ORIGIN": "agent"}) is Origin.AGENT
    assert policy.origin("agent", {"E2I_ORIGIN": "human"}) is Origin.AGENT


def test_the_option_cannot_undo_what_the_environment_says() -> None:
    with pytest.raises(Refused) as raised:
        policy.origin("human", {"E2I_ORIGIN": "agent"})
    assert raised.value.code == "policy-origin"


@pytest.mark.parametrize("environ", [{}, {"E2I_ORIGIN": "human"}])
def test_a_word_that_is_no_origin_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(BadInput) as raised:
        policy.origin("agnet", environ)
    assert raised.value.hint == 'did you mean "agent"?'
    with pytest.raises(BadInput):
        policy.origin(None, {"E2I_ORIGIN": "robot"})


RECORDS = {
    "bentoml.package": "a Bento beside the others",
    "feast.apply": "a new version of the definitions",
    "mlflow.compare": "a record of the run",
    "mlflow.find": "nothing: it looks",
    "mlflow.load": "nothing: it looks",
    "mlflow.log": "a record of the run",
    "mlflow.register": "a version in no stage that serves",
    "opik.evaluate": "an experiment of its own",
    "opik.score": "a score beside the others",
    "optuna.tune": "trials of its own study",
}
"""Actions whose effect adds to what a tool keeps, and changes nothing that others rely on."""


def test_every_action_that_changes_what_others_rely_on_needs_a_permission() -> None:
    free = set()
    for name in BUILT_IN.names():
        action = BUILT_IN.action(name)
        assert action is not None
        marks = [mark for field in action.params.model_fields.values() for mark in field.metadata]
        named = any(isinstance(mark, Privilege | WrittenFile) for mark in marks)
        written = any(isinstance(mark, NamedPlace) and mark.written for mark in marks)
        if action.effect is not Effect.PURE and not (action.privilege or named or written):
            free.add(name)
    assert free == set(RECORDS)


@pytest.mark.parametrize("name", ["feast.materialize", "feast.push"])
def test_agents_publish_no_features_unless_the_policy_says_so(name: str) -> None:
    action = BUILT_IN.action(name)
    assert action is not None and action.privilege is not None
    assert action.privilege in policy.default().agent.withheld(approved=True)
    assert action.privilege not in policy.default().human.withheld(approved=True)
