"""Find out whether a tool can be used now.

In: the settings of a tool. Out: nothing, or ToolUnavailable. A service is asked the questions of ``e2i doctor``, which
need valid credentials. An embedded tool has to be installed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from e2i.catalog.questions import Question
from e2i.errors import ToolUnavailable
from e2i.resilience.breaker import Breaker
from e2i.resilience.guard import Guard
from e2i.settings import Settings
from e2i.workers.context import guard_of
from e2i.workers.environment import NO_TELEMETRY
from e2i.workers.withheld import Withheld
from e2i.workspace.environment import installed


def require(tools: Iterable[str], settings: Settings) -> None:
    """Raises ToolUnavailable when one of the tools is required by its settings and cannot be used."""
    for name in sorted(set(tools)):
        if name in settings.registry and settings.tool(name).required:
            _require(name, settings)


def _require(name: str, settings: Settings) -> None:
    declared = settings.registry.tool(name)
    assert declared is not None
    guard = Guard(
        name,
        Breaker(name),
        settings.tool(name).deadline,
        outages=declared.outages,
        extra=declared.extra,
        mask=Withheld(settings, (name,)).text,
    )
    try:
        _check_installed(name, settings)
        for question in _questions(name, settings):
            guard.call(question.ask, deadline=question.seconds)
    except ToolUnavailable as error:
        failure = ToolUnavailable(
            name,
            f"nothing was run: {name} is required (profile {settings.profile}) and cannot be used: {error.message}",
            code="tool-required",
            hint=error.hint or f"start {name}, or set `required: false` under `tools: {name}:` in config/",
        )
        failure.exit_code = error.exit_code
        raise failure from error


def try_at_once(name: str, settings: Settings, store: Path) -> None:
    """Calls a tool although its circuit is open, and closes the circuit for all processes if it answers.

    Raises ToolUnavailable.
    """
    _check_installed(name, settings)
    guard = guard_of(name, settings, store, patient=False)
    asked = [question.ask for question in _questions(name, settings)] or [lambda: "embedded"]
    for _ in range(settings.tool(name).circuit_breaker.half_open_requests):
        for ask in asked:
            guard.call(ask)


def _check_installed(name: str, settings: Settings) -> None:
    declared = settings.registry.tool(name)
    if declared is not None and declared.distribution and installed(declared.distribution) is None:
        hint = f'pip install "e2i[{declared.extra or name}]"'
        raise ToolUnavailable(name, f"{name} is not installed", code="tool-missing", hint=hint)


def _questions(name: str, settings: Settings) -> list[Question]:
    configured = settings.tool(name)
    if not configured.identity() and configured.address() is None:
        return []
    try:
        asking = import_module(f"{settings.registry.module(name)}.asking")
    except ModuleNotFoundError:  # the tool has no service
        return []
    for variable, value in NO_TELEMETRY.items():
        os.environ.setdefault(variable, value)
    questions: list[Question] = asking.questions(configured)
    for question in questions:
        for module in question.imports:
            with suppress(ImportError):  # the question reports what is missing
                import_module(module)
    return questions
