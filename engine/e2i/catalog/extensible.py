"""A mark of parameters: a name that plug-ins and settings may add to, such as that of an algorithm.

In: a text and what is added. Out: a ``Named`` value, which has what was added under the name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct
from pydantic import ValidationInfo
from pydantic_core import PydanticKnownError, core_schema

from e2i.documents import JsonObject, JsonSchema
from e2i.spec.problems import Location

Group = Literal["algorithms"]
KEY = "x-extensible"
"""The key with which a parameter's own schema names its group. ``extensions.widened`` removes it."""


Scalar = bool | int | float | str | None
Definition = dict[str, Scalar]


class Preset(Struct, frozen=True):
    """A name that the settings define: ``of`` another one, with its own default parameters and search space."""

    of: str
    params: Mapping[str, Scalar]
    space: Mapping[str, JsonObject] | None
    """None: that of the other one, without ``params``."""
    where: Location

    @property
    def definition(self) -> Definition:
        """What the name stands for: each value by its path, such as ``params.max_depth``."""
        return {"of": self.of, **_leaves("params", self.params), **_leaves("space", self.space)}


def _leaves(path: str, value: object) -> Definition:
    if isinstance(value, Mapping):
        return {name: leaf for key in value for name, leaf in _leaves(f"{path}.{key}", value[key]).items()}
    if isinstance(value, list | tuple):
        return {name: leaf for i, item in enumerate(value) for name, leaf in _leaves(f"{path}.{i}", item).items()}
    return {path: value} if isinstance(value, bool | int | float | str) else {path: None}


class Named(str):
    """A name that e2i itself does not have. ``about`` is what a plug-in or the settings added under it."""

    about: Any
    distribution: str | None
    """The distribution that provides it; None: only e2i does."""
    definition: Definition | None
    """The preset; None: it is none."""

    def __new__(
        cls, name: str, about: Any, distribution: str | None = None, definition: Definition | None = None
    ) -> Named:
        made = super().__new__(cls, name)
        made.about, made.distribution, made.definition = about, distribution, definition
        return made


class Source(Protocol):
    """What names are looked up in: ``e2i.catalog.registry.Registry``."""

    def extended(self, group: Group) -> Mapping[str, Named]:
        """Returns the names that plug-ins and settings add to a group. Raises InvalidSpec for a broken one."""

    def names_in(self, group: Group) -> Sequence[str]:
        """Returns these names, sorted; none when one of them is broken."""


class Extensible(Struct, frozen=True):
    """The text is one of ``names``, or one that a listed plug-in or the settings add to ``group``."""

    group: Group
    names: tuple[str, ...]

    def look_up(self, name: str, source: Source | None) -> str | None:
        """Returns the name: as it is if it is e2i's own, ``Named`` if it was added; None when there is none."""
        if name in self.names:
            return name
        return None if source is None else source.extended(self.group).get(name)

    def _validated(self, value: Any, info: ValidationInfo) -> str:
        if isinstance(value, Named):
            return value
        source: Source | None = info.context if hasattr(info.context, "extended") else None
        found = self.look_up(value, source) if isinstance(value, str) else None
        if found is None:
            added = () if source is None else source.extended(self.group)
            *first, last = [f"'{name}'" for name in (*self.names, *sorted(added))]
            raise PydanticKnownError("literal_error", {"expected": f"{', '.join(first)} or {last}"})
        return found

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self._validated, serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="json")
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> JsonSchema:
        return {"type": "string", "enum": list(self.names), KEY: self.group}
