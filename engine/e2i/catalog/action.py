"""Declarations of tools: the pure half of a tool, light enough to import for every check.

In: models and names. Out: ``Tool`` and ``Action``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal, overload
from urllib.parse import urlsplit

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from e2i.catalog import addresses, credentials
from e2i.documents import ParamValues
from e2i.errors import BadSettings

Identity = Mapping[str, str]
"""What distinguishes a server: addresses, databases and prefixes, by name."""


class Params(BaseModel):
    """Base of an action's parameters, the keys of ``with:``. Every field has a description."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, arbitrary_types_allowed=False)


class Outputs(BaseModel):
    """Base of an action's outputs, the names in ``steps.ID.NAME``. Every field has a description."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Place(Struct, frozen=True):
    """A service that the operator named in the settings, such as a database. Specs refer to it by that name."""

    host: str | None
    """None for a place on this machine's disk."""
    read_only: bool = False


class CircuitBreaker(BaseModel):
    """When calls to a server that fails are rejected without being made, and for how long."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    failure_threshold: Annotated[
        int, Field(ge=1, le=1_000, description="Number of consecutive failures that open the circuit.")
    ] = 5
    recovery_timeout: Annotated[
        float, Field(gt=0, le=3_600, description="Seconds for which an open circuit rejects all calls.")
    ] = 30.0
    half_open_requests: Annotated[
        int,
        Field(ge=1, le=50, description="Calls let through after that; all must succeed to close the circuit."),
    ] = 3


class SettingsModel(BaseModel):
    """Base of what settings consist of. Printed without credentials, and so are its validation errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Yields the settings to print, without credentials in their addresses."""
        for name, value in super().__repr_args__():
            yield name, credentials.shown(value, name or "")


class ToolSettings(SettingsModel):
    """Base of a tool's settings: the location of the service in this environment, and how long to wait for it."""

    deadline: float = 30.0
    """Maximum seconds of one call to the tool."""
    required: bool = False
    """Whether a run that needs the tool does not start while the tool is down."""
    circuit_breaker: Annotated[
        CircuitBreaker,
        Field(default_factory=CircuitBreaker, description="When calls to the tool's server are rejected."),
    ]

    if not TYPE_CHECKING:  # so that type checkers see the settings by name

        def __init__(self, **values: object) -> None:
            """Raises BadSettings, a ValueError, naming the setting that is wrong."""
            try:
                super().__init__(**values)
            except ValidationError as error:
                from e2i.catalog.setting_errors import explained

                message, hint = explained(error, type(self))
                tool = type(self).__module__.rpartition(".")[2]
                raise BadSettings(f"settings of {tool}: {message}", hint=hint) from None

        __init__.__pydantic_base_init__ = True  # files are validated without it, and reported with their place

    def address(self) -> tuple[str, int] | None:
        """Host and port of the service in production mode. None when the tool is embedded."""
        return None

    def hosts(self) -> tuple[str, ...]:
        """The hosts of all servers that the tool's steps reach, sorted. Empty when the tool is embedded."""
        address = self.address()
        return (address[0],) if address else ()

    @property
    def is_embedded(self) -> bool:
        """True when the tool's effects can be checked in the store's files, without the tool."""
        return not self.identity()

    def places(self) -> Mapping[str, Place]:
        """The places that specs may name in parameters of this tool, where the policy allows them."""
        return {}

    def addresses(self) -> tuple[str, ...]:
        """The addresses of the tool's services for display, without credentials. Empty when the tool is embedded."""
        found = tuple(str(value) for value in self.identity().values() if "://" in str(value))
        if not found and (address := self.address()):
            return (f"{address[0]}:{address[1]}",)
        return tuple(map(without_credentials, found))

    def identity_of(self, given: ParamValues) -> Identity:
        """As ``identity``, of the server that a step with these parameters acts on."""
        return self.identity()

    def identity(self) -> Identity:
        """Identifies the server that the tool acts on: addresses, databases and prefixes, without credentials.

        Empty when the tool is embedded: its state is then part of the store. Equal on every machine that reaches the
        same server, so a plan can be bound to it.
        """
        return {}

    def circuits(self) -> tuple[str, ...]:
        """The servers in ``identity`` that have a circuit breaker of their own; none: the tool has one."""
        return ()


DEFAULT_PORTS = {
    "http": 80, "https": 443, "postgresql": 5432, "postgres": 5432, "redis": 6379, "mysql": 3306, "mariadb": 3306,
    "mssql": 1433, "oracle": 1521,
}  # fmt: skip


class Effect(StrEnum):
    """The effect of an action beyond its outputs."""

    PURE = "pure"
    """No effect: equal inputs have equal outputs, so a finished result is reused."""
    EXTERNAL = "external"
    """Writes to a tool (a registry, a store) under an idempotency key. Its result is reused while its inputs are equal.
    """
    SERVICE = "service"
    """Starts a process that runs while later steps need it. Started only when one of them runs."""


def host_and_port(address: str) -> tuple[str, int] | None:
    """Returns host and port of an address such as ``https://host/api`` or ``redis://host``. None without a host.

    The host is in the one spelling of ``addresses.canonical``.
    """
    parts = urlsplit(address)
    default = DEFAULT_PORTS.get(parts.scheme.partition("+")[0], 0)
    return (addresses.canonical(parts.hostname), parts.port or default) if parts.hostname else None


def without_credentials(address: str) -> str:
    """Returns the address without user, password, query and driver. The result identifies a server, and may be shown.

    Different spellings of one address have the same result.
    """
    parts = urlsplit(address)
    scheme = parts.scheme.partition("+")[0]
    host = addresses.place(parts.netloc).removesuffix(f":{DEFAULT_PORTS.get(scheme)}")
    return f"{scheme}://{host}{parts.path.rstrip('/')}"


class Action(Struct, frozen=True):
    """One thing a tool can do, named ``tool.name`` in ``uses:``.

    The action's function is ``e2i.tools.<tool>.actions.<name>(params, ctx) -> outputs``. It is imported only to run.
    ``version`` is raised when the meaning of the result changes. ``libraries`` are the distributions whose versions can
    change the result.
    """

    name: str
    summary: str
    params: type[Params]
    outputs: type[Outputs]
    effect: Effect = Effect.PURE
    version: int = 1
    libraries: tuple[str, ...] = ()
    idempotent: bool = True
    always: bool = False
    """True when the result must never be reused (it depends on a clock, a service, the outside)."""
    gate: bool = False
    """True when the purpose of the action is to fail on errors: its step is useful although nothing reads its
    outputs.
    """
    question: bool = False
    """True when its parameters are a statistical question, which a plan registers and a report compares with what was
    executed.
    """
    inline: bool = False
    """True when it uses nothing of its context and takes negligible time: executed in the engine's process."""
    privilege: Literal["run_python", "change_endpoints", "publish_features"] | None = None
    """Permissions that the action as a whole needs. For single values see ``e2i.catalog.marks``."""
    begins_run: bool = False
    """True when it starts the run in the tool's tracker, if nothing else has. The tracker then receives the run's
    end.
    """
    columns: bool | str = False
    """True when ``e2i.tools.<tool>.columns`` has a function of this name, which predicts columns; the name of another
    module of the tool when it is there.
    """
    verified: bool = False
    """True when ``e2i.tools.<tool>.effects`` has a function of this name, which checks that the effect of a finished
    result exists. A result is then reused only after that check.
    """


class DeferredActions(Sequence[Action]):
    """The actions of a tool of which some are declared in modules of their own, imported when a spec names them.

    Building the models of parameters is most of what a check of a small spec takes.
    """

    def __init__(self, package: str, *declared: Action | str) -> None:
        """``declared``: an action, or ``module.name`` of one in the ``ACTIONS`` of a module of the tool's package."""
        self._package = package
        self._declared = {one.rpartition(".")[2] if isinstance(one, str) else one.name: one for one in declared}

    def named(self, name: str) -> Action | None:
        """Returns the action of that name, or None. Imports the module that declares it."""
        found = self._declared.get(name)
        if not isinstance(found, str):
            return found
        actions: tuple[Action, ...] = import_module(f"{self._package}.{found.rpartition('.')[0]}").ACTIONS
        return next(action for action in actions if action.name == name)

    def __iter__(self) -> Iterator[Action]:
        """Yields every action. Imports all declarations."""
        return (action for name in self._declared if (action := self.named(name)))

    def __len__(self) -> int:
        return len(self._declared)

    @overload
    def __getitem__(self, index: int) -> Action: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Action, ...]: ...
    def __getitem__(self, index: int | slice) -> Action | tuple[Action, ...]:
        return tuple(self)[index]


class Tool(Struct, frozen=True):
    """A tool: its settings, its actions and its properties that are known without importing it.

    ``distribution`` is the name on the package index, ``extra`` the extra of e2i that installs it (None: core).
    ``outages`` are dotted names of the exceptions that mean "the tool is down", as opposed to "the request is invalid".
    ``imports`` are the modules that a worker imports ahead when a step of this tool is next.
    ``variables`` and ``credentials`` are the environment variables that its client reads. Only its steps and the
    delivery of its telemetry receive them. The values of ``credentials`` are masked. ``asks`` are other tools whose
    servers its actions ask: its steps receive what these tools' steps receive.
    """

    name: str
    summary: str
    actions: tuple[Action, ...] | DeferredActions
    settings: type[ToolSettings] = ToolSettings
    distribution: str | None = None
    extra: str | None = None
    outages: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    credentials: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()

    def action(self, name: str) -> Action | None:
        if isinstance(self.actions, DeferredActions):
            return self.actions.named(name)
        return next((action for action in self.actions if action.name == name), None)


ActionFunction = Callable[[Any, Any], Any]
EffectCheck = Callable[[Any, Any, Any], Any]
"""``(params, outputs, look)`` → what is missing of the effect, or None. A coroutine when a server is queried."""
