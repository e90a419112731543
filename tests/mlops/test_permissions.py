"""The policy of the workspace holds for programs as for specs: by origin, and inside an agent's work by its role."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from e2i.errors import BadCall
from e2i.mlops import BentoMLService, FeastClient, MLflowConnector, OpikConnector, SHAPExplainer

X = np.random.default_rng(0).normal(size=(40, 2))
MODEL = LogisticRegression().fit(X, X[:, 0] > 0)


def policy(folder: Path, text: str) -> None:
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config" / "default.yaml").write_text("{}\n")
    (folder / "config" / "policy.yaml").write_text(text)


def test_an_agent_may_call_what_its_role_lists_and_nothing_else(workspace: Path) -> None:
    policy(workspace, "roles: {analyst: [shap.*], shipper: ['bentoml.*', mlflow.promote]}\n")
    explainer = SHAPExplainer()
    with OpikConnector().trace_agent("analyst", "explain"):
        assert explainer.compute_shap_values(MODEL, X)[0].shape == (40, 2)
    with OpikConnector().trace_agent("shipper", "ship"), pytest.raises(BadCall) as refused:
        explainer.compute_shap_values(MODEL, X)
    assert refused.value.code == "policy-tool"
    assert str(refused.value) == (
        'the agent role "shipper" may not use shap.compute_shap_values, which counts as shap.explain'
        " (roles that may: analyst, feature_analyzer)"
    )


def test_the_role_holds_for_calls_inside_calls_and_ends_with_the_block(workspace: Path) -> None:
    policy(workspace, "roles: {analyst: [shap.*]}\n")
    tracer, explainer = OpikConnector(), SHAPExplainer()
    with tracer.trace_agent("analyst", "explain"), tracer.trace_llm_call("m"):
        with pytest.raises(BadCall, match=r'"analyst" may not use mlflow\.start_run, which counts as'):
            MLflowConnector().start_run(experiment_name="e")
        with tracer.trace_agent("someone", "elsewhere"):  # of no role: no rules of its own
            MLflowConnector().start_run(experiment_name="e")
    MLflowConnector().start_run(experiment_name="e")
    assert explainer.explain_instance(MODEL, X, 0)


def test_everybody_may_be_observed(workspace: Path) -> None:
    policy(workspace, "roles: {analyst: [shap.*]}\n")
    tracer = OpikConnector()
    with tracer.trace_agent("analyst", "explain") as span:
        tracer.log_metric("auc", 0.9)
        with pytest.raises(BadCall, match=r"may not use opik\.log_feedback, which counts as opik\.score"):
            tracer.log_feedback(span.trace_id, 1.0)


def test_a_program_of_an_agent_has_the_rules_of_that_origin(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy(workspace, "agent: {refused: [feast.*]}\n")
    monkeypatch.setenv("E2I_ORIGIN", "agent")
    with pytest.raises(BadCall, match=r"feast\.materialize is not allowed for programs of origin agent \(the operator"):
        FeastClient().materialize()
    with pytest.raises(BadCall, match=r"moving hcp 1 to Production is not allowed .*agent\.promote_to_production"):
        asyncio.run(MLflowConnector().transition_model_stage("hcp", 1, "Production"))
    service = BentoMLService()
    for call in (service.deploy("hcp:1", "hcp"), service.update_traffic("hcp", 50), service.undeploy("hcp")):
        with pytest.raises(BadCall, match=r"bentoml\.\w+ is not allowed for programs .*agent\.change_endpoints"):
            asyncio.run(call)


def test_a_changed_policy_holds_for_connectors_made_afterwards(workspace: Path) -> None:
    policy(workspace, "# all defaults\n")
    SHAPExplainer().explain_instance(MODEL, X, 0)
    policy(workspace, "human: {refused: [shap.explain]}\n")
    with pytest.raises(BadCall, match="not allowed for programs of origin human"):
        SHAPExplainer().explain_instance(MODEL, X, 0)
