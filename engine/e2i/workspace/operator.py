"""What the operator says that decides what a run does and where anything goes: a workspace goes in, plain data comes
out, to bind a plan to.

Equal on every machine that the same configuration is for: paths are relative to the workspace, and addresses are
without credentials. How long to wait for a tool is no part of it.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from e2i.catalog import credentials, registry
from e2i.spec import expressions
from e2i.spec.expansion.expanded import Expanded
from e2i.workspace.workspace import Workspace

CLIENTS = ("AWS_", "GOOGLE_", "MLFLOW_", "OPIK_", "PG", "REQUESTS_")
"""How the names begin of the variables that the clients of trackers read: a tracker is declared to say which, so its
declaration is loaded only when one may be set.
"""


def of(workspace: Workspace, expanded: Expanded, environ: Mapping[str, str]) -> dict[str, Any]:
    """What binds: origin, policy, sinks, tools and the variables that their clients read, what the spec names of
    ``env`` and ``secrets``, and limits.
    """
    settings = workspace.settings
    rules = workspace.policy.rules(workspace.origin)
    used = {node.step.uses.partition(".")[0] for node in expanded.nodes.values()}
    roles = sorted({node.agent for node in expanded.nodes.values() if node.agent} & workspace.policy.roles.keys())
    read = _read(expanded) if settings.env or settings.secrets else set()
    root = str(workspace.root)
    shared = settings.shared
    return {
        "origin": workspace.origin.value,
        "policy": {
            **rules.model_dump(mode="json"),
            "roots": [_folder(folder, workspace.root) for folder in rules.roots],
            "roles": {role: list(workspace.policy.roles[role]) for role in roles},
        },
        "sinks": list(settings.sinks),
        "tools": {
            name: _tool(workspace, name, known=name in used)
            for name in sorted({*used, *settings.sinks})
            if name in used or name in settings.tools
        },
        "variables": _variables(used, settings.sinks, environ, root),
        "env": _named(settings.env, "env", read),
        "secrets": _named(settings.secrets, "secrets", read),
        "shared": shared and _canonical(shared.model_dump(mode="json", exclude={"deadline"}), root),
        "timeout": settings.timeout,
        "resources": settings.resources.model_dump(mode="json"),
        "measurements": settings.measurements,
    }


def _tool(workspace: Workspace, name: str, *, known: bool) -> dict[str, Any]:
    """The settings of a tool. ``known``: its declaration was loaded, so it can name its server."""
    written = _canonical(dict(workspace.settings.tools.get(name, {})), str(workspace.root))
    server = _canonical(dict(workspace.settings.tool(name).identity()), str(workspace.root)) if known else {}
    return {**written, **({"server": server} if server else {})}


def _variables(used: Collection[str], sinks: Collection[str], environ: Mapping[str, str], root: str) -> dict[str, str]:
    """The variables, no credentials, that choose where and as whom the clients of the tools go."""
    asked = {*used, *(sinks if any(name.startswith(CLIENTS) for name in environ) else ())}
    declared = filter(None, map(registry.tool, asked))
    names = sorted({name for tool in declared for name in tool.variables if environ.get(name)})
    return {name: _value(name, environ[name], root) for name in names}


def _value(name: str, text: str, root: str) -> str:
    """The value as it may be shown; a digest for an account, and for what may hold anything."""
    if credentials.is_private(name) or name.endswith(("USER", "_ARGS")):
        return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
    return str(_canonical(text, root))


def _read(expanded: Expanded) -> set[tuple[str, str]]:
    """The root and the name of all that the expressions of the spec and of its parts refer to.

    Not by the words of the text, where a name may be written with escapes.
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
    """Those that the spec refers to."""
    return {name: value for name, value in known.items() if (root, name) in read}


def _folder(folder: str, root: Path) -> str:
    """A folder that files may be in, relative to the workspace if it is in it."""
    path = posixpath.normpath(folder)
    if path.startswith("/") and Path(path).is_relative_to(root):
        return Path(path).relative_to(root).as_posix()
    return path


def _canonical(value: Any, root: str) -> Any:
    """The same settings for every machine and user."""
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
