"""Specs of an agent that use actions as they are meant, to change what their author may not change."""

from __future__ import annotations

import pytest

from project import Project

OPERATOR = """
version: 1
name: operator
steps:
  data: {uses: dataset.hcp, with: {rows: 400}}
  train:
    uses: model.train
    with: {table: "${{ steps.data.journeys }}", target: target, algorithm: LogisticRegression, features: [call_frequency]}
  register: {uses: mlflow.register, with: {model: "${{ steps.train.model }}", name: hcp}}
  promote: {uses: mlflow.promote, with: {version: "${{ steps.register.version }}", stage: production}}
"""
AGENT = """
version: 1
name: agent
steps:
  find: {uses: mlflow.load, with: {name: hcp, version: 1}}
  away: {uses: mlflow.promote, with: {version: "${{ steps.find.version }}", stage: archived}}
"""


@pytest.mark.slow
def test_an_agent_does_not_take_a_model_out_of_production(project: Project) -> None:
    """The spec names neither production nor the stage of the version: only the registry knows it."""
    project.write("operator.yaml", OPERATOR)
    project.write("agent.yaml", AGENT)
    assert project.cli("run", "operator.yaml").returncode == 0
    refused = project.cli("run", "agent.yaml", "--origin", "agent")
    assert refused.returncode == 3, refused.stderr
    assert "version 1 of 'hcp' is in production, out of which" in refused.stderr + refused.stdout
    project.write(
        "config/policy.yaml", "agent: {promote_to_production: true, approval: {rules: [promote_to_production]}}\n"
    )
    unapproved = project.cli("run", "agent.yaml", "--origin", "agent")
    assert unapproved.returncode == 3, unapproved.stderr
    project.write("config/policy.yaml", "agent: {promote_to_production: true}\n")
    allowed = project.cli("run", "agent.yaml", "--origin", "agent")
    assert allowed.returncode == 0, allowed.stderr
