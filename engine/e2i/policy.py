"""``config/policy.yaml`` goes in; ``Policy`` comes out: who may use which actions, paths, hosts, and how much of
everything.

What a spec may do depends on its *origin*: a ``human`` or an ``agent``, as the operator says, never the spec. A step
that names the agent it acts for is also held to what that agent role may use. Without a file, the defaults below hold.
"""

# Annotations are values here: as texts, pydantic would compile each of them at every start.
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from e2i import regular, settings
from e2i.catalog import registry
from e2i.errors import BadInput, InvalidSpec, Refused, RefusedSpec
from e2i.spec import suggest
from e2i.spec.models import Duration, Identifier

FILE = "policy.yaml"
VARIABLE = "E2I_ORIGIN"


class Origin(StrEnum):
    """Who wrote the spec."""

    HUMAN = "human"
    AGENT = "agent"


def _known_tool(pattern: str) -> str:
    tool, dot, action = pattern.partition(".")
    if pattern == "*":
        return pattern
    if not dot or not action:
        raise ValueError(f"{pattern!r} is neither tool.action nor tool.* nor *")
    if tool not in registry.TOOLS:
        hint = suggest.hint(tool, registry.TOOLS, most=20)
        raise ValueError(f"there is no tool {tool!r}" + (f"; {hint}" if hint else ""))
    return pattern


Pattern = Annotated[str, AfterValidator(_known_tool)]
"""``tool.action``, ``tool.*`` or ``*``."""
Patterns = tuple[Pattern, ...]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Budgets(_Part):
    """The most that one spec may ask for."""

    bytes: Annotated[int, Field(ge=1, description="Bytes of the spec and its parts together.")] = 8 * 2**20
    values: Annotated[int, Field(ge=1, description="Values in the spec and its parts together.")] = 250_000
    steps: Annotated[int, Field(ge=1, description="Steps, each combination of a matrix counted.")] = 10_000
    combinations: Annotated[int, Field(ge=1, description="Cells of one matrix.")] = 1_000
    trials: Annotated[int, Field(ge=0, description="Trials of all studies together.")] = 10_000
    rows: Annotated[int, Field(ge=0, description="Rows that one step asks for.")] = 5_000_000
    timeout: Annotated[Duration, Field(description="Time limit that one step sets itself.")] = "30d"
    attempts: Annotated[int, Field(ge=1, description="Attempts that one step sets itself.")] = 100


class Rules(_Part):
    """What specs of one origin may do."""

    actions: Annotated[Patterns, Field(description="Actions that may be used.")] = ("*",)
    refused: Annotated[Patterns, Field(description="Actions that may not be used although `actions` names them.")] = ()
    roots: Annotated[
        tuple[str, ...],
        Field(description="Folders that files may be in: relative to the workspace, or absolute."),
    ] = (".",)
    hidden_files: Annotated[
        bool, Field(description="Whether a path may lead through a name that starts with a dot.")
    ] = True
    hosts: Annotated[
        tuple[str, ...], Field(description="Hosts that the tools of a run may be on; `*` stands for any text.")
    ] = ("*",)
    run_python: Annotated[bool, Field(description="Whether steps may run Python files of the workspace.")] = True
    secrets: Annotated[
        tuple[str, ...],
        Field(description="Secrets that may be handed to steps that take one; `*` stands for any text."),
    ] = ("*",)
    promote_to_production: Annotated[bool, Field(description="Whether a model may be moved to production.")] = True
    keep_services: Annotated[bool, Field(description="Whether a service may outlive its run.")] = True
    budgets: Annotated[Budgets, Field(description="The most that one spec may ask for.")] = Budgets()


AGENT: Mapping[str, Any] = {
    "hidden_files": False,
    "hosts": ("localhost", "127.0.0.1", "::1"),
    "run_python": False,
    "secrets": (),
    "promote_to_production": False,
    "keep_services": False,
    "budgets": {
        "bytes": 2**20,
        "values": 50_000,
        "steps": 1_000,
        "combinations": 100,
        "trials": 1_000,
        "rows": 1_000_000,
        "timeout": "1d",
        "attempts": 10,
    },
}
"""Where the rules for specs that a machine wrote are stricter than those for people."""

ROLES: Mapping[str, tuple[str, ...]] = {
    "scope_definer": ("data.*", "dataset.*", "debug.*"),
    "data_preparer": ("great_expectations.*", "feast.*", "data.*", "dataset.*", "python.*", "debug.*"),
    "model_selector": ("model.*", "optuna.*", "mlflow.load", "data.*", "python.*", "debug.*"),
    "model_trainer": ("optuna.*", "model.*", "mlflow.register", "mlflow.load", "data.*", "feast.historical_features",
                      "python.*", "debug.*"),
    "feature_analyzer": ("shap.*", "model.predict", "data.*", "feast.historical_features", "python.*", "debug.*"),
    "model_deployer": ("mlflow.*", "bentoml.*", "feast.materialize", "feast.online_features", "debug.*"),
    "observability_connector": ("opik.*", "debug.*"),
    "prediction_synthesizer": ("bentoml.predict", "model.predict", "model.evaluate", "mlflow.load",
                               "feast.online_features", "data.*", "python.*", "debug.*"),
}  # fmt: skip
"""The platform's Tier 0 agents, each with the actions that its steps may use."""


class Policy(_Part):
    """What the operator allows."""

    human: Annotated[Rules, Field(description="For specs that a person wrote.")]
    agent: Annotated[Rules, Field(description="For specs that a machine wrote.")]
    roles: Annotated[dict[Identifier, Patterns], Field(description="What a step may use, by the role in its `agent`.")]

    def rules(self, origin: Origin) -> Rules:
        return self.human if origin is Origin.HUMAN else self.agent


def default() -> Policy:
    """The policy where the operator has written none."""
    return Policy.model_validate({"human": {}, "agent": AGENT, "roles": ROLES})


def load(folder: Path, environ: Mapping[str, str]) -> Policy:
    """The policy in ``folder/policy.yaml`` over the defaults, which stand in for no file that cannot be read.

    Raises Refused, RefusedSpec.
    """
    path = folder / FILE
    try:
        data = settings.read_file(path, environ) if regular.is_there(path) else {}
    except InvalidSpec as error:
        raise RefusedSpec(error.problems) from error
    except BadInput as error:
        raise Refused(error.message, code="bad-policy", hint=error.hint) from error
    try:
        return Policy.model_validate(settings.merge({"human": {}, "agent": AGENT, "roles": ROLES}, data))
    except ValidationError as error:
        raise Refused(f"{path}: {settings.first_error(error)}", code="bad-policy") from error


def origin(option: str | None, environ: Mapping[str, str]) -> Origin:
    """Who wrote the spec, by the operator's option and environment. The option may be stricter, never laxer.

    Raises BadInput for a word that is no origin, Refused when the option would undo what the environment says.
    """
    around = _read(environ[VARIABLE], VARIABLE) if environ.get(VARIABLE) else None
    if option is None:
        return around or Origin.HUMAN
    asked = _read(option, "--origin")
    if around is Origin.AGENT and asked is Origin.HUMAN:
        raise Refused(
            f"--origin human is refused here: {VARIABLE} says agent",
            code="policy-origin",
            hint="leave --origin out; only whoever sets the environment can change it",
        )
    return asked


def _read(text: str, where: str) -> Origin:
    try:
        return Origin(text)
    except ValueError as error:
        known = [item.value for item in Origin]
        raise BadInput(f"{where}: {text!r} is no origin", code="bad-option", hint=suggest.hint(text, known)) from error
