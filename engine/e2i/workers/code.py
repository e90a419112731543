"""Run Python files of the workspace from content that was read once. In: the files' content. Out: their definitions.

Modules of the workspace are imported from that content alone, whatever the disk contains by then. Installed modules are
imported as usual.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.util
import linecache
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import CodeType, ModuleType

from e2i.documents import JsonObject
from e2i.workspace import modules

NAME = "<run_path>"
"""Module name of a step's own file, as ``runpy`` names it."""


def run(root: Path, file: str, content: bytes) -> JsonObject:
    """Return the names that a file defines."""
    module = ModuleType(NAME)
    module.__file__ = str(root / file)
    module.__package__ = modules.package_of(file) or None
    sys.modules[NAME] = module
    try:
        exec(_compiled(content, str(root / file)), module.__dict__)
    finally:
        sys.modules.pop(NAME, None)
    return module.__dict__


@contextlib.contextmanager
def importing(root: Path, contents: Mapping[str, bytes], scratch: Path) -> Iterator[None]:
    """Import the workspace's modules from these contents alone, inside the block.

    At the end the modules are forgotten, and environment variables that they set are restored, because these would
    redirect the tools of later steps. Processes started by the code find the same content in ``scratch``.
    """
    finder = _Finder(root, contents, scratch)
    for file, content in contents.items():
        copy = scratch / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(content)
    copies = [str(scratch / location) for location in finder.locations]
    path, environment = list(sys.path), dict(os.environ)
    sys.meta_path.insert(0, finder)
    sys.path.extend(copies)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        sys.path[:] = path
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
        for name in finder.given:
            sys.modules.pop(name, None)


class _Finder:
    """Finds modules of the workspace, after the installed ones. Implements a finder of ``sys.meta_path``."""

    def __init__(self, root: Path, contents: Mapping[str, bytes], scratch: Path) -> None:
        self._root = root
        self._contents = contents
        self._scratch = scratch
        self.locations = modules.folders(root)
        self.given: set[str] = set()
        """Names of the modules found."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """Return the module's spec; None outside the workspace. Raises ImportError for a module without content."""
        if path is not None and name.partition(".")[0] not in self.given:
            self._refuse_added(name, path)
            return None
        file = modules.locate(self._root, self.locations, name)
        if file is None or (path is None and self._is_installed(name)):
            self._refuse_added(name, path)
            return None
        self.given.add(name)
        if file.endswith("/"):
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [str(self._root / file)]
            return spec
        if file not in self._contents:
            raise _unplanned(file)
        if not file.endswith(".py"):
            return importlib.util.spec_from_file_location(name, self._scratch / file)
        loader = _Loader(self._contents[file], str(self._root / file))
        return importlib.util.spec_from_file_location(
            name,
            self._root / file,
            loader=loader,
            submodule_search_locations=[str((self._root / file).parent)] if file.endswith("/__init__.py") else None,
        )

    def _refuse_added(self, name: str, path: Sequence[str] | None) -> None:
        """Raise ImportError for a workspace module in a folder that code added to the path: it is not in the plan."""
        entries = list(sys.path if path is None else path)
        if not any(map(self._is_added, entries)):
            return
        found = PathFinder.find_spec(name, entries)
        if found is not None and found.origin is not None and self._is_added(str(Path(found.origin).parent)):
            raise _unplanned(found.origin)

    def _is_added(self, entry: str) -> bool:
        """Return True when a folder, or its link target, is in the workspace, but not the folder of module copies."""
        location = Path(os.path.abspath(entry))  # noqa: PTH100 - a link is where it is, not where it leads
        if location.is_relative_to(self._scratch):
            return False
        return any(modules.is_inside(self._root, one) for one in (location, location.resolve()))

    def _is_installed(self, name: str) -> bool:
        if name in sys.stdlib_module_names:
            return True
        locations = {str(self._root / location) for location in self.locations} | {
            str(self._scratch / p) for p in self.locations
        }
        return PathFinder.find_spec(name, [entry for entry in sys.path if entry not in locations]) is not None


def _unplanned(file: str) -> ImportError:
    return ImportError(
        f"{file} is not part of the plan, which has only the modules that the step's file imports by "
        "import statements, directly or indirectly, with names relative to the workspace's root"
    )


class _Loader(importlib.abc.Loader):
    """Loads one module from its content."""

    def __init__(self, content: bytes, path: str) -> None:
        self._content = content
        self._path = path

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(_compiled(self._content, self._path), module.__dict__)


def _compiled(content: bytes, path: str) -> CodeType:
    """Return the code; tracebacks show its lines as they were read."""
    text = importlib.util.decode_source(content)
    linecache.cache[path] = (len(content), None, text.splitlines(keepends=True), path)
    return compile(content, path, "exec", dont_inherit=True)
