"""``config/default.yaml`` and the profile over it go in; ``Settings`` comes out: where this environment's services are,
and limits.

In: files, and the environment that ``${NAME}`` and ``${NAME:-default}`` read. Out: a frozen, validated value.
"""

# Annotations are values here: as texts, pydantic would compile each of them at every start.
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from e2i import regular
from e2i.catalog import credentials, registry
from e2i.catalog.action import ToolSettings
from e2i.errors import BadInput, InvalidSpec
from e2i.spec import document, scalars, suggest
from e2i.spec.models import Duration, Size

PROFILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")


SHORTEST_SECRET = 8
"""Characters that a secret must have, so that what looks like it is it."""
LONG_ENOUGH = 16
"""Characters from which on a number or a word may be a secret."""
LEAST_BITS = 18.0
"""Of Shannon's entropy, by how often each character occurs, that a secret must have: five different ones and more."""


class Resources(BaseModel):
    """What steps may take of the machine in this environment."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    memory: Annotated[
        Size | None,
        Field(description="What a step may hold unless it says otherwise; null: four fifths of the machine's memory."),
    ] = None
    log: Annotated[
        Size, Field(description="What a step's log may have unless it says otherwise; more is cut out of its middle.")
    ] = "64MB"
    processes: Annotated[
        int, Field(ge=1, le=100_000, description="Processes that a step may have at a time unless it says otherwise.")
    ] = 512
    max_memory: Annotated[Size | None, Field(description="The most that a step may ask for; null: anything.")] = None


class Shared(BaseModel):
    """Where results are shared with other stores."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    url: Annotated[
        str, Field(min_length=1, description="A folder: file:///net/e2i, s3://bucket/e2i, or any of fsspec.")
    ]
    trust: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$",
            description="Who shares with whom; null: those whose specs have the same origin, human or agent.",
        ),
    ] = None
    deadline: Annotated[float, Field(gt=0, le=600, description="Seconds for a call; a transfer has 1 s a MB more.")] = (
        5.0
    )
    options: Annotated[
        Mapping[str, Any], Field(description="What the file system is opened with, such as endpoint_override.")
    ] = {}


class Settings(BaseModel):
    """What one environment (a profile) says about services and limits. Nothing in it changes what a spec means."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    profile: Annotated[str, Field(description="Name of the profile these settings were read for.")] = "default"
    workers: Annotated[int | None, Field(ge=1, le=256, description="Worker processes; null: one a core.")] = None
    timeout: Annotated[Duration, Field(description="How long a step may take unless it says otherwise.")] = "24h"
    resources: Annotated[Resources, Field(description="What steps may take of the machine.")] = Resources()
    flush: Annotated[
        float, Field(ge=0, le=600, description="Seconds that the end of a run waits for trackers to take what is left.")
    ] = 60.0
    measurements: Annotated[
        int, Field(ge=0, description="Metrics, parameters, trials and attachments that one run may record.")
    ] = 200_000
    sinks: Annotated[tuple[str, ...], Field(description="Tools that every run is reported to, through the outbox.")] = (
        "mlflow",
        "opik",
    )
    shared: Annotated[
        Shared | None, Field(description="Where results are shared with other stores; null: nowhere.")
    ] = None
    env: Annotated[
        Mapping[str, str], Field(description="What specs may read as `env.NAME`. Nothing else of the environment.")
    ] = {}
    secrets: Annotated[
        Mapping[str, str], Field(description="What specs may name as `secrets.NAME`: the variable that holds each.")
    ] = {}
    tools: Annotated[
        Mapping[str, Mapping[str, Any]], Field(description="Each tool's own settings, by the tool's name.")
    ] = {}

    def check(self, tools: Iterable[str] | None = None) -> None:
        """Raises BadInput if a tool does not take what is written for it. ``tools``: look at these only.

        It takes the tools' declarations, so ``load`` leaves it to whoever knows which tools there is use for.
        """
        for name in sorted(self.tools.keys() if tools is None else self.tools.keys() & set(tools)):
            self.tool(name)
        for name in self.sinks if tools is None else ():
            if name not in registry.SINKS:
                message = f"sinks (profile {self.profile}): {name!r} does not take telemetry"
                raise BadInput(message, code="bad-settings", hint=f"choose from: {', '.join(registry.SINKS)}")

    def check_secrets(self, environ: Mapping[str, str]) -> None:
        """Raises BadInput for a secret whose value ordinary data could hold: every step with such data would fail."""
        for name, variable in sorted(self.secrets.items()):
            if why := weakness(environ.get(variable, "")):
                message = f"the secret {name!r} (profile {self.profile}) {why}"
                hint = f"set {variable} to a value of at least {SHORTEST_SECRET} characters, made by chance"
                raise BadInput(message, code="weak-secret", hint=hint)

    def credentials(self, tools: Iterable[str]) -> set[str]:
        """What no message may hold of the tools' settings, and of the shared store's: passwords, keys, tokens; those
        that ordinary data could hold only together with the account, as an address has them.
        """
        options = self.shared.model_dump(mode="json") if self.shared else {}
        return {*_credentials([options, *(self.tools.get(name) for name in tools)])}

    def tool(self, name: str) -> ToolSettings:
        """The validated settings of one tool. Raises BadInput naming the setting that is wrong."""
        declared = registry.tool(name)
        if declared is None:
            raise BadInput(f"there is no tool named {name!r}", code="unknown-tool")
        try:
            return declared.settings.model_validate(dict(self.tools.get(name, {})))
        except ValidationError as error:
            raise BadInput(
                f"settings of {name} (profile {self.profile}): {first_error(error)}",
                code="bad-settings",
                hint=f"see `tools: {name}:` in config/",
            ) from error


def load(folder: Path, profile: str | None, environ: Mapping[str, str]) -> Settings:
    """Settings from ``folder/default.yaml`` with ``folder/PROFILE.yaml`` over it; defaults where there is no file.

    Raises BadInput for a profile without a file, a variable that is not set, or an unknown setting. What is written for
    a tool is looked at by ``Settings.check`` and ``Settings.tool``.
    """
    data: dict[str, Any] = {}
    for name in ["default"] if profile in (None, "default") else ["default", str(profile)]:
        path = folder / f"{name}.yaml"
        if (name == "default" or PROFILE.fullmatch(name)) and regular.is_there(path):
            data = merge(data, read_file(path, environ))
        elif name != "default":
            known = sorted(p.stem for p in folder.glob("*.yaml") if p.stem not in ("default", "policy"))
            raise BadInput(
                f"there is no profile {name!r}: {path} does not exist",
                code="unknown-profile",
                hint=f"profiles here: {', '.join(known) or 'none'}",
            )
    try:
        settings = Settings.model_validate({**data, "profile": profile or "default"})
    except ValidationError as error:
        raise BadInput(f"configuration in {folder}: {first_error(error)}", code="bad-settings") from error
    settings.check_secrets(environ)
    for key, named in (("tools", settings.tools), ("sinks", settings.sinks)):
        for name in named:
            if name not in registry.TOOLS:
                message = f"configuration in {folder}: {key}: there is no tool {name!r}"
                raise BadInput(message, code="bad-settings", hint=suggest.hint(name, registry.TOOLS, most=20))
    return settings


def _credentials(value: Any, private: bool = False) -> Iterator[str]:
    match value:
        case Mapping():
            for key, item in value.items():
                yield from _credentials(item, private or credentials.is_credential(str(key)))
        case list() | tuple():
            for item in value:
                yield from _credentials(item, private)
        case str():
            found = [(value, True)] if private else []
            for word, is_alone in (*found, *credentials.found_in(value)):
                if not is_alone or weakness(word) is None:
                    yield word


def weakness(secret: str) -> str | None:
    """Returns why ordinary data could hold this secret, or None. An empty one is not set, which is another matter."""
    if not secret:
        return None
    if len(secret.strip()) < SHORTEST_SECRET:
        return f"has fewer than {SHORTEST_SECRET} characters"
    if len(secret) < LONG_ENOUGH and re.fullmatch(r"[\d\s.,:;+\-/eETZ]+", secret):
        return "looks like a number or a date"
    if len(secret) < LONG_ENOUGH and secret.isalpha() and (secret.islower() or secret.isupper() or secret.istitle()):
        return "looks like a word"
    shares = [secret.count(sign) / len(secret) for sign in set(secret)]
    if -len(secret) * sum(share * math.log2(share) for share in shares) < LEAST_BITS:
        return "repeats a few characters"
    return None


def read_file(path: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """The mapping in a configuration file, variables filled in. Raises InvalidSpec, BadInput."""
    try:
        text = regular.read(path, regular.CONFIGURATION)
    except OSError as error:
        raise BadInput(
            f"cannot read {path}: {error.strerror or error}",
            code="bad-settings",
            hint="make it a regular file that may be read, or take it away: no default stands in for it",
        ) from error
    found, problems = document.read(text, str(path))
    if found is None or problems:
        raise InvalidSpec(problems)
    data: dict[str, Any] = _substitute(found.data, environ, path)
    return data


def _substitute(value: Any, environ: Mapping[str, str], path: Path) -> Any:
    if isinstance(value, dict):
        return {key: _substitute(item, environ, path) for key, item in value.items()}
    if isinstance(value, list):
        return [_substitute(item, environ, path) for item in value]
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        found = environ.get(name, default)
        found = found or default or found  # as in a shell, ":-" counts a variable that is set but empty as not set
        if found is None:
            raise BadInput(
                f"{path}: the environment variable {name} is not set",
                code="unset-variable",
                hint=f"set it, or write ${{{name}:-default}}",
            )
        return found

    text = VARIABLE.sub(variable, value)
    if VARIABLE.fullmatch(value):  # a value that is one variable keeps YAML's types: ${PORT:-5000} is a number
        try:
            return scalars.resolve(text)
        except scalars.ScalarError as error:
            raise BadInput(f"{path}: {value} is {text[:40]}: {error}", code="bad-settings") from error
    return text


def merge(base: Any, over: Any) -> Any:
    """Mappings are merged key by key; anything else is replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        return {**base, **{key: merge(base.get(key), value) for key, value in over.items()}}
    return over


def first_error(error: ValidationError) -> str:
    """The first thing that is wrong, with the way to it."""
    detail = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}"
