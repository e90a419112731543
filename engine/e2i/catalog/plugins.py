"""Load plug-ins of other distributions: tools, by the entry point group ``e2i.tools``, and names that they add.

In: the name of a plug-in, and the location of the setting that lists it. Out: a ``Plugin``, or ``BadPlugin``. Only
listed plug-ins are imported: the operator decides what runs. The group of added names, such as ``e2i.algorithms``, has
an entry point of the same name. A plug-in may have either or both.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, get_args

from msgspec import Struct
from msgspec.structs import replace
from pydantic import ValidationError

from e2i.catalog.action import Action, Outputs, Params, Tool, ToolSettings
from e2i.catalog.extensible import Group
from e2i.errors import InvalidSpec
from e2i.spec import suggest
from e2i.spec.problems import Location, Problem

PREFIX = "e2i."
GROUP = f"{PREFIX}tools"


class BadPlugin(InvalidSpec):
    """A listed plug-in cannot be used. The error is at the setting that lists it."""

    def __init__(self, code: str, message: str, where: Location, hint: str | None) -> None:
        super().__init__([Problem(code, message, where, "/plugins", hint)])
        self.args = (f"{where}: {message}",)
        self.message = self.args[0]
        self.code = code
        self.hint = hint


class Plugin(Struct, frozen=True):
    """A loaded plug-in. ``module`` is its package, ``distribution`` the name of what was installed."""

    tool: Tool
    module: str
    distribution: str
    where: Location

    def part(self, module: str, name: str) -> Any:
        """Returns a function of one of its modules, such as ``actions``. Raises BadPlugin."""
        try:
            return getattr(import_module(f"{self.module}.{module}"), name)
        except Exception as error:
            raise self.broken(f"{module}.{name} cannot be loaded", error) from error

    def calling(self, function: Callable[..., Any], what: str) -> Callable[..., Any]:
        """Returns the function with its errors as BadPlugin: they are defects of the plug-in, not of e2i. A
        ValidationError is an error of the user.
        """

        def call(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except ValidationError:
                raise
            except Exception as error:
                raise self.broken(f"{what} failed", error) from error

        return call

    def broken(self, what: str, error: BaseException) -> BadPlugin:
        """Returns the error of a plug-in with a defect."""
        return _broken(self.tool.name, f"{self.distribution}: {what}", self.where, error)


class Provided(Struct, frozen=True):
    """What a plug-in adds to a group of names: ``value`` is its own declaration, not yet checked."""

    value: Any
    name: str
    distribution: str
    where: Location

    def wrong(self, what: str) -> BadPlugin:
        """Returns the error of a declaration that cannot be used."""
        message = f'the plug-in "{self.name}" ({self.distribution}) {what}'
        return BadPlugin("bad-plugin", message, self.where, _REPORT)


@lru_cache(maxsize=100)
def provided(name: str, where: Location, group: str) -> Provided | None:
    """Returns what the plug-in adds to a group of names; None when it adds nothing. Raises BadPlugin."""
    point = _entry_point(name, where, PREFIX + group)
    if point is None:
        _declared_somewhere(name, where)
        return None
    distribution = point.dist.name if point.dist else point.module
    return Provided(_loaded(point, name, distribution, where), name, distribution, where)


@lru_cache(maxsize=100)
def load(name: str, where: Location) -> Plugin:
    """Returns the plug-in that provides the tool ``name``. Raises BadPlugin.

    Its own distribution is among the libraries of each action, so another version of it is another fingerprint.
    """
    point = _entry_point(name, where, GROUP)
    if point is None:
        other = _declared_somewhere(name, where)
        distribution = other.dist.name if other.dist else other.module
        empty = Tool(name=name, summary=f"Adds names by {other.group}.", actions=(), distribution=distribution)
        return Plugin(empty, other.module, distribution, where)
    distribution = point.dist.name if point.dist else point.module
    tool = _loaded(point, name, distribution, where)
    if wrong := _wrong(tool, name, point.module):
        raise BadPlugin("bad-plugin", f'the plug-in "{name}" ({distribution}) {wrong}', where, _REPORT)
    actions = tuple(_own(action, distribution) for action in tool.actions)
    own = replace(tool, extra=None, distribution=tool.distribution or distribution, actions=actions)
    return Plugin(own, point.module, distribution, where)


def _own(action: Action, distribution: str) -> Action:
    """Returns the action as the engine uses it: never in its own process, and never as the start of a tracker's run."""
    libraries = tuple(dict.fromkeys((*action.libraries, distribution)))
    return replace(action, libraries=libraries, inline=False, begins_run=False)


_REPORT = "report it to the authors of the plug-in, or take it out of `plugins:`"


def _loaded(point: EntryPoint, name: str, distribution: str, where: Location) -> Any:
    try:
        return point.load()
    except (Exception, SystemExit) as error:
        raise _broken(name, f"{distribution}: {point.value} cannot be imported", where, error) from error


def _declared_somewhere(name: str, where: Location) -> EntryPoint:
    """Returns an entry point of that name in another group of e2i's. Raises BadPlugin when there is none."""
    installed = [point for group in ("tools", *get_args(Group)) for point in entry_points(group=PREFIX + group)]
    found = [point for point in installed if point.name == name]
    if found:
        return found[0]
    message = f'the plug-in "{name}" is not installed: no distribution has an entry point {GROUP}: {name}'
    hint = suggest.hint(name, {point.name for point in installed})
    raise BadPlugin("plugin-missing", message, where, hint or "install its distribution into the environment of e2i")


def _entry_point(name: str, where: Location, group: str) -> EntryPoint | None:
    """Returns the one entry point of that name, or None. Raises BadPlugin when several distributions have one."""
    found = {point.value: point for point in entry_points(group=group) if point.name == name}
    if len(found) > 1:
        owners = " and ".join(sorted(str(point.dist.name if point.dist else point.value) for point in found.values()))
        what = "provides the tool" if group == GROUP else f"has an entry point {group}:"
        message = f'more than one distribution {what} "{name}": {owners}'
        raise BadPlugin("bad-plugin", message, where, "uninstall all but one of them")
    return next(iter(found.values()), None)


def _wrong(tool: Any, name: str, module: str) -> str | None:
    """Returns what is wrong with a declaration, or None. ``e2i.testing`` checks more."""
    if not isinstance(tool, Tool):
        return f"declares a {type(tool).__name__}, not a Tool"
    if tool.name != name:
        return f'declares a tool named "{tool.name}"'
    if not hasattr(sys.modules[module], "__path__"):
        return f"declares its tool in {module}, which is a module and not a package"
    if not _is(tool.settings, ToolSettings):
        return "has settings that are not a subclass of ToolSettings"
    actions: Any = tool.actions
    if not isinstance(actions, tuple):
        return f"declares its actions as {type(actions).__name__}, not a tuple"
    return next(filter(None, map(_wrong_action, actions)), None) or _repeated(tool)


def _wrong_action(action: Any) -> str | None:
    if not isinstance(action, Action):
        return f"declares a {type(action).__name__}, not an Action"
    if not action.name.isidentifier():
        return f'declares an action "{action.name}", which is not a name'
    for model, base in ((action.params, Params), (action.outputs, Outputs)):
        if not _is(model, base):
            return f'declares "{action.name}" with {model!r}, which is not a subclass of {base.__name__}'
    return None


def _is(model: Any, base: type[Any]) -> bool:
    return isinstance(model, type) and issubclass(model, base)


def _repeated(tool: Tool) -> str | None:
    names = [action.name for action in tool.actions]
    return next((f'declares "{name}" twice' for name in names if names.count(name) > 1), None)


def _broken(name: str, what: str, where: Location, error: BaseException) -> BadPlugin:
    text = f"{type(error).__name__}: {error}".strip(": ").splitlines()[0][:500]
    return BadPlugin("bad-plugin", f'the plug-in "{name}" is broken: {what} ({text})', where, _REPORT)
