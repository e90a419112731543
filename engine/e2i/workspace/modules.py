"""Find the workspace's Python modules that code imports.

In: code. Out: the files of the imported modules. Follows only import statements, and ``import_module`` with a literal
name. Reads files, runs nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

LARGEST = 1 << 20
"""Maximum bytes of a Python file that a step may run."""
SUFFIXES = (".py", *EXTENSION_SUFFIXES)
"""How the names of modules' files end."""
MOST = 1_000
"""Maximum number of modules that are followed from one file."""
OTHERS = (Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve(), Path(__file__).resolve().parents[2])
"""Folders of installed packages and of this program."""
Read = Callable[[str], bytes | None]
"""Returns the content of a workspace file; None when there is none."""


def folders(root: Path) -> tuple[str, ...]:
    """Returns the folders of a workspace that modules are imported from, relative to it: itself, and those on
    ``sys.path``.

    Installed packages and this program are excluded, even inside the workspace.
    """
    found = [""]
    for entry in sys.path:
        location = Path(entry).resolve()
        if location != root and is_inside(root, location):
            found.append(location.relative_to(root).as_posix())
    return tuple(dict.fromkeys(found))


def is_inside(root: Path, location: Path) -> bool:
    """Returns whether a location without links is the workspace's own, not an installed package's or this program's."""
    return location.is_relative_to(root) and not any(
        location.is_relative_to(other) and other != root for other in OTHERS
    )


def locate(root: Path, locations: tuple[str, ...], name: str) -> str | None:
    """Returns the file of a module, or the folder (with ``/``) of a namespace package, relative to the workspace."""
    namespace = None
    for location in locations:
        base = "/".join(filter(None, (location, *name.split("."))))
        for candidate in (f"{base}/__init__.py", *(base + suffix for suffix in (*EXTENSION_SUFFIXES, ".py"))):
            if os.path.lexists(root / candidate):
                return candidate
        if namespace is None and (root / base).is_dir():
            namespace = f"{base}/"
    return namespace


def package_of(file: str) -> str:
    """Returns the package that a step's file is in, from which it may import by relative names: its folders.

    Empty for a file in the workspace's root, and where a folder's name cannot be imported.
    """
    folders = file.split("/")[:-1]
    return ".".join(folders) if all(map(str.isidentifier, folders)) else ""


def imported(root: Path, file: str, read: Read) -> tuple[str, ...]:
    """Returns the files of all workspace modules that a Python file imports, directly or indirectly, sorted."""
    locations = folders(root)
    found: set[str] = set()
    waiting: list[tuple[str, str]] = [(file, package_of(file))]
    seen: set[str] = set()
    while waiting and len(found) <= MOST:
        path, package = waiting.pop()
        for name in _names(read(path) or b"", package):
            parts = name.split(".")
            for length in range(1, len(parts) + 1):
                module = ".".join(parts[:length])
                location = locate(root, locations, module)
                if location is None:
                    break
                if module in seen or location.endswith("/"):
                    continue
                seen.add(module)
                found.add(location)
                if location.endswith(".py"):
                    inner = module if location.endswith("/__init__.py") else module.rpartition(".")[0]
                    waiting.append((location, inner))
    return tuple(sorted(found - {file}))


def _names(code: bytes, package: str) -> Iterator[str]:
    """Yields the dotted names that code imports; for ``from a import b`` also ``a.b``, which may be a module."""
    import ast  # most plans do not need it

    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the code will not run either
        return
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                parents = package.split(".") if package else []
                base = (
                    ".".join((*parents[: len(parents) - level + 1], *filter(None, (module,))))
                    if level
                    else module or ""
                )
                if base:
                    yield base
                yield from (f"{base}.{alias.name}" if base else alias.name for alias in names if alias.name != "*")
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=positional, keywords=named):
                values = [*positional[:1], *(item.value for item in named if item.arg == "name")]
                if name not in ("import_module", "__import__"):
                    continue
                yield from (
                    text
                    for value in values
                    if isinstance(value, ast.Constant) and isinstance(text := value.value, str)
                    if text and not text.startswith(".")
                )
