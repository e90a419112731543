"""Properties of parameters beyond their type: a workspace file, an amount that a policy limits. In: a model, data.
Out: the marked values.

Marks are in the annotations of ``Params`` (also in nested models, lists and mappings), so that no check depends on
names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin

from msgspec import Struct
from pydantic import BaseModel

from e2i.catalog.extensible import Extensible

Steps = tuple[str | int | None, ...]
"""Keys from a model down to a value. None means every key of a mapping and every item of a list."""


class WorkspaceFile(Struct, frozen=True):
    """The text names a file of the workspace: it replaces ``{}`` in ``pattern``, such as
    ``config/expectations/{}.yaml``.

    The action reads it, so its content counts as input.
    """

    pattern: str = "{}"
    many: bool = False
    """True when it may also name a folder, or several files by a pattern such as ``data/*.parquet``."""
    groups: tuple[tuple[str, str], ...] = ()
    """Texts that name no file but a pattern of files, one of which the action chooses: each with its pattern."""
    code: bool = False
    """True when it is a Python file that the action runs: the workspace modules that it imports count as well."""

    def path(self, text: str) -> str:
        """Returns the path of the file, relative to the workspace; of a group, its pattern."""
        return dict(self.groups).get(text) or self.pattern.replace("{}", text)

    def is_many(self, text: str) -> bool:
        """Returns whether the text may name several files."""
        return self.many or text in dict(self.groups)


class FilePattern(Struct, frozen=True):
    """The text is a pattern such as ``data/**/*.csv``: all files that match it are inputs, by their content."""


class MayNameFiles(Struct, frozen=True):
    """Texts inside the parameter that are values of the type ``path`` name files that the action may read."""


class WrittenFile(Struct, frozen=True):
    """The text names a file of the workspace that the action writes. It is no input: its content does not count."""


class Code(Struct, frozen=True):
    """The text chooses the code that the action runs, such as the name of a function."""


class Budget(Struct, frozen=True):
    """The number, or the size in bytes as text, is an amount of something that a policy limits."""

    of: Literal["trials", "rows", "replicas", "query_memory"]


class Privilege(Struct, frozen=True):
    """This value of the parameter needs a permission that a policy may refuse; ``*``: every value does."""

    name: Literal["promote_to_production", "keep_services", "write_formulas", "unpinned_downloads", "run_python"]
    value: str | bool | None


class MayNeed(Struct, frozen=True):
    """With one of these values, the action may find out in the run that it needs the permission. A plan with one counts
    as a plan that uses it, where the policy demands an approval for that.
    """

    name: Literal["promote_to_production"]
    values: tuple[str, ...]


class Changing(Struct, frozen=True):
    """The text names something that changes by itself: a result with it is never reused."""


class Reaches(Struct, frozen=True):
    """With this value, the step also calls another tool: where that tool's servers are counts as for its own steps."""

    tool: str


class NamedPlace(Struct, frozen=True):
    """The text is the name of a place in the tool's settings. A policy lists the places that specs may use."""

    of: Literal["connections", "locations"]
    """The policy's rule that lists them."""
    written: bool = False
    """True when the action writes to the place."""
    setting: str = ""
    """The name of the tool's setting that has the places; empty: it is that of the rule."""


class MayBeSecret(Struct, frozen=True):
    """The parameter, with everything inside it, accepts secrets, as far as the policy allows. No other does."""


Mark = (
    WorkspaceFile
    | FilePattern
    | MayNameFiles
    | WrittenFile
    | Code
    | Budget
    | Privilege
    | MayNeed
    | NamedPlace
    | MayBeSecret
    | Changing
    | Reaches
    | Extensible
)

WorkspacePath = Annotated[str, WorkspaceFile()]
"""A path relative to the workspace's root. That it stays inside is checked before the run, and when it is opened."""

WorkspacePaths = Annotated[str, WorkspaceFile(many=True)]
"""A path as before, or that of a folder, or a pattern of paths."""

WrittenPath = Annotated[str, WrittenFile()]
"""A path relative to the workspace's root that a step writes to."""


def chooses_code(mark: Mark) -> bool:
    """Returns True when the marked value decides which code is run."""
    return isinstance(mark, Code) or (isinstance(mark, WorkspaceFile) and mark.code)


@cache
def of(model: type[BaseModel]) -> tuple[tuple[Steps, Mark], ...]:
    """Returns every mark in a model, with its path."""
    return tuple(
        (path, mark)
        for name, field in model.model_fields.items()
        for path, mark in (
            *(((name,), item) for item in field.metadata if isinstance(item, Mark)),
            *_of_annotation(field.annotation, (name,)),
        )
    )


def found(model: type[BaseModel], data: Any) -> Iterator[tuple[tuple[str | int, ...], Mark, Any]]:
    """Yields every marked value in data for the model: its path, its mark and the value. Missing values are skipped."""
    for steps, mark in of(model):
        if len(steps) == 1 and isinstance(name := steps[0], str):  # most marks: no need to walk
            if name in data:
                yield (name,), mark, data[name]
            continue
        for path, value in _values(data, steps, ()):
            yield path, mark, value


def changes_by_itself(model: type[BaseModel], data: Any) -> bool:
    """Returns True when a value names something whose content changes by itself."""
    if not any(isinstance(mark, Changing) for _, mark in of(model)):
        return False
    return any(isinstance(mark, Changing) and isinstance(value, str) for _, mark, value in found(model, data))


def tools(model: type[BaseModel], data: Any) -> frozenset[str]:
    """Returns the other tools that an action with these parameters calls, as far as the parameters are known."""
    return frozenset(
        mark.tool for _, mark, value in found(model, data) if isinstance(mark, Reaches) and value is not None
    )


def written(model: type[BaseModel], data: Any) -> tuple[str, ...]:
    """Returns the files that an action with these parameters writes."""
    return tuple(
        value for _, mark, value in found(model, data) if isinstance(mark, WrittenFile) and isinstance(value, str)
    )


def reached(model: type[BaseModel], data: Any, stop: type[Any]) -> Iterator[tuple[tuple[str | int, ...], Mark]]:
    """Yields every mark whose value contains, or is, a value of the type ``stop``: the path to that value, and the
    mark.
    """
    for steps, mark in of(model):
        yield from ((path, mark) for path in dict.fromkeys(_stops(data, steps, (), stop)))


def _of_annotation(annotation: Any, path: Steps) -> Iterator[tuple[Steps, Mark]]:
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from ((path, item) for item in arguments[1:] if isinstance(item, Mark))
        yield from _of_annotation(arguments[0], path)
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        yield from _of_annotation(arguments[1], (*path, None))
    elif isinstance(origin, type) and issubclass(origin, Sequence):
        for item in arguments:
            if item is not Ellipsis:
                yield from _of_annotation(item, (*path, None))
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from (((*path, *below), mark) for below, mark in of(annotation))
    elif origin is not None:  # a union
        for item in arguments:
            yield from _of_annotation(item, path)


def _stops(value: Any, steps: Steps, path: tuple[str | int, ...], stop: type[Any]) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, stop):
        yield path
    elif not steps:
        return
    elif steps[0] is None:
        items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
        for key, item in items:
            yield from _stops(item, steps[1:], (*path, key), stop)
    elif isinstance(value, Mapping) and steps[0] in value:
        yield from _stops(value[steps[0]], steps[1:], (*path, steps[0]), stop)


def _values(value: Any, steps: Steps, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if not steps:
        yield path, value
    elif steps[0] is None:
        items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
        for key, item in items:
            yield from _values(item, steps[1:], (*path, key))
    elif isinstance(value, Mapping) and steps[0] in value:
        yield from _values(value[steps[0]], steps[1:], (*path, steps[0]))
