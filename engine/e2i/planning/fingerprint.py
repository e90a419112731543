"""Fingerprints a step: everything that can change its result.

In: an action, its parameters, its environment. Out: components, and their digest. Covered: the action and its version,
resolved parameters, digests of inputs and files, versions of the libraries that the action declares, the Python
version, the seed, the server that the tool acts on. Never covered: comments, order of keys, descriptions, whitespace,
credentials.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from msgspec import Struct

from e2i.catalog import marks
from e2i.catalog.action import Action
from e2i.catalog.artifacts import ARTIFACTS
from e2i.catalog.marks import WorkspaceFile
from e2i.planning.model import Reason, Why, canonical, digest
from e2i.spec.expansion.nodes import SCALAR, plain, shown

Components = dict[str, Any]


class Environment(Struct, frozen=True):
    """What a plan may know of the machine. It is passed in, so that planning itself stays pure."""

    library: Callable[[str], str | None]
    """Returns the installed version of a distribution, or None."""
    file: Callable[[str], str | None]
    """Returns the digest of a workspace file, or None when there is none."""
    python: str
    """Major and minor version, such as ``3.11``."""
    modules: Callable[[str], Collection[str]] = lambda name: ()
    """Returns the files of the workspace's own modules that a Python file imports, directly or not."""
    server: Callable[[str, Mapping[str, Any]], Mapping[str, Any]] = lambda tool, given: {}
    """Returns the identity of the server that a step of a tool acts on, by its parameters. Empty when it is embedded.
    """


def fixed(uses: str, action: Action, raw: Any, seed: int, environment: Environment) -> Components:
    """Returns the components that no upstream step can change. ``raw`` is ``with`` as far as literals go."""
    server = dict(environment.server(uses.partition(".")[0], raw))
    return {
        "action": uses,
        "version": action.version,
        "with": shown(raw),
        "files": {name: environment.file(name) for name in sorted(_named(action, raw, environment))},
        "libraries": {name: environment.library(name) for name in sorted(action.libraries)},
        "python": environment.python,
        "seed": seed,
        **({"server": server} if server else {}),
    }


def settled(known: Components, params: Any) -> Components:
    """Returns the ``components`` of a step whose parameters and files are all known before the run."""
    return {**known, "params": reduced(plain(params))}


def components(known: Components, action: Action, params: Any, environment: Environment) -> Components:
    """Returns all components: those that are ``fixed``, ``params`` as far as all inputs are known, and the digests of
    the files that only upstream steps name.
    """
    later = _named(action, params, environment) - known["files"].keys()
    found = {"found_files": {name: environment.file(name) for name in sorted(later)}} if later else {}
    return {**settled(known, params), **found}


def fingerprint(parts: Mapping[str, Any]) -> str:
    """Returns the digest under which the result of a step is stored."""
    return digest({key: value for key, value in parts.items() if key != "with"})


def files(parts: Mapping[str, Any]) -> dict[str, str | None]:
    """Returns the digest of every file that the step reads. None where there was no file."""
    return {**parts["files"], **parts.get("found_files", {})}


def static_key(parts: Mapping[str, Any]) -> str:
    """Returns the digest of what is known before the run: equal for runs that differ only in their inputs."""
    return digest({key: value for key, value in parts.items() if key not in ("params", "found_files")})


def reduced(value: Any) -> Any:
    """Returns the value with every artifact as its digest: its location and name change no result."""
    if isinstance(value, SCALAR):
        return value
    if isinstance(value, Mapping):
        if value.get("type") in ARTIFACTS and "digest" in value:
            return {"$artifact": value["digest"]}
        return {key: reduced(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [reduced(item) for item in value]
    return value


def difference(now: Mapping[str, Any], before: Mapping[str, Any] | None) -> Reason:
    """Returns the first reason, in order of interest, why a step differs from its last finished run."""
    if before is None:
        return Reason(Why.NEVER_RUN, "no finished result of this step is in the store")
    if (now["action"], now["version"]) != (before["action"], before["version"]):
        return Reason(
            Why.ACTION_CHANGED, f"{before['action']} v{before['version']} → {now['action']} v{now['version']}"
        )
    if found := changes(before["with"], now["with"]):
        return Reason(Why.PARAMETER_CHANGED, "; ".join(found[:3]) + (" …" if len(found) > 3 else ""))
    if found := [path for key in _FILES for path in changes(before.get(key, {}), now.get(key, {}), show=False)]:
        return Reason(Why.FILE_CHANGED, ", ".join(found))
    if found := changes(
        before["libraries"] | {"python": before["python"]}, now["libraries"] | {"python": now["python"]}
    ):
        return Reason(Why.LIBRARY_CHANGED, "; ".join(found))
    if now["seed"] != before["seed"]:
        return Reason(Why.SEED_CHANGED, f"{before['seed']} → {now['seed']}")
    if (servers := [_server(parts) for parts in (before, now)]) and servers[0] != servers[1]:
        return Reason(Why.SERVER_CHANGED, f"{now['action'].partition('.')[0]}: {servers[0]} → {servers[1]}")
    if found := changes(before["params"], now["params"], show=False):
        return Reason(Why.INPUT_CHANGED, ", ".join(found))
    return Reason(Why.RESULT_LOST, "it ran before, but its result is no longer in the store")


EXACT = (str, int, bool, type(None))
"""Types whose values are equal only if they are the same. To Python, 1, 1.0 and True are equal too."""


def changes(before: Any, now: Any, path: str = "", *, show: bool = True) -> list[str]:
    """Returns the differences between two plain values, as ``name old → new``."""
    if before == now and (type(before) is type(now) in EXACT or canonical(before) == canonical(now)):
        return []
    if isinstance(before, dict) and isinstance(now, dict) and "$artifact" not in before:
        return [
            change
            for key in sorted(before.keys() | now.keys())
            for change in changes(before.get(key), now.get(key), f"{path}.{key}" if path else str(key), show=show)
        ]
    texts = [_short(before), _short(now)]
    if texts[0] == texts[1]:
        texts = [_short(canonical(value).decode()) for value in (before, now)]
    return [f"{path} {' → '.join(texts)}" if show else path]


def _named(action: Action, params: Any, environment: Environment) -> set[str]:
    """Returns the files that the parameters name, with the modules of those that are code."""
    named: set[str] = set()
    for _, mark, text in marks.found(action.params, params) if marks.of(action.params) else ():
        if isinstance(mark, WorkspaceFile) and isinstance(text, str):
            path = mark.path(text)
            named.update((path, *environment.modules(path)) if mark.code else (path,))
    return named


_FILES = ("files", "found_files")


def _server(parts: Mapping[str, Any]) -> str:
    """Returns the server of a step's tool, for display."""
    found = _leaves(parts.get("server", {}))
    return ", ".join(map(str, found)) or "embedded"


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [leaf for _, item in sorted(value.items()) for leaf in _leaves(item)]
    return [] if value in (None, "") else [value]


def _short(value: Any) -> str:
    if value is None:
        return "(none)"
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
