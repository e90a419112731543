"""The setting ``plugins``: which tools of other distributions specs may use.

In: a configuration file. Out: ``ListedPlugin``s with their locations. Nothing is looked for and nothing imported.
"""

# Annotations are evaluated here: as text, pydantic would compile each of them at every start.
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from e2i.catalog.presets import ListedPreset
from e2i.catalog.registry import TOOLS, Registry
from e2i.errors import InvalidSpec
from e2i.spec.document import Document
from e2i.spec.problems import Location

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""The name of a tool."""


class ListedPlugin(BaseModel):
    """The name of a plug-in's tool, and where it is listed."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str
    file: str = "config"
    line: int = 1
    column: int = 1


def _listed(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


Plugins = tuple[Annotated[ListedPlugin, BeforeValidator(_listed)], ...]
"""From Python, a plug-in may be listed by its name alone."""


def registry(plugins: Iterable[ListedPlugin], presets: Mapping[str, ListedPreset]) -> Registry:
    """Returns the tools of e2i with these plug-ins and algorithms."""
    return Registry(
        {one.name: Location(one.file, one.line, one.column) for one in plugins},
        {name: one.preset for name, one in presets.items()},
    )


def read(found: Document, substitute: Callable[[Any], Any]) -> dict[str, tuple[ListedPlugin, ...]]:
    """Returns the setting of a file, with the location of each plug-in; {} for a file without it.

    ``substitute`` fills variables in. Raises InvalidSpec for a name that is taken, or that no tool can have.
    """
    if "plugins" not in found.data:
        return {}
    written = found.data["plugins"] or []
    if not isinstance(written, list):
        message = '"plugins" should be a list of the names of tools'
        raise InvalidSpec([found.problem("bad-settings", ("plugins",), message)])
    plugins: dict[str, ListedPlugin] = {}
    for index, item in enumerate(written):
        name, path = substitute(item), ("plugins", index)
        if wrong := _wrong(name, plugins):
            raise InvalidSpec([found.problem("bad-plugin", path, wrong, "correct it, or take it out of `plugins:`")])
        where = found.location(path)
        plugins[name] = ListedPlugin(name=name, file=where.file, line=where.line, column=where.column)
    return {"plugins": tuple(plugins.values())}


def _wrong(name: Any, before: Iterable[str]) -> str | None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return f"a plug-in is listed by the name of its tool, such as `text`, not as {name!r}"
    if name in TOOLS:
        return f'"{name}" is a tool of e2i, which no plug-in replaces'
    return f'"{name}" is listed twice' if name in before else None
