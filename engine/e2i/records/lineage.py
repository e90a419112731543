"""Find what each step of a run read and output: files, artifacts, values.

In: the document of a run. Out: its steps. Pure. A reused step has this run's inputs, whose digests are those of its
execution.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from e2i.catalog.artifacts import ARTIFACTS
from e2i.spec.load import load

GOOD = ("succeeded", "reused")
_STEP = re.compile(r"\bsteps\.([A-Za-z_][\w-]*)\.([A-Za-z_]\w*)")
"""Matches a step's output in an expression."""
_COMBINATION = re.compile(r"\[[^\]]*\](#\d+)?$")


class Output(Struct, frozen=True):
    """An output of a step. ``digest`` is None for a plain value."""

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


class File(Struct, frozen=True):
    """A file of the workspace that a step read. ``digest`` is None for a missing file."""

    path: str
    digest: str | None


class Step(Struct, frozen=True):
    """One step of a run, from its row in the run store and its kept result."""

    row: Mapping[str, Any]
    needs: tuple[str, ...]
    components: Mapping[str, Any]
    """The inputs of its fingerprint; empty for a step without a kept result."""
    made_in: str
    """The run that executed the step."""
    reads: tuple[Output, ...]
    """Outputs of upstream steps that it read, in the order of the plan."""
    files: tuple[File, ...]
    outputs: tuple[Output, ...]

    @property
    def id(self) -> str:
        return str(self.row["step"])

    @property
    def uses(self) -> str:
        return str(self.row["uses"])

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Returns the parameters with all values filled in; an artifact is ``{"$artifact": DIGEST}``."""
        found = self.components.get("params")
        return found if isinstance(found, Mapping) else {}


def of(run: Mapping[str, Any]) -> dict[str, Step]:
    """Returns every step that was reached, by its id, in the order of the plan."""
    rows = {row["step"]: row for row in run["steps"]}
    loaded, _ = load(run["spec"], run["file"])
    written = {name: str(step.with_) for _, name, step in loaded.spec.every_step()} if loaded else {}
    found: dict[str, Step] = {}
    for planned in run["plan"]["steps"]:
        row = rows.get(planned["id"])
        if row is not None:
            found[planned["id"]] = _step(run, row, tuple(planned["needs"]), found, written.get(_group(row["step"])))
    return found


def behind(steps: Mapping[str, Step], step: str) -> list[Step]:
    """Returns the step and all that it depends on, in the order of the plan."""
    wanted: set[str] = set()
    ahead = [step]
    while ahead:
        name = ahead.pop()
        if name not in wanted and name in steps:
            wanted.add(name)
            ahead.extend(steps[name].needs)
    return [found for name, found in steps.items() if name in wanted]


def outputs(step: str, values: Mapping[str, Any] | None) -> tuple[Output, ...]:
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
    if is_artifact(value):
        yield Output(step, name, value, value["digest"])
    elif inner := list(_artifacts(name, value)):
        yield from (Output(step, path, item, item["digest"]) for path, item in inner)
    else:
        yield Output(step, name, value, None)


def _artifacts(path: str, value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if is_artifact(value):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _artifacts(f"{path}.{key}", item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _artifacts(f"{path}.{index}", item)


def _step(
    run: Mapping[str, Any],
    row: Mapping[str, Any],
    needs: tuple[str, ...],
    upstream: Mapping[str, Step],
    written: str | None,
) -> Step:
    """``written``: the parameters in the spec. The kept result may come from an equal step with other expressions."""
    result = run["results"].get(row["fingerprint"]) or {}
    components = result.get("components") or {}
    files = {**components.get("files", {}), **components.get("found_files", {})}
    return Step(
        row=row,
        needs=needs,
        components=components,
        made_in=result.get("run") or run["run"],
        reads=tuple(_reads(components, written, [upstream[name] for name in needs if name in upstream])),
        files=tuple(File(path, digest) for path, digest in sorted(files.items())),
        outputs=outputs(row["step"], row["outputs"]),
    )


def _reads(components: Mapping[str, Any], written: str | None, upstream: Sequence[Step]) -> Iterator[Output]:
    """Yields the upstream outputs that a step read: artifacts in its parameters, and values in its expressions."""
    digests = set(_digests(components.get("params")))
    named = set(_STEP.findall(str(components.get("with", "")) if written is None else written))
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
