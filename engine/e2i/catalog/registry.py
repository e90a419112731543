"""The ``Registry``: the tools that specs can use, from their names to the modules that declare them.

In: a name such as ``optuna.tune``. Out: its ``Action``, or its ``Tool``. Only the module of that tool is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from e2i.catalog.action import Action, ActionFunction, EffectCheck, Params, Tool
from e2i.catalog.extensible import Group, Named, Preset
from e2i.errors import InvalidSpec

if TYPE_CHECKING:
    from e2i.catalog.columns import ColumnFlow
    from e2i.catalog.plugins import Plugin
    from e2i.spec.problems import Location

TOOLS: Final[Mapping[str, str]] = {
    "bentoml": "e2i.tools.bentoml",
    "causal": "e2i.tools.causal",
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
    "prepare": "e2i.tools.prepare",
    "python": "e2i.tools.python",
    "remote": "e2i.tools.remote",
    "shap": "e2i.tools.shap",
    "sql": "e2i.tools.sql",
    "table": "e2i.tools.table",
}
"""The name of each tool of e2i → the module whose ``TOOL`` declares it."""

SINKS = ("mlflow", "opik")
"""The tools that receive telemetry from the outbox: each has ``open_sink`` in its module ``sink``."""

EXTENSIONS: Final[Mapping[Group, str]] = {"algorithms": "e2i.estimators.extended"}
"""A group of names that plug-ins and settings add to → the module whose ``load`` checks what they add."""


def tool_name(uses: str) -> str:
    """Returns the name of the tool in ``uses``, also of a tool that does not exist."""
    return uses.partition(".")[0]


class Registry:
    """The tools of one environment: those of e2i, and the plug-ins that its settings list. Never changes.

    A plug-in is looked for and imported when its name is first asked for, so one that is broken breaks only specs that
    use it. A method that needs a broken one raises BadPlugin, which has the location of the setting.
    """

    def __init__(
        self, plugins: Mapping[str, Location] | None = None, presets: Mapping[str, Preset] | None = None
    ) -> None:
        """``plugins``: the name of each listed plug-in → the location of its setting, for messages. ``presets``: the
        algorithms that the settings define.
        """
        self.plugins: Final[Mapping[str, Location]] = dict(plugins or {})
        self.presets: Final[Mapping[str, Preset]] = dict(presets or {})

    def __contains__(self, tool: object) -> bool:
        return tool in TOOLS or tool in self.plugins

    def __iter__(self) -> Iterator[str]:
        """Yields the name of every tool, sorted, without importing any."""
        return iter(sorted({*TOOLS, *self.plugins}))

    def tool(self, name: str) -> Tool | None:
        """Returns the tool of that name, or None."""
        if name in TOOLS:
            return _declared(TOOLS[name])
        return self._plugin(name).tool if name in self.plugins else None

    def action(self, uses: str) -> Action | None:
        """Returns the action that ``uses`` names, or None."""
        found = _action(uses)
        if found is not None or not self.plugins:
            return found
        tool, _, name = uses.partition(".")
        return self._plugin(tool).tool.action(name) if tool in self.plugins else None

    def parameters(self, uses: str) -> Collection[str]:
        """Returns the names of the parameters of an action. Empty when there is no such action, or it is broken."""
        found = None if self.problem(tool_name(uses)) else self.action(uses)
        return found.params.model_fields if found else ()

    def tools(self) -> list[Tool]:
        """Returns every tool that can be loaded, by name. Imports every declaration: for messages and listings only."""
        return [tool for name in self if not self.problem(name) and (tool := self.tool(name))]

    def names(self) -> list[str]:
        """Returns every ``tool.action`` that can be loaded, sorted. For messages and listings only."""
        return sorted(f"{tool.name}.{action.name}" for tool in self.tools() for action in tool.actions)

    def names_in(self, group: Group) -> list[str]:
        """Returns the names that plug-ins and settings add to a group, sorted; none when one of them is broken. For
        listings only: ``problems`` has the errors.
        """
        try:
            return sorted(map(str, self.extended(group)))
        except InvalidSpec:
            return []

    def problems(self) -> list[tuple[str, InvalidSpec]]:
        """Returns the error of each plug-in that cannot be loaded, and of names that cannot be added. For listings."""
        found = [(name, problem) for name in self.plugins if (problem := self.problem(name))]
        for group in EXTENSIONS:
            try:
                self.extended(group)
            except InvalidSpec as error:
                if not any(error.message == known.message for _, known in found):
                    found.append((group, error))
        return found

    def problem(self, name: str) -> InvalidSpec | None:
        """Returns the error of a plug-in that cannot be loaded, or None."""
        try:
            if name in self.plugins:
                self._plugin(name)
        except InvalidSpec as error:
            return error
        return None

    def extended(self, group: Group) -> Mapping[str, Named]:
        """Returns the names that plug-ins and settings add to a group. Raises InvalidSpec for what cannot be used."""
        return _extended(self, group) if self.plugins or self.presets else {}

    def module(self, tool: str) -> str:
        """Returns the name of the package of a tool, which has ``actions`` and the other modules."""
        return TOOLS[tool] if tool in TOOLS else self._plugin(tool).module

    def validate(self, uses: str, params: Any) -> Params:
        """Returns the validated parameters of an action. Raises ValidationError; BadPlugin for a plug-in's defect."""
        tool, action = tool_name(uses), self.action(uses)
        assert action is not None, uses
        validate: Callable[..., Params] = partial(action.params.model_validate, context=self)
        if tool not in TOOLS:
            validate = self._plugin(tool).calling(validate, f"the validation of {uses}")
        return validate(params)

    def function(self, uses: str) -> ActionFunction:
        """Returns the function of an action. Imports the tool's ``actions`` module."""
        implementation: ActionFunction = self._part("actions", uses)
        return implementation

    def effect_check(self, uses: str) -> EffectCheck:
        """Returns the check for the effect of a ``verified`` action. Imports the tool's light ``effects`` module."""
        check: EffectCheck = self._part("effects", uses)
        return check

    def column_flow(self, uses: str) -> ColumnFlow | None:
        """Returns the column flow of an action, if it has one. Imports the light module of the tool that has it."""
        found, tool = self.action(uses), tool_name(uses)
        if found is None or not found.columns:
            return None
        flow: ColumnFlow = self._part("columns" if found.columns is True else str(found.columns), uses)
        return flow if tool in TOOLS else self._plugin(tool).calling(flow, f"the column flow of {uses}")

    def _part(self, module: str, uses: str) -> Any:
        """Returns the function for an action in one of the modules of its tool."""
        tool, _, name = uses.partition(".")
        return _attribute(TOOLS[tool], module, name) if tool in TOOLS else self._plugin(tool).part(module, name)

    def _plugin(self, name: str) -> Plugin:
        from e2i.catalog import plugins  # with the modules about installed distributions, which most specs do not need

        return plugins.load(name, self.plugins[name])


@lru_cache(maxsize=20)
def _extended(registry: Registry, group: Group) -> Mapping[str, Named]:
    provided = []
    if registry.plugins:
        from e2i.catalog import plugins

        found = (plugins.provided(name, where, group) for name, where in registry.plugins.items())
        provided = [one for one in found if one is not None]
    named: Mapping[str, Named] = import_module(EXTENSIONS[group]).load(provided, registry.presets)
    return named


BUILT_IN: Final = Registry()
"""The tools of e2i alone."""


@lru_cache(maxsize=100)
def _declared(module: str) -> Tool:
    declared = import_module(module).TOOL
    assert isinstance(declared, Tool), module
    return declared


@lru_cache(maxsize=1_000)
def _action(uses: str) -> Action | None:
    """Returns an action of a tool of e2i, or None."""
    tool, _, name = uses.partition(".")
    return _declared(TOOLS[tool]).action(name) if tool in TOOLS else None


@lru_cache(maxsize=1_000)
def _attribute(package: str, module: str, name: str) -> Any:
    return getattr(import_module(f"{package}.{module}"), name)
