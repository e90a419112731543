"""Loads ``config/policy.yaml`` as a ``Policy``: who may use which actions, paths, hosts, and how much of everything.

The permissions of a spec depend on its *origin*: a ``human`` or an ``agent``, as set by the operator, never by the
spec. A step that names its agent is also limited to the actions of that role. Without a file, the defaults below apply.
"""

# Annotations are evaluated here: as text, pydantic would compile each of them at every start.
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo

from e2i import regular, settings
from e2i.catalog.registry import BUILT_IN, Registry
from e2i.documents import Values
from e2i.errors import BadInput, InvalidSpec, Refused, RefusedSpec
from e2i.spec import suggest
from e2i.spec.models import Duration, Identifier, Size

FILE = "policy.yaml"
VARIABLE = "E2I_ORIGIN"


class Origin(StrEnum):
    """The author of a spec."""

    HUMAN = "human"
    AGENT = "agent"


def _known_tool(pattern: str, info: ValidationInfo) -> str:
    registry = info.context if isinstance(info.context, Registry) else BUILT_IN
    tool, dot, action = pattern.partition(".")
    if pattern == "*":
        return pattern
    if not dot or not action:
        raise ValueError(f"{pattern!r} is neither tool.action nor tool.* nor *")
    if tool not in registry:
        hint = suggest.hint(tool, registry, most=20)
        raise ValueError(f"there is no tool {tool!r}" + (f"; {hint}" if hint else ""))
    return pattern


Pattern = Annotated[str, AfterValidator(_known_tool)]
"""``tool.action``, ``tool.*`` or ``*``."""
Patterns = tuple[Pattern, ...]
PublicKey = Annotated[str, Field(pattern=r"^ed25519:[A-Za-z0-9+/]{43}=$")]
"""An Ed25519 key: ``ed25519:`` and its 32 bytes as base64."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Budgets(_Part):
    """Limits on the resources that one spec may request."""

    bytes: Annotated[int, Field(ge=1, description="Bytes of the spec and its included specs together.")] = 8 * 2**20
    values: Annotated[int, Field(ge=1, description="Values in the spec and its included specs together.")] = 250_000
    steps: Annotated[int, Field(ge=1, description="Steps, each combination of a matrix counted.")] = 10_000
    combinations: Annotated[int, Field(ge=1, description="Combinations of one matrix.")] = 1_000
    trials: Annotated[int, Field(ge=0, description="Trials of all studies together.")] = 10_000
    rows: Annotated[int, Field(ge=0, description="Rows that one step may request.")] = 5_000_000
    query_rows: Annotated[int, Field(ge=1, description="Rows of the result of one query of `sql` or `table`.")] = 10**10
    query_time: Annotated[Duration, Field(description="Time that one query of `sql` or `table` may take.")] = "30d"
    query_memory: Annotated[Size, Field(description="Maximum `memory` of one query of `sql` or `table`.")] = "1TB"
    replicas: Annotated[int, Field(ge=0, description="Replicas of endpoints that all steps together deploy.")] = 64
    timeout: Annotated[Duration, Field(description="Maximum time limit of one step.")] = "30d"
    attempts: Annotated[int, Field(ge=1, description="Maximum attempts of one step.")] = 100
    time: Annotated[Duration | None, Field(description="Estimated time of a whole run; null: no limit.")] = None
    memory: Annotated[
        Size | None, Field(description="Estimated memory of the steps that run beside each other; null: no limit.")
    ] = None
    cost: Annotated[float | None, Field(ge=0, description="Estimated cost of a whole run; null: no limit.")] = None


class Amounts(_Part):
    """Amounts above which a plan needs an approval; null: no amount does."""

    steps: Annotated[int | None, Field(ge=0, description="Steps, each combination of a matrix counted.")] = None
    trials: Annotated[int | None, Field(ge=0, description="Trials of all studies together.")] = None
    rows: Annotated[int | None, Field(ge=0, description="Rows that one step requests.")] = None
    replicas: Annotated[int | None, Field(ge=0, description="Replicas that all steps together deploy.")] = None


Permission = Literal[
    "hosts", "connections", "locations", "write_roots", "run_python", "secrets", "promote_to_production",
    "keep_services", "change_endpoints", "publish_features", "write_formulas", "unpinned_downloads",
]  # fmt: skip
"""A rule whose use can need an approval."""


class Approval(_Part):
    """The plans that run only with a signed approval (``e2i approve``)."""

    actions: Annotated[Patterns, Field(description="Plans with a step of one of these actions; `*`: all plans.")] = ()
    rules: Annotated[
        tuple[Permission, ...],
        Field(description="Plans that use one of these permissions; `hosts`: a host other than this machine."),
    ] = ()
    above: Annotated[Amounts, Field(description="Plans that request more than this.")] = Amounts.model_construct()

    @property
    def is_demanded(self) -> bool:
        """Returns whether any plan needs an approval."""
        return self != Approval.model_construct()


class Rules(_Part):
    """Permissions of specs of one origin."""

    actions: Annotated[Patterns, Field(description="Actions that may be used.")] = ("*",)
    refused: Annotated[Patterns, Field(description="Actions that may not be used, even if `actions` lists them.")] = ()
    roots: Annotated[
        tuple[str, ...],
        Field(description="Folders that files may be in: relative to the workspace, or absolute."),
    ] = (".",)
    write_roots: Annotated[
        tuple[str, ...],
        Field(description="Folders that steps may write files to: relative to the workspace, or absolute."),
    ] = (".",)
    hidden_files: Annotated[
        bool, Field(description="Whether a path may lead through a name that starts with a dot.")
    ] = True
    hosts: Annotated[
        tuple[str, ...], Field(description="Hosts that the tools of a run may be on; `*` matches any text.")
    ] = ("*",)
    connections: Annotated[
        tuple[str, ...],
        Field(description="Databases of the settings that steps may use, by name; `*` matches any text."),
    ] = ("*",)
    locations: Annotated[
        tuple[str, ...],
        Field(description="Locations of the settings that steps may use, by name; `*` matches any text."),
    ] = ("*",)
    run_python: Annotated[bool, Field(description="Whether steps may run Python files of the workspace.")] = True
    secrets: Annotated[
        tuple[str, ...],
        Field(description="Secrets that may be passed to steps; `*` matches any text."),
    ] = ("*",)
    promote_to_production: Annotated[
        bool, Field(description="Whether a model may be moved to production, and the one there to another stage.")
    ] = True
    keep_services: Annotated[bool, Field(description="Whether a service may outlive its run.")] = True
    change_endpoints: Annotated[
        bool, Field(description="Whether endpoints may be deployed, changed and ended, and their traffic moved.")
    ] = True
    publish_features: Annotated[
        bool, Field(description="Whether the feature values that an online store serves may be changed.")
    ] = True
    write_formulas: Annotated[
        bool, Field(description="Whether a written text may be a formula to a spreadsheet, as in `=HYPERLINK(…)`.")
    ] = True
    unpinned_downloads: Annotated[
        bool,
        Field(
            description="Whether remote.get may take content that no `digest` in the spec pins, and opik.evaluate a "
            "metric that downloads what it needs."
        ),
    ] = True
    budgets: Annotated[Budgets, Field(description="Limits on the resources of one spec.")] = Budgets.model_construct()
    approval: Annotated[Approval, Field(description="The plans that need a signed approval.")] = (
        Approval.model_construct()
    )

    def withheld(self, *, approved: bool) -> tuple[str, ...]:
        """Returns the permissions that the steps of a run lack, sorted: those that are refused, and without an approval
        those that need one.
        """
        switches = (name for name, field in type(self).model_fields.items() if field.annotation is bool)
        return tuple(
            sorted(
                name for name in switches if not (getattr(self, name) and (approved or name not in self.approval.rules))
            )
        )


AGENT: Values = {
    "write_roots": (),
    "hidden_files": False,
    "hosts": ("localhost", "127.0.0.1", "::1"),
    "connections": (),
    "locations": (),
    "run_python": False,
    "secrets": (),
    "promote_to_production": False,
    "keep_services": False,
    "change_endpoints": False,
    "publish_features": False,
    "write_formulas": False,
    "unpinned_downloads": False,
    "budgets": {
        "bytes": 2**20,
        "values": 50_000,
        "steps": 1_000,
        "combinations": 100,
        "trials": 1_000,
        "rows": 1_000_000,
        "query_rows": 5_000_000,
        "query_time": "10m",
        "query_memory": "2GB",
        "replicas": 4,
        "timeout": "1d",
        "attempts": 10,
    },
}
"""The stricter rules for specs written by a machine."""

ROLES: Mapping[str, tuple[str, ...]] = {
    "scope_definer": ("data.*", "sql.*", "table.*", "dataset.*", "opik.*", "debug.*"),
    "data_preparer": ("great_expectations.*", "feast.*", "data.*", "database.read", "sql.*", "table.*", "prepare.*",
                      "dataset.*", "python.*", "debug.*"),
    "model_selector": ("model.*", "prepare.*", "causal.*", "optuna.*", "mlflow.log", "mlflow.find",
                       "mlflow.compare", "mlflow.load", "opik.*", "data.*", "sql.*", "table.*", "python.*", "debug.*"),
    "model_trainer": ("optuna.*", "model.*", "prepare.*", "causal.*", "mlflow.log", "mlflow.register", "mlflow.find",
                      "mlflow.load", "data.*", "sql.*", "table.*", "feast.historical_features", "feast.repository",
                      "feast.statistics", "python.*", "debug.*"),
    "feature_analyzer": ("shap.*", "causal.*", "model.predict", "opik.*", "data.*", "sql.*", "table.*",
                         "feast.historical_features", "feast.repository", "feast.statistics", "python.*", "debug.*"),
    "model_deployer": ("mlflow.*", "bentoml.*", "feast.materialize", "feast.online_features", "feast.repository",
                       "debug.*"),
    "observability_connector": ("opik.*", "debug.*"),
    "prediction_synthesizer": ("bentoml.predict", "model.predict", "model.evaluate", "mlflow.find", "mlflow.load",
                               "feast.online_features", "feast.repository", "opik.*", "data.*", "sql.*", "table.*",
                               "python.*", "debug.*"),
}  # fmt: skip
"""The platform's Tier 0 agents, each with the actions that its steps may use."""


class Policy(_Part):
    """The operator's policy."""

    human: Annotated[Rules, Field(description="For specs written by a person.")]
    agent: Annotated[Rules, Field(description="For specs written by a machine.")]
    roles: Annotated[
        dict[Identifier, Patterns], Field(description="Actions that a step may use, by the role in its `agent`.")
    ]
    approvers: Annotated[
        dict[Identifier, PublicKey],
        Field(description="The people whose approvals count, each with the public key of `e2i keys make`."),
    ] = {}

    def rules(self, origin: Origin) -> Rules:
        return self.human if origin is Origin.HUMAN else self.agent


def default() -> Policy:
    """Returns the policy used when the operator has written none."""
    return Policy.model_validate({"human": {}, "agent": AGENT, "roles": ROLES})


def load(folder: Path, environ: Mapping[str, str], registry: Registry = BUILT_IN) -> Policy:
    """Returns the policy in ``folder/policy.yaml`` over the defaults. A file that cannot be read is an error.

    It may name the tools of ``registry``. Raises Refused, RefusedSpec.
    """
    path = folder / FILE
    try:
        data = settings.read_file(path, environ) if regular.is_there(path) else {}
    except InvalidSpec as error:
        raise RefusedSpec(error.problems) from error
    except BadInput as error:
        raise Refused(error.message, code="bad-policy", hint=error.hint) from error
    try:
        merged = settings.merge({"human": {}, "agent": AGENT, "roles": ROLES}, data)
        return Policy.model_validate(merged, context=registry)
    except ValidationError as error:
        raise Refused(f"{path}: {settings.first_error(error)}", code="bad-policy") from error


def origin(option: str | None, environ: Mapping[str, str]) -> Origin:
    """Returns the author of the spec, by the operator's option and environment. The option may only be stricter.

    Raises BadInput for an unknown origin, Refused when the option contradicts the environment.
    """
    around = _read(environ[VARIABLE], VARIABLE) if environ.get(VARIABLE) else None
    if option is None:
        return around or Origin.HUMAN
    asked = _read(option, "--origin")
    if around is Origin.AGENT and asked is Origin.HUMAN:
        raise Refused(
            f"--origin human is refused here: {VARIABLE} is set to agent",
            code="policy-origin",
            hint="leave --origin out; the origin can only be changed in the environment",
        )
    return asked


def _read(text: str, where: str) -> Origin:
    try:
        return Origin(text)
    except ValueError as error:
        known = [item.value for item in Origin]
        raise BadInput(
            f"{where}: {text!r} is not an origin", code="bad-option", hint=suggest.hint(text, known)
        ) from error
