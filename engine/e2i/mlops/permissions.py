"""Apply the operator's policy to a program's calls. In: the policy, a method, its agent. Out: nothing, or BadCall.

A call stands for the action that does the same in a spec. So one list in ``config/policy.yaml`` holds for the steps and
for the programs of a role, and one for each origin.
"""

from __future__ import annotations

from e2i.catalog.registry import Registry
from e2i.check.policy import allows
from e2i.errors import BadCall
from e2i.policy import Origin, Policy

ACTIONS = {
    "bentoml.package_model": "bentoml.package",
    "feast.get_feature_statistics": "feast.statistics",
    "feast.get_historical_features": "feast.historical_features",
    "feast.get_online_features": "feast.online_features",
    "feast.register_feature": "feast.apply",
    "great_expectations.create_suite": "great_expectations.profile",
    "mlflow.get_latest_model_version": "mlflow.find",
    "mlflow.get_or_create_experiment": "mlflow.log",
    "mlflow.register_model": "mlflow.register",
    "mlflow.start_run": "mlflow.log",
    "mlflow.transition_model_stage": "mlflow.promote",
    "opik.evaluate_agent": "opik.evaluate",
    "opik.log_feedback": "opik.score",
    "optuna.optimize": "optuna.tune",
    "shap.compute_feature_importance": "shap.explain",
    "shap.compute_interactions": "shap.explain",
    "shap.compute_shap_values": "shap.explain",
    "shap.explain_instance": "shap.explain",
}
"""Method → action, where their names differ. Spans and their metrics are not listed: everybody may be observed."""


def check(policy: Policy, origin: Origin, registry: Registry, method: str, agent: str | None) -> None:
    """Raise BadCall when the method, ``tool.name``, is not allowed for this origin or inside this agent's work, or when
    it needs a permission that the origin does not have.

    An agent that the policy does not list has no rules of its own.
    """
    action, rules, roles = ACTIONS.get(method, method), policy.rules(origin), policy.roles
    if not allows(rules.actions, action, registry) or allows(rules.refused, action, registry):
        raise BadCall(
            f"{method} is not allowed for programs of origin {origin}",
            code="policy-tool",
            hint=f"the operator decides: {origin}.actions in config/policy.yaml lists no {action}",
        )
    declared = registry.action(action)
    if declared is not None and declared.privilege:
        require(policy, origin, declared.privilege, method)
    if agent in roles and not allows(roles[agent], action, registry):
        able = sorted(name for name, patterns in roles.items() if allows(patterns, action, registry))
        asked = f"the operator decides: roles.{agent} in config/policy.yaml"
        raise BadCall(
            f'the agent role "{agent}" may not use {method}, which counts as {action}',
            code="policy-tool",
            hint=f"roles that may: {', '.join(able)}" if able else asked,
        )


def require(policy: Policy, origin: Origin, privilege: str, what: str) -> None:
    """Raise BadCall when the rules of this origin do not give the privilege that ``what`` takes."""
    if not getattr(policy.rules(origin), privilege):
        raise BadCall(
            f"{what} is not allowed for programs of origin {origin}",
            code="policy-privilege",
            hint=f"the operator decides: {origin}.{privilege} in config/policy.yaml",
        )
