"""The shape of a spec as pydantic models.

In: plain data. Out: ``PipelineSpec``, or pydantic's errors with exact paths. ``with:`` is not validated here: only
``e2i.check`` knows the parameters of an action.
"""

# Annotations are evaluated here: as text, pydantic would compile each of them at every start.
from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from e2i.documents import JsonObject
from e2i.spec import durations, patterns, sizes
from e2i.spec.composer import MAX_PARAMS


def _duration(value: Any) -> Any:
    if durations.parse(str(value)) == 0:  # also for a number, to report that it needs a unit
        raise ValueError(f'"{value}" is zero: a duration must be longer')
    return value


def _size(value: Any) -> Any:
    sizes.parse(str(value))  # also for a number, to report that it needs a unit
    return value


def _pattern(text: str) -> str:
    patterns.matches(text, "")
    return text


IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"
Identifier = Annotated[str, StringConstraints(pattern=IDENTIFIER)]
PipelineName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
Duration = Annotated[
    str,
    BeforeValidator(_duration),
    Field(json_schema_extra={"pattern": r"^(\d+(\.\d+)?(d|h|m|s|ms))+$", "examples": ["30s", "10m", "1h30m"]}),
]
Size = Annotated[
    str,
    BeforeValidator(_size),
    Field(json_schema_extra={"pattern": r"^\d+(\.\d+)?([KMGT]i?)?B$", "examples": ["512MB", "2GB", "1.5GiB"]}),
]
Text = Annotated[str, StringConstraints(max_length=10_000)]
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
Labels = Annotated[dict[Identifier, Label], Field(max_length=16)]
"""Facts about a machine, by name: ``{zone: eu}``."""
Limit = Annotated[
    Annotated[float, Field(strict=True)] | str,
    Field(union_mode="left_to_right", description="A number; for a date, a date."),
]
PART = r"^\.{1,2}/[^\\]*\.ya?ml$"
"""Pattern of a ``uses`` that names another spec by its path relative to this file."""


class Shape(BaseModel):
    """Base of all models of a spec: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, populate_by_name=True)


class ParamSpec(Shape):
    """A parameter of the pipeline, set by ``-p NAME=VALUE`` or else to its default. Without a default it is
    required.
    """

    type: Annotated[
        Literal["string", "integer", "number", "boolean", "list", "mapping", "date", "path", "any"],
        Field(
            description="The type that a value must have. date: as 2026-11-22. path: inside the workspace. "
            "any: also the output of a step, such as a table, when another spec includes this one."
        ),
    ]
    default: Annotated[Any, Field(description="The value when none is passed.")] = None
    choices: Annotated[tuple[Any, ...] | None, Field(min_length=1, description="The only values allowed.")] = None
    required_: Annotated[
        bool | None,
        Field(
            strict=True, alias="required", description="true: a value must be passed. false: null when none is passed."
        ),
    ] = None
    min: Annotated[Limit | None, Field(description="Least value, or least length of a string, list or mapping.")] = None
    max: Annotated[Limit | None, Field(description="Greatest value, or greatest length.")] = None
    pattern: Annotated[
        Annotated[str, AfterValidator(_pattern)] | None,
        Field(max_length=200, description="Regular expression for the whole string."),
    ] = None
    description: Annotated[Text, Field(description="For people.")] = ""

    @property
    def required(self) -> bool:
        """True when a value must be passed."""
        return "default" not in self.model_fields_set if self.required_ is None else self.required_


class RetrySpec(Shape):
    """Retries when a tool is unavailable or an attempt is lost: how often, and how long to wait in between."""

    attempts: Annotated[int, Field(strict=True, ge=1, le=100, description="Attempts in all.")] = 1
    backoff: Annotated[Literal["exponential", "linear", "constant"], Field(description="How the wait grows.")] = (
        "exponential"
    )
    initial: Annotated[Duration, Field(description="The first wait.")] = "1s"
    max: Annotated[Duration, Field(description="The longest wait.")] = "30s"
    total: Annotated[
        Duration | None, Field(description="Maximum time of all attempts and waits together. null: no limit.")
    ] = None


class BudgetSpec(Shape):
    """What a run may take, by the estimate from past runs. Over it is a warning of plans and runs."""

    time: Annotated[Duration | None, Field(description="Estimated time of a run, such as 30m.")] = None
    memory: Annotated[
        Size | None, Field(description="Estimated memory of the steps that run beside each other, such as 8GB.")
    ] = None
    cost: Annotated[
        float | None,
        Field(
            gt=0, allow_inf_nan=False, description="Estimated cost of a run, by the settings' `resources: hourly_cost`."
        ),
    ] = None


class ResourcesSpec(Shape):
    """Resources of the machine for a step. On a cluster, only a node that has them executes it."""

    threads: Annotated[
        int | None,
        Field(strict=True, ge=1, le=1024, description="Threads that numeric libraries may use; default: cpus."),
    ] = None
    cpus: Annotated[
        int | None, Field(strict=True, ge=1, le=1024, description="Maximum number of cores for the step's processes.")
    ] = None
    memory: Annotated[
        Size | None,
        Field(description="Maximum memory of all processes of the step together. If exceeded, only the step is ended."),
    ] = None
    log: Annotated[
        Size | None,
        Field(description="Maximum size of the step's log. Of a longer log, the beginning and the end are kept."),
    ] = None
    processes: Annotated[
        int | None,
        Field(
            strict=True,
            ge=1,
            le=100_000,
            description="Maximum number of processes of the step at a time. If exceeded, the step is ended.",
        ),
    ] = None
    gpus: Annotated[
        int | None,
        Field(
            strict=True,
            ge=1,
            le=64,
            exclude_if=lambda value: value is None,
            description="GPUs that the step uses alone. Its machine must have them.",
        ),
    ] = None
    labels: Annotated[
        Labels,
        Field(
            exclude_if=lambda value: not value,
            description="Labels that the machine must have, such as {zone: eu}. Its operator sets them.",
        ),
    ] = {}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Returns itself, because it never changes: pydantic copies a default that holds a mapping for each step."""
        return self


_CELLS: Any = {"type": ["array", "string"], "minItems": 1, "items": {"type": "object", "minProperties": 1}}


class StepOptions(Shape):
    """Options for executing a step. ``defaults:`` has the same keys, for every step."""

    retry: Annotated[RetrySpec, Field(description="Attempts and waits.")] = RetrySpec.model_construct()
    timeout: Annotated[Duration | None, Field(description="Maximum time of one attempt.")] = None
    on_error: Annotated[Literal["fail", "continue"], Field(description="Effect of a failure on the run.")] = "fail"
    on_unavailable: Annotated[
        Literal["fail", "skip", "defer"], Field(description="What to do when the step's tool is unavailable.")
    ] = "fail"
    cache: Annotated[bool, Field(strict=True, description="false: always run, never reuse a result.")] = True
    resources: Annotated[ResourcesSpec, Field(description="Resources for the step.")] = ResourcesSpec.model_construct()

    @cached_property
    def as_json(self) -> JsonObject:
        """Returns all options as plain data. Cached, because most steps of a spec share theirs."""
        return self.model_dump(mode="json", include=set(StepOptions.model_fields))


class StepSpec(StepOptions):
    """A step: the action that it ``uses``, its parameters, and how it is executed."""

    uses: Annotated[
        str, Field(max_length=200, description="The action, as tool.action, or a spec to include, as ./prepare.yaml.")
    ]
    with_: Annotated[dict[str, Any], Field(alias="with", description="Parameters of the action or included spec.")] = (
        Field(default_factory=dict)
    )
    needs: Annotated[tuple[str, ...], Field(description="Steps that must finish first, without passing data.")] = ()
    when: Annotated[bool | str, Field(description="The step is skipped when this is false.")] = True
    matrix: Annotated[
        dict[Identifier, list[Any] | str] | None,
        Field(
            min_length=1,
            description="Names with lists of values: the step runs once for every combination. "
            "`exclude` lists combinations to remove, `include` combinations to add or to extend.",
            json_schema_extra={"properties": dict.fromkeys(("include", "exclude"), _CELLS)},
        ),
    ] = None
    tags: Annotated[tuple[Identifier, ...], Field(description="Labels for --select tag:NAME.")] = ()
    agent: Annotated[Identifier | None, Field(description="The agent role this step acts for.")] = None
    description: Annotated[Text, Field(description="For people.")] = ""


class PipelineSpec(Shape):
    """A pipeline, version 1 of the language."""

    version: Annotated[Literal[1], Field(description="Version of the language.")]
    name: Annotated[PipelineName, Field(description="The name of the pipeline, which identifies its history.")]
    description: Annotated[Text, Field(description="For people.")] = ""
    params: Annotated[
        dict[Identifier, ParamSpec], Field(max_length=MAX_PARAMS, description="Parameters of the pipeline.")
    ] = Field(default_factory=dict)
    defaults: Annotated[StepOptions, Field(description="Options merged under every step.")] = (
        StepOptions.model_construct()
    )
    budget: Annotated[BudgetSpec, Field(description="What a run may take.")] = BudgetSpec.model_construct()
    steps: Annotated[dict[Identifier, StepSpec], Field(min_length=1, description="The steps, by id.")]
    finally_: Annotated[
        dict[Identifier, StepSpec],
        Field(alias="finally", description="Steps that run after all others, also after a failure or an interruption."),
    ] = Field(default_factory=dict)
    outputs: Annotated[dict[Identifier, Any], Field(description="Outputs of a run, by name.")] = Field(
        default_factory=dict
    )

    @property
    def has_budget(self) -> bool:
        """True when a run should not take more than some time or memory, or cost more."""
        return self.budget != BudgetSpec.model_construct()

    def every_step(self) -> Iterator[tuple[str, str, StepSpec]]:
        """Yields each step with its section, ``steps`` or ``finally``, and its id."""
        for name, step in self.steps.items():
            yield "steps", name, step
        for name, step in self.finally_.items():
            yield "finally", name, step

    def options(self, step: StepSpec, around: StepOptions | None = None) -> StepOptions:
        """Returns the step's options merged over the pipeline's defaults. Nested mappings are merged key by key.

        ``around`` are the options of the step that includes this spec. They are the defaults of its defaults, except
        for ``on_error: continue``, which applies to everything inside.
        """
        if around is None and not self.defaults.model_fields_set:
            return step if step.model_fields_set & StepOptions.model_fields.keys() else self.defaults
        base = around or StepOptions()
        merged = {
            name: _over(
                _over(getattr(base, name), getattr(self.defaults, name), name in self.defaults.model_fields_set),
                getattr(step, name),
                name in step.model_fields_set,
            )
            for name in StepOptions.model_fields
        }
        if base.on_error == "continue":
            merged["on_error"] = "continue"
        return StepOptions.model_construct(**merged)


def _over(base: Any, value: Any, is_set: bool) -> Any:
    if not is_set:
        return base
    if isinstance(base, BaseModel) and isinstance(value, BaseModel):
        update = {name: _over(getattr(base, name), getattr(value, name), True) for name in value.model_fields_set}
        return base.model_copy(update=update)
    return {**base, **value} if isinstance(base, dict) and isinstance(value, dict) else value
