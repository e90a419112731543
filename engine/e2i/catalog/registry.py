"""The single mapping from tool names to the modules that declare them.

In: a name such as ``optuna.tune``. Out: its ``Action``, or its ``Tool``. Only the module of that tool is imported.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

from e2i.catalog.action import Action, ActionFunction, EffectCheck, Tool

if TYPE_CHECKING:
    from e2i.catalog.columns import ColumnFlow

TOOLS: dict[str, str] = {
    "bentoml": "e2i.tools.bentoml",
    "data": "e2i.tools.data",
    "database": "e2i.tools.database",
    "dataset": "e2i.tools.dataset",
    "debug": "e2i.tools.debug",
    "feast": "e2i.tools.feast",
    "great_expectations": "e2i.tools.great_expectations",
    "mlflow": "e2i.tools.mlflow",
    "model": "e2i.tools.model",
    "opik": "e2i.tools.opik",
    "optuna": "e2i.tools.optuna",
    "python": "e2i.tools.python",
    "remote": "e2i.tools.remote",
    "shap": "e2i.tools.shap",
}
"""Tool name → the module whose ``TOOL`` declares it."""

SINKS = ("mlflow", "opik")
"""The tools that receive telemetry from the outbox: each has ``open_sink`` in its module ``sink``."""


def tool(name: str) -> Tool | None:
    """Returns the tool of that name, or None."""
    module = TOOLS.get(name)
    if module is None:
        return None
    return _declared(module)


@lru_cache(maxsize=1_000)
def action(uses: str) -> Action | None:
    """Returns the action that ``uses`` names, or None."""
    tool_name, _, name = uses.partition(".")
    declared = tool(tool_name)
    return declared.action(name) if declared else None


def tool_name(uses: str) -> str:
    """Returns the name of the tool in ``uses``, also of a tool that does not exist."""
    return uses.partition(".")[0]


@cache
def _declared(module: str) -> Tool:
    declared = import_module(module).TOOL
    assert isinstance(declared, Tool), module
    return declared


def names() -> list[str]:
    """Returns every ``tool.action``, sorted. Imports every declaration: for messages and listings only."""
    declared = (tool(name) for name in sorted(TOOLS))
    return sorted(f"{item.name}.{one.name}" for item in declared if item for one in item.actions)


@cache
def function(uses: str) -> ActionFunction:
    """Returns the function of an action. Imports the tool's ``actions`` module."""
    tool, _, name = uses.partition(".")
    implementation: ActionFunction = getattr(import_module(f"{TOOLS[tool]}.actions"), name)
    return implementation


@cache
def effect_check(uses: str) -> EffectCheck:
    """Returns the check for the effect of a ``verified`` action. Imports the tool's light ``effects`` module."""
    tool, _, name = uses.partition(".")
    check: EffectCheck = getattr(import_module(f"{TOOLS[tool]}.effects"), name)
    return check


def column_flow(uses: str) -> ColumnFlow | None:
    """Returns the column flow of an action, if it has one. Imports the tool's light ``columns`` module."""
    found = action(uses)
    if found is None or not found.columns:
        return None
    flow: ColumnFlow = getattr(import_module(f"{TOOLS[tool_name(uses)]}.columns"), found.name)
    return flow
