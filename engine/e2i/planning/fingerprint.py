"""Fingerprints a step: everything that can change its result.

In: an action, its parameters, its environment. Out: components, and their digest. Covered: the action and its version,
resolved parameters, digests of inputs and files, versions of the libraries that the action declares, the Python
version, the seed, the server that the tool acts on. Never covered: comments, order of keys, descriptions, whitespace,
credentials.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from msgspec import UNSET, Struct
from msgspec.structs import replace

from e2i.catalog import extensions, marks
from e2i.catalog.action import Action, Identity
from e2i.catalog.artifacts import ARTIFACTS
from e2i.catalog.extensible import Definition, Named
from e2i.catalog.marks import FilePattern, MayNameFiles, WorkspaceFile
from e2i.catalog.registry import BUILT_IN, Registry
from e2i.documents import ParamValues
from e2i.planning.canonical import canonical, digest
from e2i.planning.inputs import Components
from e2i.planning.model import Reason, Why
from e2i.spec.expansion.nodes import SCALAR, plain, shown


class Environment(Struct, frozen=True):
    """What a plan may know of the machine. It is passed in, so that planning itself stays pure."""

    library: Callable[[str], str | None]
    """Returns the installed version of a distribution, or None."""
    file: Callable[[str], str | None]
    """Returns the digest of a workspace file, or None when there is none."""
    python: str
    """Major and minor version, such as ``3.11``."""
    glob: Callable[[str], Collection[str]] = lambda pattern: ()
    """Returns the workspace files that match a pattern."""
    modules: Callable[[str], Collection[str]] = lambda name: ()
    """Returns the files of the workspace's own modules that a Python file imports, directly or not."""
    matching: Callable[[str], Collection[str]] = lambda name: (name,)
    """Returns the files that a folder or a pattern names."""
    server: Callable[[str, ParamValues], Identity] = lambda tool, given: {}
    """Returns the identity of the server that a step of a tool acts on, by its parameters. Empty when it is embedded.
    """
    registry: Registry = BUILT_IN
    """The tools of the environment."""


def fixed(
    uses: str, action: Action, raw: Any, seed: int, environment: Environment, paths: Collection[str] = ()
) -> Components:
    """Returns the components that no upstream step can change. ``raw`` is ``with`` as far as literals go, ``paths`` are
    the values of parameters of the type ``path``.
    """
    added = list(extensions.found(action.params, raw, environment.registry))
    server = dict(environment.server(uses.partition(".")[0], raw))
    return Components(
        action=uses,
        version=action.version,
        written=shown(raw),
        files={name: environment.file(name) for name in sorted(_named(action, raw, environment, paths))},
        libraries={name: environment.library(name) for name in sorted({*action.libraries, *_distributions(added)})},
        python=environment.python,
        seed=seed,
        server=server or UNSET,
        definitions=_definitions(added) or UNSET,
    )


def settled(known: Components, params: Any) -> Components:
    """Returns the ``components`` of a step whose parameters and files are all known before the run."""
    return replace(known, params=reduced(plain(params)))


def components(
    known: Components, action: Action, params: Any, environment: Environment, paths: Collection[str] = ()
) -> Components:
    """Returns all components: those that are ``fixed``, ``params`` as far as all inputs are known, and the digests of
    the files that only upstream steps name.
    """
    later = _named(action, params, environment, paths) - known.files.keys()
    found = {name: environment.file(name) for name in sorted(later)}
    added = list(extensions.found(action.params, params, environment.registry))
    libraries = {name: environment.library(name) for name in _distributions(added)} | known.libraries
    return replace(
        settled(known, params),
        found_files=found or UNSET,
        libraries=dict(sorted(libraries.items())),
        definitions=_definitions(added) or UNSET,
    )


def fingerprint(parts: Components) -> str:
    """Returns the digest under which the result of a step is stored."""
    return digest(replace(parts, written=UNSET))


def files(parts: Components) -> dict[str, str | None]:
    """Returns the digest of every file that the step reads. None where there was no file."""
    return {**parts.files, **(parts.found_files or {})}


def static_key(parts: Components) -> str:
    """Returns the digest of what is known before the run: equal for runs that differ only in their inputs."""
    return digest(replace(parts, params=UNSET, found_files=UNSET))


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


def difference(now: Components, before: Components | None) -> Reason:
    """Returns the first reason, in order of interest, why a step differs from its last finished run."""
    if before is None:
        return Reason(Why.NEVER_RUN, "no finished result of this step is in the store")
    if (now.action, now.version) != (before.action, before.version):
        return Reason(Why.ACTION_CHANGED, f"{before.action} v{before.version} → {now.action} v{now.version}")
    if found := changes(before.written, now.written):
        return Reason(Why.PARAMETER_CHANGED, "; ".join(found[:3]) + (" …" if len(found) > 3 else ""))
    found = changes(before.files, now.files, show=False)
    if found := found + changes(before.found_files or {}, now.found_files or {}, show=False):
        return Reason(Why.FILE_CHANGED, ", ".join(found))
    if found := changes(before.libraries | {"python": before.python}, now.libraries | {"python": now.python}):
        return Reason(Why.LIBRARY_CHANGED, "; ".join(found))
    if now.seed != before.seed:
        return Reason(Why.SEED_CHANGED, f"{before.seed} → {now.seed}")
    if (servers := [_server(parts) for parts in (before, now)]) and servers[0] != servers[1]:
        return Reason(Why.SERVER_CHANGED, f"{now.action.partition('.')[0]}: {servers[0]} → {servers[1]}")
    if found := changes(before.definitions or {}, now.definitions or {}):
        return Reason(Why.PARAMETER_CHANGED, "; ".join(found[:3]))
    if found := changes(before.params, now.params, show=False):
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


def _named(action: Action, params: Any, environment: Environment, paths: Collection[str]) -> set[str]:
    """Returns the files that the parameters name, with the modules of those that are code."""
    named: set[str] = set()
    for _, mark, value in marks.found(action.params, params) if marks.of(action.params) else ():
        match mark:
            case WorkspaceFile() if isinstance(value, str):
                path = mark.path(value)
                if mark.is_many(value):
                    named.update(environment.matching(path))
                else:
                    named.update((path, *environment.modules(path)) if mark.code else (path,))
            case FilePattern() if isinstance(value, str):
                named.update(environment.glob(value))
            case MayNameFiles() if paths:
                found = {text for text in _texts(value) if _leads_from(text, paths)}
                named.update(text for text in found if environment.file(text) is not None)
    return named


def _distributions(added: Iterable[Named]) -> set[str]:
    """Returns the distributions that provide what plug-ins added under names in the parameters."""
    return {name.distribution for name in added if name.distribution is not None}


def _definitions(added: Iterable[Named]) -> Definition:
    """Returns what the settings define under names in the parameters: each value by the name and its path."""
    return {f"{name}.{path}": value for name in added for path, value in (name.definition or {}).items()}


def _texts(value: Any) -> Iterator[str]:
    """Yields every text in a value."""
    match value:
        case str():
            yield value
        case Mapping():
            for item in value.values():
                yield from _texts(item)
        case list():
            for item in value:
                yield from _texts(item)


def _leads_from(text: str, paths: Collection[str]) -> bool:
    """Returns whether a text is one of the paths, or leads on from a folder among them."""
    if text in paths:
        return True
    folders = (text[:end] for end, character in enumerate(text) if character == "/")
    return any(folder in paths or f"{folder}/" in paths for folder in folders)


_FILES = ("files", "found_files")


def _server(parts: Components) -> str:
    """Returns the server of a step's tool, for display."""
    found = _leaves(parts.server or {})
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
