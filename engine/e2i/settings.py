"""Loads ``Settings``, the services and limits of one environment, from ``config/`` and the environment.

In: ``default.yaml``, ``mlops.yaml`` (the blocks of ``tools:`` alone), a profile's file, the environment variables for
``${NAME}`` and ``${NAME:-default}``, and the conventional variables of the tools. Out: a frozen, validated value.
"""

# Annotations are evaluated here: as text, pydantic would compile each of them at every start.
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from e2i import regular
from e2i.alerting import Hook, Log, RunRetry
from e2i.catalog import credentials, listed, presets
from e2i.catalog.action import ToolSettings
from e2i.catalog.registry import SINKS, Registry
from e2i.documents import JsonObject, Values
from e2i.errors import BadInput, BadSettings, UnreadableSettings
from e2i.machines import Dask, Executors, Local, Shared
from e2i.spec import document, scalars, suggest
from e2i.spec.document import Document
from e2i.spec.models import Duration, Size

PROFILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
TOOLS_FILE = "mlops"
"""Stem of the file in ``config/`` that has the tools' blocks at its top level."""
NOT_PROFILES = ("default", "policy", TOOLS_FILE)
"""Stems of files in ``config/`` that are no profiles."""
ENVIRONMENTS = {"development": "dev", "staging": "staging", "production": "prod"}
"""Values of ``ENVIRONMENT`` → the profiles that they imply."""
VARIABLES: Mapping[tuple[str, str], str] = {
    ("mlflow", "tracking_uri"): "MLFLOW_TRACKING_URI",
    ("mlflow", "artifact_root"): "MLFLOW_ARTIFACT_ROOT",
    ("opik", "url"): "OPIK_URL_OVERRIDE",
    ("opik", "api_key"): "OPIK_API_KEY",
    ("opik", "workspace"): "OPIK_WORKSPACE",
    ("opik", "project_name"): "OPIK_PROJECT_NAME",
    ("feast", "repo_path"): "FEAST_REPO_PATH",
    ("optuna", "study_storage"): "OPTUNA_STORAGE",
    ("bentoml", "home"): "BENTOML_HOME",
}
"""Setting of a tool → the variable that it is read from when no file sets it."""
VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")


SHORTEST_SECRET = 8
"""Minimum length of a secret, so that text that looks like the secret is the secret."""
LONG_ENOUGH = 16
"""Length from which a number or a word may be a secret."""
LEAST_BITS = 18.0
"""Minimum Shannon entropy of a secret, by the frequency of its characters: at least five different ones."""


class Resources(BaseModel):
    """Limits on the machine's resources for steps in this environment."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    memory: Annotated[
        Size | None,
        Field(description="Default memory limit of a step; null: four fifths of the machine's memory."),
    ] = None
    log: Annotated[
        Size, Field(description="Default size limit of a step's log. The middle of a longer log is cut out.")
    ] = "64MB"
    processes: Annotated[
        int, Field(ge=1, le=100_000, description="Default limit on the processes of a step at a time.")
    ] = 512
    max_memory: Annotated[Size | None, Field(description="Maximum memory that a step may request; null: no limit.")] = (
        None
    )
    hourly_cost: Annotated[
        float | None,
        Field(gt=0, allow_inf_nan=False, description="What an hour of this machine costs, in any currency."),
    ] = None
    total_memory: Annotated[
        Size | None,
        Field(description="Memory that steps of all runs of a store may declare together; null: no limit."),
    ] = None


class Retention(BaseModel):
    """What `e2i gc` keeps. A tool without a value is left alone unless `--tools` is passed."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    runs: Annotated[Duration, Field(description="Runs that ended within this time are kept.")] = "30d"
    bentos: Annotated[
        int | None, Field(ge=1, description="Newest Bentos of each name that are kept in any case; null: all.")
    ] = None
    mlflow_artifacts: Annotated[
        Duration | None,
        Field(description="Files of MLflow runs are kept this long after their deletion; null: always."),
    ] = None
    feast_sources: Annotated[
        Duration | None, Field(description="Feast versions and rows that no run uses are kept this long; null: always.")
    ] = None
    studies: Annotated[
        Duration | None, Field(description="Embedded studies that no run uses are kept this long; null: always.")
    ] = None
    logs: Annotated[
        Duration | None, Field(description="Logs of kept runs are kept this long; null: as long as their run.")
    ] = None


class Settings(BaseModel):
    """Services and limits of one environment (a profile). None of them changes the meaning of a spec."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    profile: Annotated[str, Field(description="Name of the profile of these settings.")] = "default"
    mode: Annotated[
        Literal["private", "group"],
        Field(description="Who may use the store: its user alone, or all users of the group of its folder."),
    ] = "private"
    workers: Annotated[int | None, Field(ge=1, le=256, description="Worker processes; null: one per core.")] = None
    max_runs: Annotated[
        int | None,
        Field(ge=1, le=10_000, description="Runs of a store that execute at a time; others wait. null: no limit."),
    ] = None
    timeout: Annotated[Duration, Field(description="Default time limit of a step.")] = "24h"
    resources: Annotated[Resources, Field(description="Limits on the machine's resources for steps.")] = (
        Resources.model_construct()
    )
    flush: Annotated[
        float,
        Field(ge=0, le=600, description="Seconds that the end of a run waits for the delivery of pending telemetry."),
    ] = 60.0
    measurements: Annotated[
        int, Field(ge=0, description="Metrics, parameters, trials and attachments that one run may record.")
    ] = 200_000
    outbox_limit: Annotated[
        Size, Field(description="Size of waiting telemetry from which on values of metrics are thinned.")
    ] = "2GB"
    sinks: Annotated[tuple[str, ...], Field(description="Tools that every run reports to, through the outbox.")] = (
        "mlflow",
        "opik",
    )
    retention: Annotated[Retention, Field(description="What `e2i gc` keeps by default.")] = Retention.model_construct()
    shared: Annotated[Shared | None, Field(description="Storage for results shared with other stores; null: none.")] = (
        None
    )
    executor: Annotated[
        Executors,
        Field(exclude=True, description="Where steps are executed: by processes of this machine, or on a cluster too."),
    ] = Local.model_construct()
    """Not part of the settings that worker processes receive: no step connects to the cluster."""
    env: Annotated[
        Mapping[str, str], Field(description="Variables that specs may read as `env.NAME`. No others can be read.")
    ] = {}
    secrets: Annotated[
        Mapping[str, str],
        Field(description="Secrets that specs may use as `secrets.NAME`, each with its environment variable."),
    ] = {}
    tools: Annotated[Mapping[str, Values], Field(description="Each tool's own settings, by the tool's name.")] = {}
    plugins: Annotated[
        listed.Plugins,
        Field(description="Plug-ins: tools and algorithms of other installed distributions. No other is imported."),
    ] = ()
    algorithms: Annotated[
        Mapping[str, presets.ListedPreset],
        Field(description="Algorithms by own names, with own defaults: a name → {of, params, space}."),
    ] = {}

    on_finish: Annotated[
        tuple[Hook, ...],
        Field(exclude=True, description="Webhooks and commands that are notified of the end of a run."),
    ] = ()
    """Not part of the settings that worker processes receive, as headers hold keys."""
    metrics_file: Annotated[
        str | None,
        Field(min_length=1, description="OpenMetrics file, written at the end of each run; null: none."),
    ] = None
    log: Annotated[Log, Field(description="The log of all runs and commands of the store.")] = Log.model_construct()
    retry_run: Annotated[RunRetry, Field(description="Waits between the attempts of `e2i run --retry-run N`.")] = (
        RunRetry.model_construct()
    )

    _sources: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _note: str | None = PrivateAttr(default=None)

    @property
    def sources(self) -> Mapping[str, str]:
        """By tool, where its settings come from: files of ``config/`` and environment variables. Empty in a worker."""
        return self._sources

    @property
    def note(self) -> str | None:
        """A remark on the choice of the profile."""
        return self._note

    @cached_property
    def registry(self) -> Registry:
        """The tools that specs can use in this environment."""
        return listed.registry(self.plugins, self.algorithms)

    def check(self, tools: Iterable[str] | None = None) -> None:
        """Raises BadInput if a tool does not accept its settings. ``tools``: check only these.

        It imports the tools' declarations, so ``load`` leaves this check to callers that know which tools are used.
        A plug-in that cannot be loaded is checked only if it is one of ``tools``.
        """
        if isinstance(self.executor, Dask):
            self.executor.check()
        for name in sorted(self.tools.keys() if tools is None else self.tools.keys() & set(tools)):
            if tools is not None or self.registry.problem(name) is None:
                self.tool(name)
        for name in self.sinks if tools is None else ():
            if name not in SINKS:
                message = f"sinks (profile {self.profile}): {name!r} does not accept telemetry"
                raise BadInput(message, code="bad-settings", hint=f"choose from: {', '.join(SINKS)}")

    def check_secrets(self, environ: Mapping[str, str]) -> None:
        """Raises BadInput for a secret that ordinary data could contain: every step with such data would fail."""
        for name, variable in sorted(self.secrets.items()):
            if why := weakness(environ.get(variable, "")):
                message = f"the secret {name!r} (profile {self.profile}) {why}"
                hint = f"set {variable} to a value of at least {SHORTEST_SECRET} random characters"
                raise BadInput(message, code="weak-secret", hint=hint)

    def credentials(self, tools: Iterable[str]) -> set[str]:
        """Returns the passwords, keys and tokens in the settings of the tools and of shared storage, for masking.

        Those that ordinary data could contain are included only together with the account, as in a URL.
        """
        places = (self.shared, self.executor.store if isinstance(self.executor, Dask) else None)
        options = [place.model_dump(mode="json") for place in places if place is not None]
        return {*_credentials([*options, *(self.tools.get(name) for name in tools)])}

    def tool(self, name: str) -> ToolSettings:
        """Returns the validated settings of one tool. Raises BadInput with the name of the invalid setting."""
        declared = self.registry.tool(name)
        if declared is None:
            raise BadInput(f"there is no tool named {name!r}", code="unknown-tool")
        try:
            return declared.settings.model_validate(dict(self.tools.get(name, {})))
        except ValidationError as error:
            from e2i.catalog.setting_errors import explained

            message, hint = explained(error, declared.settings)
            source = f"{self.sources[name]}, " if name in self.sources else ""
            raise BadSettings(
                f"settings of {name} ({source}profile {self.profile}): {message}",
                hint=hint or f"see `tools: {name}:` in config/",
            ) from error


def load(folder: Path, profile: str | None, environ: Mapping[str, str]) -> Settings:
    """Loads the settings in ``folder`` for a profile. Missing files mean defaults.

    Without a profile it is that of ``E2I_PROFILE``, or else the one that ``ENVIRONMENT`` implies, if it has a file.
    Raises BadInput for a named profile without a file, a variable that is not set, or an unknown setting. Settings of a
    tool are checked by ``Settings.check`` and ``Settings.tool``.
    """
    profile, note = _profile(folder, profile or environ.get("E2I_PROFILE") or None, environ)
    environ = {"ENVIRONMENT": profile, **environ}
    data: JsonObject = {}
    files: list[tuple[str, Any]] = []
    sources: dict[str, list[str]] = {}
    for name in dict.fromkeys(["default", TOOLS_FILE, profile]):
        path = folder / f"{name}.yaml"
        if not regular.is_there(path):
            continue
        found = _read(path)
        fill = partial(_substitute, environ=environ, path=path)
        read = {**_substitute(found.data, environ, path), **listed.read(found, fill), **presets.read(found, fill)}
        read = {"tools": read} if name == TOOLS_FILE else read
        data = merge(data, read)
        files.append((f"{folder.name}/{name}.yaml", read))
        if isinstance(read.get("tools"), dict):
            for tool in read["tools"]:
                sources.setdefault(str(tool), []).append(f"{folder.name}/{name}.yaml")
    data = {**data, "tools": _from_variables(data.get("tools", {}), environ, sources)}
    try:
        settings = Settings.model_validate({**data, "profile": profile})
    except ValidationError as error:
        from e2i.catalog.setting_errors import explained  # for settings with errors only

        message, hint = explained(error, Settings)
        where = _file_of(error, files)
        raise BadSettings(f"configuration in {folder}{where}: {message}", hint=hint) from error
    settings._note, settings._sources = note, {tool: ", ".join(found) for tool, found in sources.items()}
    settings.check_secrets(environ)
    for key, named in (("tools", settings.tools), ("sinks", settings.sinks)):
        for name in named:
            if name not in settings.registry:
                where = f" ({settings.sources[name]})" if key == "tools" and name in settings.sources else ""
                message = f"configuration in {folder}{where}: {key}: there is no tool {name!r}"
                raise BadSettings(message, hint=_hint(name, settings))
    return settings


def _hint(name: str, settings: Settings) -> str | None:
    """Returns how to correct the name of a tool."""
    if name == "tools" and f"{TOOLS_FILE}.yaml" in settings.sources.get(name, ""):
        return f"{TOOLS_FILE}.yaml has the tools' blocks at its top level: leave the line `tools:` out"
    return suggest.hint(name, settings.registry, most=20)


def _file_of(error: ValidationError, files: Iterable[tuple[str, Any]]) -> str:
    """Returns the files that have the setting of the first error; empty when that is in none."""
    location = error.errors(include_url=False)[0]["loc"]
    found = [name for name, read in files if _has(read, location[:2])]
    return f" ({', '.join(found)})" if found else ""


def _has(value: Any, path: Iterable[Any]) -> bool:
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return not isinstance(value, Mapping)
        value = value[key]
    return True


def _profile(folder: Path, profile: str | None, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """Returns the profile, and a note when ``ENVIRONMENT`` implies one that has no file."""
    implied = environ.get("ENVIRONMENT", "").strip()
    name = profile or ENVIRONMENTS.get(implied.lower(), "default")
    has_file = PROFILE.fullmatch(name) and name not in NOT_PROFILES and regular.is_there(folder / f"{name}.yaml")
    if name == "default" or has_file:
        return name, None if profile else _note_on(implied)
    if profile is None:
        return "default", f"ENVIRONMENT is {implied}, but there is no {folder / name}.yaml: default settings"
    known = sorted(p.stem for p in folder.glob("*.yaml") if p.stem not in NOT_PROFILES)
    meant = ENVIRONMENTS.get(profile.lower())
    near = f'did you mean "{meant}"? Profiles' if meant in known else "profiles"
    raise BadSettings(
        f"there is no profile {profile!r}: {folder / profile}.yaml does not exist",
        code="unknown-profile",
        hint=f"{near} here: {', '.join(known) or 'none'}",
    )


def _note_on(implied: str) -> str | None:
    """Returns a note when ``ENVIRONMENT`` has a value that implies no profile."""
    if not implied or implied.lower() in (*ENVIRONMENTS, "default"):
        return None
    near = suggest.nearest(implied, ENVIRONMENTS)
    meant = f'did you mean "{near[0]}"?' if near else f"{', '.join(ENVIRONMENTS)} do"
    return f"ENVIRONMENT is {implied[:80]!r}, which implies no profile: default settings ({meant})"


def _from_variables(tools: Any, environ: Mapping[str, str], sources: dict[str, list[str]]) -> Any:
    """Adds the settings of tools that no file sets and their conventional variables do."""
    if not isinstance(tools, dict | None):
        return tools
    for (tool, setting), variable in VARIABLES.items():
        value, known = environ.get(variable, "").strip(), (tools or {}).get(tool) or {}
        if value and isinstance(known, dict) and setting not in known:
            tools = merge(tools or {}, {tool: {setting: value}})
            sources.setdefault(tool, []).append(variable)
    return tools


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
    """Returns why ordinary data could contain this secret, or None. An empty one counts as not set."""
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


def read_file(path: Path, environ: Mapping[str, str]) -> JsonObject:
    """Returns the mapping in a configuration file, with variables filled in. Raises UnreadableSettings, BadInput."""
    data: JsonObject = _substitute(_read(path).data, environ, path)
    return data


def _read(path: Path) -> Document:
    """Returns a configuration file as it is written."""
    try:
        text = regular.read(path, regular.CONFIGURATION)
    except OSError as error:
        raise BadInput(
            f"cannot read {path}: {error.strerror or error}",
            code="bad-settings",
            hint="make it a readable regular file, or remove it: defaults do not replace an unreadable file",
        ) from error
    found, problems = document.read(text, str(path))
    if [problem.code for problem in problems] == ["empty"]:
        if not text.strip():  # cut off, perhaps: a disk was full
            hint = "write {} or a comment for the defaults, or remove the file"
            raise BadSettings(f"configuration cannot be read: {path} is empty", hint=hint)
        found, problems = document.read("{}\n", str(path))
    if found is None or problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise UnreadableSettings(problems, message=f"configuration cannot be read: {problems[0]}{more}")
    return found


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
            raise BadSettings(
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
    """Merges mappings key by key. Any other value is replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        return {**base, **{key: merge(base.get(key), value) for key, value in over.items()}}
    return over


def first_error(error: ValidationError) -> str:
    """Returns the first error, with its path."""
    detail = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}"
