"""Where processes are to die goes in, as ``deaths.json`` beside this file; each place kills one process, once.

Python imports this file when it starts in the environment that the sandbox makes. A place is a module, a function in it, ``before`` or ``after`` the call, and which call of that process. The kill is a SIGKILL.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - runs in every process before anything else


def die_once(point: str) -> None:
    try:
        os.close(os.open(os.path.join(HERE, f"died at {point}"), os.O_CREAT | os.O_EXCL))  # noqa: PTH118
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def deadly(function: Callable[..., Any], point: str, when: str, number: int) -> Callable[..., Any]:
    calls = iter(range(1, 1_000_000))

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        mine = next(calls) == number
        if mine and when == "before":
            die_once(point)
        answer = function(*args, **kwargs)
        if mine and when == "after":
            die_once(point)
        return answer

    return wrapper


class Finder:
    """Wraps functions of modules when they are imported."""

    def __init__(self, points: list[tuple[str, str, str, int]]) -> None:
        self.points = points

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        here = [point for point in self.points if point[0] == name]
        if not here:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next((found for finder in others if (found := finder.find_spec(name, path, target))), None)
        if spec is None or spec.loader is None:
            return spec
        genuine = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            genuine(module)
            for _, function, when, number in here:
                *owners, attribute = function.split(".")
                owner: Any = module
                for part in owners:
                    owner = getattr(owner, part)
                point = f"{name} {function} {when} {number}"
                setattr(owner, attribute, deadly(getattr(owner, attribute), point, when, number))

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]  # of this one loader
        return spec


with open(os.path.join(HERE, "deaths.json")) as file:  # noqa: PTH118, PTH123
    sys.meta_path.insert(0, Finder([tuple(point) for point in json.load(file)]))  # type: ignore[arg-type]
