"""Lead the effects of steps to stand-ins: files to a folder, databases to SQLite files, services to the run's end.

In: a call of an action. Out: the call as the rehearsal makes it, or outputs without a call. What was led elsewhere is
remembered, so that later steps read it there, and for the report.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from e2i.catalog import marks
from e2i.catalog.registry import Registry
from e2i.documents import JsonObject, OutputValues, ParamValues
from e2i.rehearsal.results import NotExercised
from e2i.settings import Settings
from e2i.tools.database import LOCAL
from e2i.tools.database import Settings as DatabaseSettings
from e2i.workers.executor import StepCall

MOST_TRIALS = 3
"""Trials of a tuning step: enough to go through all of its code."""
STAND_IN = "{} (rehearsal)"
Connection = dict[str, str | bool | float]
"""A connection as the settings write it."""


class Redirects:
    """The stand-ins of one rehearsal, below ``folder``."""

    def __init__(self, folder: Path, registry: Registry) -> None:
        self.files = folder / "files"
        self.files.mkdir(parents=True)
        self._registry = registry
        self._written: dict[str, str] = {}
        """The files that steps have written: the name in the spec → the file in the folder."""
        self._tables: set[tuple[str, str]] = set()
        """The tables that steps have written, with their connections."""
        self.notes: list[NotExercised] = []

    def held_back(self, call: StepCall) -> OutputValues | None:
        """Returns outputs for a call that is not made, because it would reach a server that has no stand-in."""
        if call.uses != "remote.put":
            return None
        self._note("held-back", call, f"{call.params.get('key')} is not put to {call.params.get('location')}")
        content: Any = next((call.params[name] for name in ("file", "report", "model") if call.params.get(name)), {})
        return OutputValues(key=call.params.get("key"), digest=content["digest"], bytes=content.get("bytes", 0))

    def call(self, call: StepCall) -> StepCall:
        """Returns the call as the rehearsal makes it."""
        action = self._registry.action(call.uses)
        assert action is not None, f"{call.uses} was checked"
        for name in marks.written(action.params, call.params):
            if name not in self._written:
                self._written[name] = str(self.files / _below(name))
                self._note("held-back", call, f"{name} is written to a throw-away folder")
        params = ParamValues(_mapped(call.params, self._file)) if self._written else call.params
        if params != call.params:
            call = replace(call, params=params, files=None)
        if call.uses.startswith("database."):
            call = self._in_database(call)
        if call.params.get("keep") is True and "keep_services" in self._privileges(call.uses):
            self._note("held-back", call, "the service ends with the rehearsal")
            call = replace(call, params=ParamValues({**call.params, "keep": False}))
        if call.uses == "optuna.tune" and call.params.get("trials", 0) > MOST_TRIALS:
            self._note("cut", call, f"{MOST_TRIALS} of {call.params['trials']} trials")
            call = replace(call, params=ParamValues({**call.params, "trials": MOST_TRIALS}))
        return call

    def named(self, outputs: OutputValues) -> OutputValues:
        """Returns outputs with the names of files as the spec has them."""
        names = {file: name for name, file in self._written.items()}
        prefix = f"{self.files}/"

        def name_of(text: str) -> str:
            return names.get(text) or text.removeprefix(prefix)

        return OutputValues(_mapped(outputs, name_of)) if self._written else outputs

    def _file(self, text: str) -> str:
        """Returns the file or folder that stands in for the one that a text names."""
        if text in self._written:
            return self._written[text]
        folder = text.rstrip("/") + "/"
        if any(name.startswith(folder) or fnmatch.fnmatchcase(name, text) for name in self._written):
            return str(self.files / _below(text))
        inner = any(text.startswith(f"{name}/") for name in self._written)
        return str(self.files / _below(text)) if inner else text

    def _in_database(self, call: StepCall) -> StepCall:
        connection = str(call.params.get("connection"))
        stand_in = connection if connection == LOCAL else STAND_IN.format(connection)
        if call.uses == "database.write":
            self._tables.add((connection, str(call.params["into"])))
            self._note("stand-in", call, f"{call.params['into']} is written to a throw-away SQLite file")
        else:
            table, query = str(call.params.get("table")), str(call.params.get("query") or "")
            written = [name for where, name in self._tables if where == connection]
            if not any(name == table or name in query for name in written):
                return call
        return replace(call, params=ParamValues({**call.params, "connection": stand_in}))

    def _privileges(self, uses: str) -> set[str]:
        action = self._registry.action(uses)
        assert action is not None
        return {mark.name for _, mark in marks.of(action.params) if isinstance(mark, marks.Privilege)}

    def _note(self, kind: Any, call: StepCall, detail: str) -> None:
        if not any((note.step, note.detail) == (call.info.step, detail) for note in self.notes):  # of another attempt
            self.notes.append(NotExercised(kind=kind, step=call.info.step, detail=detail))


def databases(settings: Settings, folder: Path) -> JsonObject:
    """Returns settings of the database tool in which real connections are only read, each with a stand-in beside it."""
    own = settings.tool("database")
    assert isinstance(own, DatabaseSettings)
    found: dict[str, Connection] = {}
    for index, (name, one) in enumerate(sorted(own.connections.items())):
        read: Connection = {
            "url": one.url.get_secret_value(),
            "read_only": True,
            "statement_timeout": one.statement_timeout,
        }
        stand_in: Connection = {
            "url": f"sqlite:///{folder / f'database-{index}.db'}",
            "read_only": False,
        }
        found |= {LOCAL: stand_in} if name == LOCAL else {name: read, STAND_IN.format(name): stand_in}
    return {**settings.tools.get("database", {}), "connections": found}


def _below(name: str) -> str:
    """Returns the name in the throw-away folder: also of a file that the policy lets a step write elsewhere."""
    return "/".join("up" if part == ".." else part for part in name.split("/") if part not in ("", "."))


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case str():
            return change(value)
        case dict():
            return {key: _mapped(item, change) for key, item in value.items()}
        case list() | tuple():
            return [_mapped(item, change) for item in value]
    return value
