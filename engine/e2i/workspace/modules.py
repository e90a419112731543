"""The workspace's own Python modules: code goes in; the files of the modules that it imports come out.

Only import statements are followed, and ``import_module`` with a literal name. Looks at files, runs nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

LARGEST = 1 << 20
"""Bytes of a Python file that a step may run."""
MOST = 1_000
"""Modules that are followed from one file."""
OTHERS = (Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve(), Path(__file__).resolve().parents[2])
"""Where installed packages and this program are."""
Read = Callable[[str], bytes | None]
"""The content of a workspace file; None when there is none."""


def folders(root: Path) -> tuple[str, ...]:
    """The folders of a workspace that modules are imported from, relative to it: itself, and what is on the path.

    Installed packages and this program are none of its modules, though they may lie in it.
    """
    found = [""]
    for entry in sys.path:
        location = Path(entry).resolve()
        if location != root and is_inside(root, location):
            found.append(location.relative_to(root).as_posix())
    return tuple(dict.fromkeys(found))


def is_inside(root: Path, location: Path) -> bool:
    """Whether a place without links is one of the workspace's own: no installed package's, and not this program's."""
    return location.is_relative_to(root) and not any(
        location.is_relative_to(other) and other != root for other in OTHERS
    )


def locate(root: Path, locations: tuple[str, ...], name: str) -> str | None:
    """The file of a module, or the folder (ending in ``/``) of a namespace package, relative to the workspace."""
    namespace = None
    for location in locations:
        base = "/".join(filter(None, (location, *name.split("."))))
        for candidate in (f"{base}/__init__.py", *(base + suffix for suffix in (*EXTENSION_SUFFIXES, ".py"))):
            if os.path.lexists(root / candidate):
                return candidate
        if namespace is None and (root / base).is_dir():
            namespace = f"{base}/"
    return namespace


def imported(root: Path, file: str, read: Read) -> tuple[str, ...]:
    """The files of all modules of the workspace that a Python file imports, and that these import, sorted."""
    locations = folders(root)
    found: set[str] = set()
    waiting: list[tuple[str, str]] = [(file, "")]
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
    """The dotted names that code imports; of ``from a import b`` also ``a.b``, which may be a module."""
    import ast  # most plans do without it

    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # it will not run either
        return
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                above = package.split(".") if package else []
                base = ".".join((*above[: len(above) - level + 1], *filter(None, (module,)))) if level else module or ""
                if base:
                    yield base
                yield from (f"{base}.{alias.name}" if base else alias.name for alias in names if alias.name != "*")
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[ast.Constant(value=str(text)), *_]):
                if name in ("import_module", "__import__") and text and not text.startswith("."):
                    yield text
