"""What a user may write, in shape: plain data goes in, ``PipelineSpec`` or pydantic's errors with true paths come out.

``with:`` stays raw: only ``e2i.check`` knows the action that it is for.
"""

# Annotations are values here: as texts, pydantic would compile each of them at every start.
from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from e2i.spec import durations, patterns, sizes
from e2i.spec.composer import MAX_PARAMS


def _duration(value: Any) -> Any:
    if durations.parse(str(value)) == 0:  # also of a number, to say that it needs a unit
        raise ValueError(f'"{value}" is no time at all: it must be longer than zero')
    return value


def _size(value: Any) -> Any:
    sizes.parse(str(value))  # also of a number, to say that it needs a unit
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
Limit = Annotated[
    Annotated[float, Field(strict=True)] | str,
    Field(union_mode="left_to_right", description="A number; for a date, a date."),
]
PART = r"^\.{1,2}/[^\\]*\.ya?ml$"
"""A ``uses`` that names another spec, by its path from the file that names it."""


class Shape(BaseModel):
    """Base of everything in a spec: frozen, and a key that is not known is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, populate_by_name=True)


class ParamSpec(Shape):
    """A parameter of the pipeline, given by ``-p NAME=VALUE`` or else its default. Without a default it is required."""

    type: Annotated[
        Literal["string", "integer", "number", "boolean", "list", "mapping", "date", "path", "any"],
        Field(
            description="The type that a value must have. date: as 2026-11-22. path: inside the workspace. "
            "any: also what a step gives, such as a table, when the spec is used as a part."
        ),
    ]
    default: Annotated[Any, Field(description="The value when none is given.")] = None
    choices: Annotated[tuple[Any, ...] | None, Field(min_length=1, description="The only values allowed.")] = None
    required_: Annotated[
        bool | None,
        Field(strict=True, alias="required", description="true: a value must be given. false: null when none is."),
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
        """True when a value must be given."""
        return "default" not in self.model_fields_set if self.required_ is None else self.required_


class RetrySpec(Shape):
    """When a tool is out, or an attempt is lost: how often to try, and how long to wait in between."""

    attempts: Annotated[int, Field(strict=True, ge=1, le=100, description="Attempts in all.")] = 1
    backoff: Annotated[Literal["exponential", "linear", "constant"], Field(description="How the wait grows.")] = (
        "exponential"
    )
    initial: Annotated[Duration, Field(description="The first wait.")] = "1s"
    max: Annotated[Duration, Field(description="The longest wait.")] = "30s"
    total: Annotated[
        Duration | None, Field(description="How long all attempts and waits may take together; null: no limit.")
    ] = None


class ResourcesSpec(Shape):
    """What a step needs of the machine."""

    threads: Annotated[
        int | None,
        Field(strict=True, ge=1, le=1024, description="Threads that numeric libraries may use; default: cpus."),
    ] = None
    cpus: Annotated[
        int | None, Field(strict=True, ge=1, le=1024, description="Cores that the step's processes are held to.")
    ] = None
    memory: Annotated[
        Size | None, Field(description="What the step's processes may hold together. More ends the step, and only it.")
    ] = None
    log: Annotated[
        Size | None, Field(description="What the step's log may have. Of more, the beginning and the end are kept.")
    ] = None
    processes: Annotated[
        int | None,
        Field(strict=True, ge=1, le=100_000, description="Processes that the step may have at a time. More end it."),
    ] = None


_CELLS: Any = {"type": ["array", "string"], "minItems": 1, "items": {"type": "object", "minProperties": 1}}


class StepOptions(Shape):
    """Everything about how a step is carried out; ``defaults:`` holds the same keys for every step."""

    retry: Annotated[RetrySpec, Field(description="Attempts and waits.")] = RetrySpec()
    timeout: Annotated[Duration | None, Field(description="How long one attempt may take.")] = None
    on_error: Annotated[Literal["fail", "continue"], Field(description="What a failure means for the run.")] = "fail"
    on_unavailable: Annotated[
        Literal["fail", "skip", "defer"], Field(description="What to do when the step's tool is out.")
    ] = "fail"
    cache: Annotated[bool, Field(strict=True, description="false: always carried out, never reused.")] = True
    resources: Annotated[ResourcesSpec, Field(description="What the step needs of the machine.")] = ResourcesSpec()

    @cached_property
    def as_json(self) -> dict[str, Any]:
        """All of them as plain data; one object, as most steps of a spec share theirs."""
        return self.model_dump(mode="json", include=set(StepOptions.model_fields))


class StepSpec(StepOptions):
    """One step: the action it ``uses``, with which parameters, and how it is carried out."""

    uses: Annotated[str, Field(max_length=200, description="The action, as tool.action, or a part, as ./part.yaml.")]
    with_: Annotated[dict[str, Any], Field(alias="with", description="The action's or part's parameters.")] = Field(
        default_factory=dict
    )
    needs: Annotated[tuple[str, ...], Field(description="Steps to come first, without data from them.")] = ()
    when: Annotated[bool | str, Field(description="The step is skipped when this is false.")] = True
    matrix: Annotated[
        dict[Identifier, list[Any] | str] | None,
        Field(
            min_length=1,
            description="Names with lists of values: the step is repeated for every combination. "
            "`exclude` lists combinations to leave out, `include` combinations to add or to extend.",
            json_schema_extra={"properties": dict.fromkeys(("include", "exclude"), _CELLS)},
        ),
    ] = None
    tags: Annotated[tuple[Identifier, ...], Field(description="Labels for --select tag:NAME.")] = ()
    agent: Annotated[Identifier | None, Field(description="The agent role this step acts for.")] = None
    description: Annotated[Text, Field(description="For people.")] = ""


class PipelineSpec(Shape):
    """A pipeline, version 1 of the language."""

    version: Annotated[Literal[1], Field(description="Version of the language.")]
    name: Annotated[PipelineName, Field(description="The pipeline's name; its history goes by it.")]
    description: Annotated[Text, Field(description="For people.")] = ""
    params: Annotated[
        dict[Identifier, ParamSpec], Field(max_length=MAX_PARAMS, description="Parameters of the pipeline.")
    ] = Field(default_factory=dict)
    defaults: Annotated[StepOptions, Field(description="Options merged under every step.")] = StepOptions()
    steps: Annotated[dict[Identifier, StepSpec], Field(min_length=1, description="The steps, by id.")]
    finally_: Annotated[
        dict[Identifier, StepSpec],
        Field(alias="finally", description="Steps that run after all others, also after a failure or an interruption."),
    ] = Field(default_factory=dict)
    outputs: Annotated[dict[Identifier, Any], Field(description="What a run gives back, by name.")] = Field(
        default_factory=dict
    )

    def every_step(self) -> Iterator[tuple[str, str, StepSpec]]:
        """Each step with the key it stands under, ``steps`` or ``finally``, and its id."""
        for name, step in self.steps.items():
            yield "steps", name, step
        for name, step in self.finally_.items():
            yield "finally", name, step

    def options(self, step: StepSpec, around: StepOptions | None = None) -> StepOptions:
        """The step's options over the pipeline's defaults; nested mappings are merged key by key.

        ``around`` are those of the step that includes this spec as a part: defaults of its defaults, but for
        ``on_error: continue``, which holds for everything inside.
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
        return base.model_copy(update={name: getattr(value, name) for name in value.model_fields_set})
    return value
