"""``Connector``: what the seven classes of the interface have in common. In: settings. Out: one guarded client."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

from e2i.catalog.action import ToolSettings
from e2i.mlops.mistakes import BadCall
from e2i.mlops.program import Program, program, revealed
from e2i.resilience.breaker import State
from e2i.resilience.guard import Guard

S = TypeVar("S", bound=ToolSettings)
_known: dict[tuple[type[Any], int, str], Any] = {}
_lock = threading.RLock()


class Connector(Generic[S]):
    """A tool's client for programs. One object for each class, environment and settings: ``X() is X()``.

    Usable from several threads and event loops. Raises BadInput for settings that are invalid.
    """

    tool: ClassVar[str]
    program: Program
    config: S
    guard: Guard
    home: Path

    def __new__(cls, config: S | None = None) -> Self:
        """Return the object for these settings; None: those of the workspace."""
        _check(cls.__name__, config)
        with _lock:
            here = program()
            chosen = cast("S", here.own(cls.tool)) if config is None else config
            key = (cls, id(here), repr(sorted(revealed(chosen).items())))
            found = _known.get(key)
            if found is None:
                found = super().__new__(cls)
                found.program, found.config = here, chosen
                found.guard, found.home = here.guard(cls.tool, chosen), here.home(cls.tool)
                found.open()
                _known[key] = found
                print(found.described(), file=sys.stderr)
        result: Self = found
        return result

    def __init__(self, config: S | None = None) -> None:
        """Do nothing: ``__new__`` has set the object up."""

    def open(self) -> None:
        """Prepare a new object. Called once, and calls no server."""

    def described(self) -> str:
        """Return one line: the tool, its address without credentials, and where the address comes from."""
        where = ", ".join(self.config.addresses()) or f"embedded in {self.home}"
        return f"e2i: {self.tool} {where} (from {self.program.source(self.tool, self.config)})"

    def permit(self, method: str, agent: str | None) -> None:
        """Raise BadCall when the policy forbids a method inside the work of this agent."""
        self.program.permit(f"{self.tool}.{method}", agent)

    @property
    def enabled(self) -> bool:
        """True when the tool may be called: its circuit is not open."""
        return self.state != State.OPEN.value

    @property
    def state(self) -> str:
        """The state of the circuit breaker: ``closed``, ``open`` or ``half-open``."""
        return self.guard.breaker.state.value


def _check(name: str, config: object) -> None:
    """Raise BadCall for anything but settings."""
    if config is None or isinstance(config, ToolSettings):
        return
    for role in ("Connector", "Validator", "Client", "Tuner", "Explainer", "Service"):
        name = name.removesuffix(role)
    raise BadCall(f"config is a {type(config).__name__}, not settings", hint=f"such as {name}Config(deadline=3)")
