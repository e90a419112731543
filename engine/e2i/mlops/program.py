"""``Program``: what the connectors of this process share for one workspace, profile and store.

In: the current directory and the environment. Out: settings, guards, folders of the store, the outgoing telemetry.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, SecretStr

from e2i.catalog.action import ToolSettings
from e2i.mlops import permissions
from e2i.mlops.outgoing import Outgoing
from e2i.resilience.guard import Guard
from e2i.settings import Settings
from e2i.store import disk, ownership
from e2i.store.artifacts import ArtifactStore
from e2i.workers import environment
from e2i.workers.context import guard_of
from e2i.workspace.workspace import Workspace

_programs: dict[tuple[Path, str, Path], Program] = {}
_lock = threading.Lock()
_published: dict[str, str] = {}


class Program:
    """The environment of a program's connectors. Use ``program()``; one object for each workspace, profile and store.

    Creates the store's folder, which must belong to this user alone (Refused otherwise).
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace.root
        self.store = workspace.store
        self.settings = workspace.settings
        self.policy = workspace.policy
        self.origin = workspace.origin
        self.files = workspace.files
        """The files of the workspace that a program's calls may name."""
        self.roots = workspace.roots
        ownership.check(self.store)
        ownership.create(self.store)
        for name, value in environment.NO_TELEMETRY.items():
            os.environ.setdefault(name, value)

    def is_as(self, workspace: Workspace) -> bool:
        """Return True when the settings of the tools, what is added to them, the policy and the origin are these."""
        settings = workspace.settings
        added = (settings.registry.plugins, settings.registry.presets)
        before = (self.settings.tools, self.settings.registry.plugins, self.settings.registry.presets)
        return (settings.tools, *added, workspace.policy, workspace.origin) == (*before, self.policy, self.origin)

    @property
    def environment(self) -> str:
        """The name of the profile: ``dev``, ``staging``, ``prod``, ``default`` or another."""
        return self.settings.profile

    @cached_property
    def artifacts(self) -> ArtifactStore:
        """The store's files by content."""
        return ArtifactStore(self.store)

    @cached_property
    def outgoing(self) -> Outgoing:
        """The telemetry of this process on its way to the trackers."""
        return Outgoing(self.store, self.artifacts, self.settings)

    def permit(self, method: str, agent: str | None) -> None:
        """Raise BadCall when the policy forbids ``tool.method`` to this origin or inside this agent's work."""
        permissions.check(self.policy, self.origin, self.settings.registry, method, agent)

    @property
    def withheld(self) -> tuple[str, ...]:
        """The permissions that this origin does not have. What needs an approval of a plan does not apply here."""
        return self.policy.rules(self.origin).withheld(approved=True)

    def require(self, privilege: str, what: str) -> None:
        """Raise BadCall when this origin does not have the privilege, such as ``keep_services``, for ``what``."""
        permissions.require(self.policy, self.origin, privilege, what)

    def guard(self, tool: str, config: ToolSettings) -> Guard:
        """Return the guard of a tool's server: the store's shared breaker, the deadline of the settings.

        What leaves the program from now on is masked with the credentials of these settings.
        """
        settings = self._settings_with(tool, config)
        if settings is not self.settings:
            self.outgoing.withhold(settings)
        return guard_of(tool, settings, self.store)

    def home(self, tool: str) -> Path:
        """Return the tool's folder in the store; created if missing."""
        return disk.folder(self.store, tool)

    def source(self, tool: str, config: ToolSettings) -> str:
        """Return where a tool's settings come from: files, variables, the program itself, or the defaults."""
        if config is not self.own(tool):
            return "the program's own settings"
        return self.settings.sources.get(tool, "built-in defaults")

    def own(self, tool: str) -> ToolSettings:
        """Return the settings of the tool in this environment; the same object each time."""
        if tool not in self._own:
            self._own[tool] = self.settings.tool(tool)
        return self._own[tool]

    @cached_property
    def _own(self) -> dict[str, ToolSettings]:
        return {}

    def _settings_with(self, tool: str, config: ToolSettings) -> Settings:
        if config is self.own(tool):
            return self.settings
        tools = {**self.settings.tools, tool: revealed(config)}
        return self.settings.model_copy(update={"tools": tools})


def revealed(config: BaseModel) -> dict[str, object]:
    """Return the settings that differ from the defaults, as in a file, with their secrets."""
    return {name: _revealed(getattr(config, name)) for name in config.model_fields_set}


def _revealed(value: object) -> object:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, BaseModel):  # with its defaults: one of them may say which of several models it is
        return {name: _revealed(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {name: _revealed(item) for name, item in value.items()}
    return [_revealed(item) for item in value] if isinstance(value, list | tuple) else value


def program() -> Program:
    """Return the program's environment here and now: by the current directory and the environment variables.

    Raises BadInput for settings that are invalid, or a profile that does not exist.
    """
    environ = {name: value for name, value in os.environ.items() if _published.get(name) != value}
    workspace = Workspace.open(environ=environ)
    key = (workspace.root, workspace.settings.profile, workspace.store)
    with _lock:
        known = _programs.get(key)
        if known is None or not known.is_as(workspace):
            known = _programs[key] = Program(workspace)
            if workspace.settings.note:
                print(f"e2i: {workspace.settings.note}", file=sys.stderr)
        return known


def close() -> None:
    """Close all connectors of this process: their threads, files and connections. What waits is delivered later.

    A connector that is used or made afterwards opens again what it needs.
    """
    with _lock:
        programs = list(_programs.values())
        _programs.clear()
    for known in programs:
        known.outgoing.close()


def publish(variable: str, value: str) -> None:
    """Set an environment variable that points this process's own client of a tool to a connector's server.

    It is no setting: connectors that are created later do not read it.
    """
    os.environ[variable] = _published[variable] = value
