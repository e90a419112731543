"""A spec as data and chance go in; a spec that does something else comes out, if only in one thing."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

from properties.pipelines import reads

Data = dict[str, Any]
SETS = ("steps", "finally", "params", "outputs")
"""Where references to steps can stand."""


def altered(data: Data, rng: Random) -> tuple[str, Data] | None:
    """The spec with a change that matters, and its name; None when the spec has no room for what chance chose."""
    name, change = rng.choice(MATTERING)
    changed = copy.deepcopy(data)
    return (name, changed) if change(changed, rng) else None


def _name(data: Data, rng: Random) -> bool:
    data["name"] += "_2"
    return True


def _parameter(data: Data, rng: Random) -> bool:
    """Another value of the pipeline's parameter."""
    found = [p for p in data.get("params", {}).values() if p["type"] in ("integer", "number") and "default" in p]
    for declared in rng.sample(found, min(1, len(found))):
        least, most = declared.get("min", 0), declared.get("max", 10**6)
        declared["default"] = declared["default"] + 1 if declared["default"] + 1 <= most else least
    return bool(found)


def _literal(data: Data, rng: Random) -> bool:
    """Another number or word in what an action is given."""
    found = [
        (step["with"], name, value)
        for step in _steps(data)
        for name, value in step.get("with", {}).items()
        if name in ("rows", "value", "seconds", "quarters", "threshold", "samples")
        and not isinstance(value, str | bool)
    ]
    if found:
        around, name, value = rng.choice(found)
        around[name] = value + 1 if isinstance(value, int) else 0.25 if isinstance(value, float) else [value]
    return bool(found)


def _option(data: Data, rng: Random) -> bool:
    """Another option of a step."""
    key, values = rng.choice(
        [
            ("timeout", ["11m", "12m"]),
            ("retry", [{"attempts": 4}, {"attempts": 5}]),
            ("on_error", ["fail", "continue"]),
            ("on_unavailable", ["fail", "skip", "defer"]),
            ("cache", [True, False]),
            ("resources", [{"threads": 3}, {"threads": 4}]),
        ]
    )
    step = rng.choice(list(_steps(data)))
    before = step.get(
        key, data.get("defaults", {}).get(key, {"on_error": "fail", "on_unavailable": "fail", "cache": True}.get(key))
    )
    step[key] = next(value for value in values if value != before)
    return True


def _default_option(data: Data, rng: Random) -> bool:
    """Another option of all steps that do not say themselves."""
    before = data.get("defaults", {}).get("timeout")
    data.setdefault("defaults", {})["timeout"] = "13m" if before != "13m" else "14m"
    return any("timeout" not in step for step in data["steps"].values())


def _needs(data: Data, rng: Random) -> bool:
    """An order that was not asked for."""
    steps = list(data["steps"])
    for name, later in ((a, b) for index, a in enumerate(steps) for b in steps[index + 1 :]):
        if not reads(data["steps"][later], name) and not any(reads(data["steps"][name], other) for other in steps):
            data["steps"][later].setdefault("needs", []).append(name)
            return True
    return False


def _condition(data: Data, rng: Random) -> bool:
    """A step that is left out from now on, at the end of the line."""
    found = [
        n for n in data["steps"] if not any(f"steps.{n}." in json.dumps(data[part]) for part in SETS if part in data)
    ]
    found = [
        n
        for n in found
        if f"steps.{n} " not in json.dumps(data) and f'"{n}"' not in json.dumps(data).replace(f'"{n}":', "")
    ]
    found = [n for n in found if isinstance(data["steps"][n].get("when", True), bool)]  # another may come to the same
    if found:
        step = data["steps"][rng.choice(found)]
        step["when"] = not step.get("when", True)
    return bool(found)


def _another_step(data: Data, rng: Random) -> bool:
    data["steps"][f"more_{rng.randrange(100)}"] = {"uses": "debug.echo"}
    return True


def _one_step_less(data: Data, rng: Random) -> bool:
    text = json.dumps(data)
    found = [n for n in data["steps"] if f"steps.{n}" not in text and f'"{n}"' not in text.replace(f'"{n}":', "")]
    if found and len(data["steps"]) > 1:
        del data["steps"][rng.choice(found)]
    return bool(found) and len(data["steps"]) > 0 and json.dumps(data) != text


def _renamed_step(data: Data, rng: Random) -> bool:
    name = rng.choice(list(data["steps"]))
    text = re.sub(rf'(?<![\w-]){name}(?=")|(?<=steps\.){name}\b', f"{name}_2", json.dumps(data["steps"]))
    data["steps"] = json.loads(text)
    if "outputs" in data:
        data["outputs"] = json.loads(re.sub(rf"(?<=steps\.){name}\b", f"{name}_2", json.dumps(data["outputs"])))
    return True


def _matrix(data: Data, rng: Random) -> bool:
    """Another cell, or one less."""
    found = [step["matrix"] for step in data["steps"].values() if "matrix" in step]
    lists = [
        (matrix, name)
        for matrix in found
        for name in matrix
        if isinstance(matrix[name], list) and len(matrix[name]) > 1
    ]
    if lists:
        matrix, name = rng.choice(lists)
        matrix[name] = matrix[name][1:]
    return bool(lists)


def _output(data: Data, rng: Random) -> bool:
    """Another thing that a run gives back."""
    if data.get("outputs"):
        name = rng.choice(list(data["outputs"]))
        data["outputs"][name] = [data["outputs"][name]]
    else:
        data["outputs"] = {"more": 1}
    return True


def _role(data: Data, rng: Random) -> bool:
    """Another agent role that a step acts for, which other rules hold for."""
    step = rng.choice(list(_steps(data)))
    if step["uses"].startswith("debug."):
        step["agent"] = "data_preparer" if step.get("agent") != "data_preparer" else "scope_definer"
    return step["uses"].startswith("debug.")


def _end(data: Data, rng: Random) -> bool:
    """Another step at the end."""
    data.setdefault("finally", {})[f"end_{rng.randrange(100)}"] = {"uses": "debug.echo"}
    return True


MATTERING: tuple[tuple[str, Callable[[Data, Random], bool]], ...] = (
    ("name", _name),
    ("parameter", _parameter),
    ("literal", _literal),
    ("option", _option),
    ("default option", _default_option),
    ("needs", _needs),
    ("condition", _condition),
    ("another step", _another_step),
    ("one step less", _one_step_less),
    ("renamed step", _renamed_step),
    ("matrix", _matrix),
    ("output", _output),
    ("role", _role),
    ("end", _end),
)


def _steps(data: Data) -> list[dict[str, Any]]:
    return [step for part in ("steps", "finally") for step in data.get(part, {}).values()]
