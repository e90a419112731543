"""Find what each step of a run read and output: files, artifacts, values.

In: a past run. Out: its steps. Pure. A reused step has this run's inputs, whose digests are those of its
execution.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from e2i.catalog.artifacts import ARTIFACTS
from e2i.documents import Digest, Element, OutputValues, ParamValues
from e2i.planning import fingerprint
from e2i.planning.inputs import Components
from e2i.records.past import PastRun
from e2i.spec.load import load
from e2i.store.past import KeptResult, RecordedStep

GOOD = ("succeeded", "reused")
_STEP = re.compile(r"\bsteps\.([A-Za-z_][\w-]*)\.([A-Za-z_]\w*)")
"""Matches a step's output in an expression."""
_COMBINATION = re.compile(r"\[[^\]]*\](#\d+)?$")


class OutputName(Element, frozen=True, kw_only=True):
    """An output of a step."""

    step: Annotated[str, Meta(description="The step's id.")]
    output: Annotated[str, Meta(description="Its name; that of an artifact in a mapping or list contains dots.")]
    type: Annotated[str, Meta(description="The type of an artifact, or `value`.")]
    digest: Annotated[Digest | None, Meta(description="Of an artifact. None: a plain value.")]


class File(Element, frozen=True):
    """A file of the workspace that a step read."""

    path: Annotated[str, Meta(description="Its path in the workspace.")]
    digest: Annotated[Digest | None, Meta(description="None: it did not exist.")]


class Output(Struct, frozen=True):
    """An output of a step with its value. ``digest`` is None for a plain value."""

    step: str
    name: str
    value: Any
    digest: str | None

    @property
    def type(self) -> str:
        return str(self.value["type"]) if self.digest else "value"

    @property
    def address(self) -> str:
        """Returns the address, such as ``train.model``."""
        return f"{self.step}.{self.name}"

    @property
    def named(self) -> OutputName:
        """Returns the output without its value, for documents."""
        return OutputName(step=self.step, output=self.name, type=self.type, digest=self.digest)


class Step(Struct, frozen=True):
    """One step of a run, from its row in the run store and its kept result."""

    row: RecordedStep
    components: Components | None
    """The inputs of its fingerprint; None for a step without a kept result."""
    made_in: str
    """The run that executed the step."""
    reads: tuple[Output, ...]
    """Outputs of upstream steps that it read, in the order of the plan."""
    files: tuple[File, ...]
    outputs: tuple[Output, ...]

    @property
    def id(self) -> str:
        return self.row.id

    @property
    def uses(self) -> str:
        return self.row.uses

    @property
    def parameters(self) -> ParamValues:
        """Returns the parameters with all values filled in; an artifact is ``{"$artifact": DIGEST}``."""
        found = self.components.params if self.components else None
        return ParamValues(found if isinstance(found, dict) else {})

    @property
    def version(self) -> int | None:
        """Returns the version of the action."""
        return self.components.version if self.components else None

    @property
    def libraries(self) -> dict[str, str | None]:
        return self.components.libraries if self.components else {}

    @property
    def python(self) -> str | None:
        return self.components.python if self.components else None

    @property
    def seed(self) -> int | None:
        return self.components.seed if self.components else None


def of(past: PastRun) -> dict[str, Step]:
    """Returns every step of a run by its id, in the order of the plan."""
    loaded, _ = load(past.run.spec, past.run.file)
    written = {name: str(step.with_) for _, name, step in loaded.spec.every_step()} if loaded else {}
    found: dict[str, Step] = {}
    for row in past.run.steps:
        result = past.results.get(row.fingerprint or "")
        found[row.id] = _step(row, result, found, written.get(_group(row.id)))
    return found


def behind(steps: Mapping[str, Step], step: str) -> list[Step]:
    """Returns the step and all that it depends on, in the order of the plan."""
    wanted: set[str] = set()
    ahead = [step]
    while ahead:
        name = ahead.pop()
        if name not in wanted and name in steps:
            wanted.add(name)
            ahead.extend(steps[name].row.needs)
    return [found for name, found in steps.items() if name in wanted]


def outputs(step: str, values: OutputValues | None) -> tuple[Output, ...]:
    """Returns the outputs of a step; artifacts within mappings and lists are separate outputs."""
    return tuple(found for name, value in (values or {}).items() for found in _named(step, name, value))


def addressed(value: Any, names: Mapping[str, str]) -> Any:
    """Returns resolved parameters with addresses in place of artifacts. ``names``: address by digest."""
    match value:
        case {"$artifact": str(digest)}:
            return names.get(digest, digest[:19])
        case dict():
            return {key: addressed(item, names) for key, item in value.items()}
        case list():
            return [addressed(item, names) for item in value]
    return value


def is_artifact(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("type") in ARTIFACTS and "digest" in value


def _group(step: str) -> str:
    """Returns the step id without its matrix combination, including the names of its included specs."""
    return _COMBINATION.sub("", step)


def _named(step: str, name: str, value: Any) -> Iterator[Output]:
    yield from list(_artifacts(step, name, value)) or [Output(step, name, value, None)]


def _artifacts(step: str, path: str, value: Any) -> Iterator[Output]:
    if is_artifact(value):
        yield Output(step, path, value, value["digest"])
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _artifacts(step, f"{path}.{key}", item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _artifacts(step, f"{path}.{index}", item)


def _step(row: RecordedStep, result: KeptResult | None, upstream: Mapping[str, Step], written: str | None) -> Step:
    """``written``: the parameters in the spec. The kept result may come from an equal step with other expressions."""
    components = result.components if result else None
    files = fingerprint.files(components) if components else {}
    return Step(
        row=row,
        components=components,
        made_in=result.run if result else row.run,
        reads=tuple(_reads(components, written, [upstream[name] for name in row.needs if name in upstream])),
        files=tuple(File(path, digest) for path, digest in sorted(files.items())),
        outputs=outputs(row.id, row.outputs),
    )


def _reads(components: Components | None, written: str | None, upstream: Sequence[Step]) -> Iterator[Output]:
    """Yields the upstream outputs that a step read: artifacts in its parameters, and values in its expressions."""
    digests = set(_digests(components.params)) if components else set()
    stated = str(components.written) if components else ""
    named = set(_STEP.findall(stated if written is None else written))
    for step in upstream:
        group = _group(step.id).rpartition("/")[2]
        for output in step.outputs:
            if (output.digest in digests) if output.digest else (group, output.name) in named:
                yield output


def _digests(value: Any) -> Iterator[str]:
    """Yields every artifact in resolved parameters, which hold digests only."""
    if isinstance(value, Mapping):
        if "$artifact" in value:
            yield str(value["$artifact"])
        else:
            for item in value.values():
                yield from _digests(item)
    elif isinstance(value, list):
        for item in value:
            yield from _digests(item)
