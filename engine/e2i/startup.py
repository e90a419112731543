"""Makes processes start and end fast: all tricks that a reader of ordinary Python would not expect, in one module.

======================== ============================================================ ==========================
function                 gain (CPU, measured on two cores; ADRs 13 and 20)            can go when
======================== ============================================================ ==========================
``defer_heavy_modules``  0.2 to 0.6 s for each of the libraries named there, in each  libraries import lazily
                         worker, the delivery process and our model server            themselves (PEP 810)
``skip_plugin_search``   a seventh of a cold ``e2i validate`` (0.015 s), and OpenSSL  pydantic's switch for it
                                                                                      imports nothing
``collect_rarely``       4 % of a check of 10,000 steps                               Python collects in steps
``settle``               keeps that for existing objects; collects the rest as usual  with ``collect_rarely``
``without_collection``   a sixth of what importing a tool takes                       with ``collect_rarely``
``compute_once``         half of a short search (0.2 s), a quarter of what it takes   libraries keep the result
                         to open MLflow's database (0.1 s)                            themselves
``exit_now``             0.3 to 0.5 s of waiting for MLflow or BentoML to be torn     libraries end fast
                         down
======================== ============================================================ ==========================

Nothing here changes what code computes: only when and how often, when garbage is collected, and how a process ends.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # at run time it would load `importlib.resources`
    from importlib.abc import Loader

SELDOM = 200_000
"""Objects created between two garbage collections, where few refer to themselves. Python's default: 700."""

Importers = Mapping[str, frozenset[str]]

SELDOM_NEEDED: Mapping[str, Importers] = {
    "_bentoml_impl.server.proxy": {"_bentoml_impl.server.app": frozenset({"create_proxy_app"})},
    "altair": {},
    "boto3": {},
    "botocore.client": {"great_expectations.compatibility.aws": frozenset({"Config"})},
    "feast.feature_server": {},
    "feast.ui_server": {},
    "mako.exceptions": {},
    "mako.template": {"alembic.util.pyfiles": frozenset({"Template"})},
    "mlflow.gateway.utils": {"mlflow.gateway": frozenset({"get_gateway_uri", "set_gateway_uri"})},
    "scipy.integrate": {"sklearn": frozenset({"trapezoid"})},
    "scipy.stats": {"sklearn": frozenset({"gmean", "rankdata", "spearmanr"})},
    "sklearn.model_selection": {"xgboost.compat": frozenset({"StratifiedKFold"})},
}
"""Modules, each with the modules that import a name from it at their own start, and only ever call that name. They get
a stand-in, which loads the module when it is called.
"""


def defer_heavy_modules(modules: Mapping[str, Importers] = SELDOM_NEEDED) -> None:
    """Loads each of these modules when it is first used, not when it is imported.

    Several libraries import at their start what few of their functions need: scikit-learn and Great Expectations all of
    ``scipy.stats`` (0.6 s of CPU), XGBoost half of scikit-learn for its cross-validation (0.5 s), Feast its servers
    (0.4 s), Alembic a template engine (0.3 s), MLflow a gateway to language models (0.2 s). Modules that are already
    loaded stay as they are. The first use of a deferred module loads it once, in whatever thread.
    """
    sys.meta_path.insert(0, _Finder(modules))


def skip_plugin_search() -> None:
    """Spares pydantic two imports that our models do not need. Each is still loaded if something needs it.

    One is the search for plugins among all installed distributions: pydantic 2.14 has a switch for it,
    PYDANTIC_DISABLE_PLUGINS, but imports ``importlib.metadata`` all the same. The other is ``secrets``, which loads
    OpenSSL to compare the values of fields of a type that no model here has.
    """
    _replace_until_used("pydantic.plugin._loader", get_plugins=tuple)
    _replace_until_used("secrets")


def collect_rarely() -> None:
    """Collects cyclic garbage rarely: few objects of a check or an import refer to themselves."""
    gc.set_threshold(SELDOM)


def settle() -> None:
    """Keeps all existing objects until the end, and collects garbage at Python's default rate from now on."""
    gc.freeze()
    gc.set_threshold(700, 10, 10)


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Suspends garbage collection: the objects that imports create stay."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextlib.contextmanager
def loading_without_pauses() -> Iterator[None]:
    """Imports libraries, in a thread of a program whose event loop must not wait.

    A collection of garbage stops all threads, for up to 1.2 s when a large library has just been imported. So there is
    none meanwhile, and none of the objects that exist then is looked at again; each is still freed when nothing refers
    to it.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if enabled:
            gc.enable()


def compute_once(owner: object, name: str) -> None:
    """Lets all calls of a library's function share the result of the first one.

    For functions whose result depends on the installed library only: Optuna and MLflow read all their migration scripts
    to compare one number, whenever a database is opened. Does nothing if this version of the library has no such
    function.
    """
    function = getattr(owner, name, None)
    if function is None or hasattr(function, "__wrapped__"):
        return
    lock, results = threading.Lock(), list[Any]()

    @wraps(function)
    def once(*args: Any, **kwargs: Any) -> Any:
        with lock:
            if not results:
                results.append(function(*args, **kwargs))
        return results[0]

    setattr(owner, name, once)


def exit_now(code: int) -> None:
    """Ends the process without freeing each object: the operating system reclaims all of them anyway."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # the reader has closed it
            stream.flush()
    os._exit(code)


def _replace_until_used(name: str, **given: Any) -> None:
    """Replaces a module by the ``given`` attributes. Any other attribute loads the module."""
    if name in sys.modules:
        return

    def loaded_after_all(attribute: str) -> Any:
        if attribute.startswith("__"):  # the import system queries the type of module
            raise AttributeError(attribute)
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
        return getattr(import_module(name), attribute)

    stand_in = sys.modules[name] = ModuleType(name)
    vars(stand_in).update(**given, __getattr__=loaded_after_all)


class _Finder:
    """Finds the named modules where Python would, with a loader that defers loading."""

    def __init__(self, modules: Mapping[str, Importers]) -> None:
        self._modules = modules

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._modules:
            parent = sys.modules.get(fullname.rpartition(".")[0])
            if type(parent) is _Deferred:  # a submodule needs its package loaded
                parent.load(wait=False)
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Waiting(spec.loader, self._modules[fullname])  # type: ignore[assignment]
        return spec


class _Waiting:
    """Creates a module without running it."""

    def __init__(self, loader: Loader, importers: Importers) -> None:
        self.loader = loader
        self.importers = importers
        self.lock = threading.RLock()

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Deferred(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader_state = self


class _Deferred(ModuleType):
    """A module that has not been used yet."""

    def __getattr__(self, name: str) -> Any:
        """Called for missing attributes: at first, all but the module's name and location."""
        spec = self.__dict__.get("__spec__")
        if spec is not None and spec.loader_state is not None and (name == "__all__" or not name.startswith("__")):
            if spec.loader is spec.loader_state and name in _wanted(spec.loader_state.importers):
                return _stand_in(self, name)
            self.load()
            if name in self.__dict__:
                return self.__dict__[name]
            if "__getattr__" in self.__dict__:
                return self.__dict__["__getattr__"](name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def load(self, *, wait: bool = True) -> None:
        """Runs the module, unless it is already loaded or this thread is loading it.

        Waits for another thread that is loading it, but not in an import (``wait=False``), which holds locks of
        Python's own.
        """
        spec = self.__dict__["__spec__"]
        waiting = spec.loader_state
        if not waiting.lock.acquire(blocking=wait):
            return
        try:
            if spec.loader is waiting:
                spec.loader = self.__dict__["__loader__"] = waiting.loader
                waiting.loader.exec_module(self)
                self.__class__ = ModuleType  # type: ignore[assignment]  # from now on an ordinary module
        finally:
            waiting.lock.release()


def _wanted(importers: Importers) -> frozenset[str]:
    """Returns the names for which the module being imported gets stand-ins."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    name = "" if frame is None else str(frame.f_globals.get("__name__", ""))
    if frame is None or frame.f_code.co_name != "<module>":
        return frozenset()
    found = (names for importer, names in importers.items() if f"{name}.".startswith(f"{importer}."))
    return next(found, frozenset())


def _stand_in(module: _Deferred, name: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if type(module) is _Deferred:
            module.load()
        return getattr(module, name)(*args, **kwargs)

    call.__name__ = call.__qualname__ = name
    call.__module__ = module.__name__
    return call
