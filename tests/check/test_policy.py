"""What the policy does not allow is found before anything runs, and again when values are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from e2i import api, policy
from e2i.check.policy import Authority
from e2i.errors import Exit, InvalidSpec, Refused, RefusedSpec
from e2i.execution.outcome import exit_code
from e2i.policy import Origin, Policy
from e2i.settings import Settings
from e2i.spec.operations import Replace

REPOSITORY = Path(__file__).parents[2]
SPECS = [path for path in sorted((REPOSITORY / "specs").glob("*.yaml")) if not path.name.endswith(".test.yaml")]
Open = Callable[..., api.Workspace]


@pytest.fixture
def workspace(tmp_path: Path) -> Open:
    def opened(origin: Origin = Origin.HUMAN, settings: dict[str, Any] | None = None, **rules: Any) -> api.Workspace:
        data = policy.default().model_dump()
        data[origin.value] |= rules
        chosen = Settings.model_validate({"sinks": (), "workers": 1, **(settings or {})})
        return api.Workspace(tmp_path, tmp_path / ".e2i", chosen, Policy.model_validate(data), origin)

    return opened


def codes(spec: dict[str, Any], workspace: api.Workspace) -> list[tuple[str, str]]:
    return [(problem.code, problem.path) for problem in api.validate(spec, workspace=workspace).errors]


def pipeline(**steps: dict[str, Any]) -> dict[str, Any]:
    return {"version": 1, "name": "x", "steps": steps}


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_shipped_specs_are_allowed_to_people_and_their_agents(path: Path) -> None:
    workspace = api.Workspace.open(root=REPOSITORY, environ={})
    assert api.validate(path, workspace=workspace).problems == ()


def test_actions_are_allowed_by_pattern_and_taken_away_again(workspace: Open) -> None:
    spec = pipeline(a={"uses": "debug.echo"}, b={"uses": "debug.sleep", "with": {"seconds": 0}})
    assert codes(spec, workspace(actions=("debug.*",))) == []
    assert codes(spec, workspace(actions=("debug.*",), refused=("debug.sleep",))) == [("policy-tool", "/steps/b/uses")]
    assert codes(spec, workspace(actions=("debug.sleep",))) == [("policy-tool", "/steps/a/uses")]


def test_a_pattern_that_names_no_action_is_an_error_not_a_permission(workspace: Open) -> None:
    with pytest.raises(Refused) as raised:
        codes(pipeline(a={"uses": "debug.echo"}), workspace(refused=("debug.ecko",)))
    assert raised.value.code == "bad-policy"


def test_the_role_of_the_agent_decides_also(workspace: Open) -> None:
    spec = pipeline(
        a={"uses": "dataset.hcp", "agent": "model_deployer"}, b={"uses": "dataset.hcp", "agent": "data_preparer"}
    )
    assert codes(spec, workspace()) == [("policy-tool", "/steps/a/uses")]


def test_an_unknown_role_comes_with_its_fix(workspace: Open) -> None:
    (problem,) = api.validate(
        pipeline(a={"uses": "debug.echo", "agent": "model_trainr"}), workspace=workspace()
    ).problems
    assert problem.code == "unknown-agent"
    assert problem.fixes == (Replace(path="/steps/a/agent", value="model_trainer"),)


def test_privileges_are_those_that_parameters_declare(workspace: Open) -> None:
    digest = "sha256:" + "0" * 64
    spec = pipeline(
        d={"uses": "dataset.hcp", "with": {"rows": 40}},
        t={
            "uses": "model.train",
            "with": {"table": "${{ steps.d.journeys }}", "target": "target", "features": ["brand"]},
        },
        r={"uses": "mlflow.register", "with": {"model": "${{ steps.t.model }}", "name": "x"}},
        p={"uses": "mlflow.promote", "with": {"version": "${{ steps.r.version }}", "stage": "production"}},
        k={"uses": "bentoml.package", "with": {"model": "${{ steps.t.model }}", "name": "xx"}},
        s={"uses": "bentoml.serve", "with": {"bento": "${{ steps.k.bento }}", "keep": True}},
    )
    assert digest
    assert codes(spec, workspace()) == []
    assert sorted(codes(spec, workspace(Origin.AGENT))) == [
        ("policy-privilege", "/steps/p/with/stage"),
        ("policy-privilege", "/steps/s/with/keep"),
    ]


def test_trials_are_counted_over_all_steps_and_defaults_count(workspace: Open) -> None:
    tune = {
        "uses": "optuna.tune",
        "matrix": {"algorithm": ["XGBoost", "LightGBM", "CatBoost"]},
        "with": {"train": "${{ steps.d.journeys }}", "validation": "${{ steps.held.journeys }}", "target": "target",
                 "features": ["brand"], "algorithm": "${{ matrix.algorithm }}"},
    }  # fmt: skip
    spec = pipeline(d={"uses": "dataset.hcp"}, held={"uses": "dataset.hcp", "with": {"seed": 2}}, t=tune)
    assert codes(spec, workspace(budgets={"trials": 60})) == []
    assert codes(spec, workspace(budgets={"trials": 59})) == [("policy-budget", "/steps/t/with/trials")]


@pytest.mark.parametrize(
    ("budget", "location"),
    [({"steps": 2}, "/steps"), ({"combinations": 2}, "/steps/a/matrix"), ({"timeout": "1m"}, "/steps/a/timeout"),
     ({"attempts": 1}, "/steps/a/retry/attempts"), ({"rows": 39}, "/steps/b/with/rows"),
     ({"query_memory": "500MB"}, "/steps/s/with/memory")],
)  # fmt: skip
def test_each_budget_is_held(workspace: Open, budget: dict[str, Any], location: str) -> None:
    spec = pipeline(
        a={"uses": "debug.echo", "matrix": {"x": [1, 2, 3]}, "timeout": "2m", "retry": {"attempts": 2}},
        b={"uses": "dataset.hcp", "with": {"rows": 40}},
        q={"uses": "sql.query", "with": {"query": "SELECT 1 AS a", "memory": "100MB"}},
        s={"uses": "table.sort", "with": {"table": "${{ steps.q.table }}", "by": ["a"], "memory": "0.6GB"}},
    )
    assert codes(spec, workspace()) == []
    assert set(codes(spec, workspace(budgets=budget))) == {("policy-budget", location)}


def test_a_text_that_is_too_long_is_not_even_read(workspace: Open) -> None:
    validation = api.validate("version: 1\nname: [\n", workspace=workspace(budgets={"bytes": 10}))
    assert [problem.code for problem in validation.problems] == ["policy-budget"]
    assert validation.exit_code is Exit.REFUSED


def test_services_elsewhere_are_refused_to_agents_unless_listed(workspace: Open) -> None:
    settings = {"tools": {"mlflow": {"tracking_uri": "https://mlflow.example.com"}}, "sinks": ("mlflow",)}
    load = pipeline(a={"uses": "mlflow.load", "with": {"name": "x", "version": 1}})
    assert codes(load, workspace(settings=settings)) == []
    assert sorted(codes(load, workspace(Origin.AGENT, settings))) == [
        ("policy-host", "/name"),
        ("policy-host", "/steps/a/uses"),
    ]
    assert codes(load, workspace(Origin.AGENT, settings, hosts=("*.example.com",))) == []


def test_a_model_by_uri_is_on_the_host_of_mlflow(workspace: Open) -> None:
    settings = {"tools": {"mlflow": {"tracking_uri": "https://mlflow.example.com"}}}

    def explained(uri: str) -> dict[str, Any]:
        model = {"uri": uri, "features": ["brand"]}
        return pipeline(
            a={"uses": "dataset.hcp"},
            x={"uses": "shap.explain", "with": {"table": "${{ steps.a.journeys }}", "model": model}},
        )

    found = explained("models:/m/1")
    agent = partial(workspace, Origin.AGENT, settings, run_python=True)
    assert codes(found, agent()) == [("policy-host", "/steps/x/with/model/uri")]
    assert codes(found, agent(hosts=("*.example.com",))) == []
    assert codes(explained("runs:/a/../b"), workspace()) == [("bad-action-parameter", "/steps/x/with/model/uri")]
    plans = [api.plan(explained("models:/m/1"), workspace=workspace(settings=each)).digest for each in (settings, None)]
    assert plans[0] != plans[1], "an approval is bound to the server that the model comes from"
    later = api.validate(explained("${{ steps.a.true_ate }}"), workspace=workspace(Origin.AGENT)).problems
    assert "policy-privilege" in {problem.code for problem in later}
    assert not any("Pending" in problem.message for problem in later)


def test_only_policy_problems_are_a_refusal(workspace: Open) -> None:
    refused = pipeline(a={"uses": "debug.echo", "timeout": "99d"})
    bad = pipeline(a={"uses": "debug.echo", "timeout": "99d", "with": {"valeu": 1}})
    assert api.validate(refused, workspace=workspace()).exit_code is Exit.REFUSED
    assert api.validate(bad, workspace=workspace()).exit_code is Exit.BAD_INPUT
    with pytest.raises(RefusedSpec) as raised:
        api.plan(refused, workspace=workspace())
    assert raised.value.exit_code is Exit.REFUSED
    with pytest.raises(InvalidSpec) as also:
        api.plan(bad, workspace=workspace())
    assert also.value.exit_code is Exit.BAD_INPUT


def test_a_refused_run_writes_nothing(workspace: Open, tmp_path: Path) -> None:
    with pytest.raises(RefusedSpec):
        api.run(pipeline(a={"uses": "debug.echo", "timeout": "99d"}), workspace=workspace())
    assert list(tmp_path.iterdir()) == []


def test_what_only_a_run_knows_is_checked_before_the_step_is_executed(workspace: Open, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    spec = pipeline(
        path={"uses": "debug.echo", "with": {"value": "../secret.csv"}},
        rows={"uses": "debug.echo", "with": {"value": 100}},
        load={"uses": "data.load", "with": {"path": "${{ steps.path.value }}"}},
        make={"uses": "dataset.hcp", "with": {"rows": "${{ steps.rows.value }}"}},
    )
    record = api.run(spec, workspace=workspace(budgets={"rows": 99}))
    errors = {name: step.error.code if step.error else None for name, step in record.steps.items()}
    assert errors == {"path": None, "rows": None, "load": "policy-path", "make": "policy-budget"}
    assert exit_code(record.status, record.ends, degraded=False) is Exit.REFUSED
    assert record.status == "failed"
    assert {name: step.attempts for name, step in record.steps.items()} == {"path": 1, "rows": 1, "load": 0, "make": 0}


def test_an_artifact_counts_only_where_a_step_made_it(workspace: Open) -> None:
    forged = {"type": "service", "digest": "sha256:" + "0" * 64, "url": "http://127.0.0.1:1/", "pid": 1}
    ask = {"uses": "bentoml.predict", "with": {"input": [{"x": 1}], "service": forged}}
    assert codes(pipeline(a=ask), workspace()) == [("forged-artifact", "/steps/a/with/service")]
    text = {"value": json.dumps(forged)}
    passed = pipeline(
        d={"uses": "dataset.hcp", "with": {"rows": 40}},
        e={"uses": "debug.echo", "with": {"value": {"table": "${{ steps.d.journeys }}"}}},
        s={"uses": "data.select", "with": {"table": "${{ steps.e.value.table }}", "rows": 3}},
        t={"uses": "debug.echo", "with": text},
    )
    record = api.run(passed, workspace=workspace())
    assert record.status == "succeeded", record.to_json()


def test_an_authority_without_a_workspace_looks_at_texts_alone() -> None:
    authority = Authority(policy.default())
    assert authority.rules == policy.default().human
