"""Collect the settings that affect a run, to bind a plan to them.

In: a workspace. Out: plain data. Equal on every machine with the same configuration: paths are relative to the
workspace, and addresses have no credentials. Waiting times for tools are not included.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from e2i.catalog import credentials, marks
from e2i.catalog.registry import Registry
from e2i.documents import JsonObject
from e2i.spec import expressions
from e2i.spec.expansion.expanded import Expanded
from e2i.workspace.workspace import Workspace

CLIENTS = ("AWS_", "GOOGLE_", "MLFLOW_", "OPIK_", "PG", "REQUESTS_")
"""Prefixes of the variables that the clients of trackers read. The declaration of a tracker names its variables, so it
is loaded only when one with such a prefix is set.
"""


def of(workspace: Workspace, expanded: Expanded, environ: Mapping[str, str]) -> JsonObject:
    """Returns the binding data: origin, policy, sinks, tools and their clients' variables, the ``env`` and ``secrets``
    that the spec names, and limits.
    """
    settings = workspace.settings
    rules = workspace.policy.rules(workspace.origin)
    used = _tools(expanded, settings.registry)
    roles = sorted({node.agent for node in expanded.nodes.values() if node.agent} & workspace.policy.roles.keys())
    read = _read(expanded) if settings.env or settings.secrets else set()
    root = str(workspace.root)
    shared = settings.shared
    return {
        "origin": workspace.origin.value,
        "policy": {
            **rules.model_dump(mode="json", exclude={"approval"}),  # who must agree does not change what is done
            "roots": [_folder(folder, workspace.root) for folder in rules.roots],
            "write_roots": [_folder(folder, workspace.root) for folder in rules.write_roots],
            "roles": {role: list(workspace.policy.roles[role]) for role in roles},
        },
        "sinks": list(settings.sinks),
        "tools": {
            name: _tool(workspace, name, known=name in used)
            for name in sorted({*used, *settings.sinks})
            if name in used or name in settings.tools
        },
        "variables": _variables(settings.registry, used, settings.sinks, environ, root),
        "env": _named(settings.env, "env", read),
        "secrets": _named(settings.secrets, "secrets", read),
        "shared": shared and _canonical(shared.model_dump(mode="json", exclude={"deadline"}), root),
        "timeout": settings.timeout,
        "resources": settings.resources.model_dump(mode="json"),
        "measurements": settings.measurements,
    }


def _tools(expanded: Expanded, registry: Registry) -> set[str]:
    """Returns the tools that the spec uses, with those that parameters lead to."""
    found: set[str] = set()
    for node in expanded.nodes.values():
        found.add(node.step.uses.partition(".")[0])
        action = registry.action(node.step.uses)
        if action is not None and any(isinstance(mark, marks.Reaches) for _, mark in marks.of(action.params)):
            found |= marks.tools(action.params, expanded.known(node).values)
    return found


def _tool(workspace: Workspace, name: str, *, known: bool) -> JsonObject:
    """Returns the settings of a tool. ``known``: its declaration is loaded, so its server can be included."""
    written = _canonical(dict(workspace.settings.tools.get(name, {})), str(workspace.root))
    server = _canonical(dict(workspace.settings.tool(name).identity()), str(workspace.root)) if known else {}
    return {**written, **({"server": server} if server else {})}


def _variables(
    registry: Registry, used: Collection[str], sinks: Collection[str], environ: Mapping[str, str], root: str
) -> dict[str, str]:
    """Returns the variables that choose server and account of the tools' clients, without credentials."""
    asked = {*used, *(sinks if any(name.startswith(CLIENTS) for name in environ) else ())}
    declared = filter(None, map(registry.tool, asked))
    names = sorted({name for tool in declared for name in tool.variables if environ.get(name)})
    return {name: _value(name, environ[name], root) for name in names}


def _value(name: str, text: str, root: str) -> str:
    """Returns the value for display; a digest for accounts and free-form arguments."""
    if credentials.is_private(name) or name.endswith(("USER", "_ARGS")):
        return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
    return str(_canonical(text, root))


def _read(expanded: Expanded) -> set[tuple[str, str]]:
    """Returns root and name of everything that the expressions of the spec and its included specs refer to.

    Reads expressions, not the text, where a name may be written with escapes.
    """
    return {
        (reference.root, str(reference.path[0]))
        for included_spec in expanded.loaded.files()
        for _, template in expressions.walk(included_spec.document.data)
        if isinstance(template, expressions.Template)
        for reference in template.references
        if reference.path
    }


def _named(known: Mapping[str, str], root: str, read: Collection[tuple[str, str]]) -> dict[str, str]:
    """Returns the entries that the spec refers to."""
    return {name: value for name, value in known.items() if (root, name) in read}


def _folder(folder: str, root: Path) -> str:
    """Returns a folder for files, relative to the workspace if it is inside."""
    path = posixpath.normpath(folder)
    if path.startswith("/") and Path(path).is_relative_to(root):
        return Path(path).relative_to(root).as_posix()
    return path


def _canonical(value: Any, root: str) -> Any:
    """Returns the settings without what depends on machine or user."""
    match value:
        case Mapping():
            return {
                str(key): _canonical(item, root)
                for key, item in value.items()
                if not credentials.is_private(str(key)) and not str(key).endswith("deadline")
            }
        case list() | tuple():
            return [_canonical(item, root) for item in value]
        case str():
            return credentials.without(value.replace(root, "${workspace}"))
    return value
