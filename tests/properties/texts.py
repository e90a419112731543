"""A spec in YAML → the same spec otherwise written, and specs that do something else. In: texts, chance. Out: texts."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

import yaml

Data = dict[str, Any]
SETS = ("steps", "finally", "params", "outputs")
"""Mappings whose entries have ids of the user's own."""


def restyled(text: str, data: Data, rng: Random) -> tuple[str, str]:
    """The spec with a change that does not matter, and that change's name."""
    name, change = rng.choice(COSMETIC)
    return name, change(text, copy.deepcopy(data), rng)


def altered(data: Data, rng: Random) -> tuple[str, Data] | None:
    """The spec with a change that matters, and its name; None when the spec has no room for what chance chose."""
    name, change = rng.choice(MATTERING)
    changed = copy.deepcopy(data)
    return (name, changed) if change(changed, rng) else None


# What does not matter


def _comments(text: str, data: Data, rng: Random) -> str:
    lines = text.splitlines()
    if "|" in text or ">" in text:  # inside a block of text a "#" is text
        return f"# {rng.random()}\n{text}\n# the end\n"
    for _ in range(3):
        at = rng.randrange(len(lines))
        lines.insert(at, " " * rng.randrange(8) + f"# {rng.random()}")
    return "\n".join(lines) + "\n"


def _blank_lines(text: str, data: Data, rng: Random) -> str:
    return text.replace("\n", "\n\n") if "|" not in text and ">" not in text else f"\n\n{text}\n\n"


def _line_ends(text: str, data: Data, rng: Random) -> str:
    return text.replace("\n", "\r\n")


def _order(text: str, data: Data, rng: Random) -> str:
    return _dumped(_shuffled(data, rng), rng)


def _block(text: str, data: Data, rng: Random) -> str:
    return yaml.dump(data, Dumper=_Plain, default_flow_style=False, sort_keys=False, allow_unicode=True)


def _flow(text: str, data: Data, rng: Random) -> str:
    return json.dumps(data, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 1, 4)))


def _quotes(text: str, data: Data, rng: Random) -> str:
    return yaml.dump(data, Dumper=_Plain, default_style=None, sort_keys=True, width=rng.choice((20, 80, 1_000)))


def _anchors(text: str, data: Data, rng: Random) -> str:
    """Equal values written once, as PyYAML does for one object that stands twice."""
    known: dict[str, Any] = {}
    return yaml.dump(_shared(data, known), default_flow_style=rng.random() < 0.5, sort_keys=False)


def _descriptions(text: str, data: Data, rng: Random) -> str:
    data["description"] = f"text {rng.random()}"
    for step in data["steps"].values():
        step["description"] = f"text {rng.random()}"
    for declared in data.get("params", {}).values():
        declared["description"] = f"text {rng.random()}"
    return _dumped(data, rng)


def _no_descriptions(text: str, data: Data, rng: Random) -> str:
    for described in (data, *data["steps"].values(), *data.get("params", {}).values()):
        described.pop("description", None)
    return _dumped(data, rng)


def _tags(text: str, data: Data, rng: Random) -> str:
    rng.choice(list(data["steps"].values()))["tags"] = [f"t{rng.randrange(9)}"]
    return _dumped(data, rng)


def _spaces_in_expressions(text: str, data: Data, rng: Random) -> str:
    return re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda found: "${{" + " " * rng.randrange(4) + found[1] + "}}", text)


def _said_defaults(text: str, data: Data, rng: Random) -> str:
    """Options that say what holds anyway."""
    for step in data["steps"].values():
        if "on_error" not in {**data.get("defaults", {}), **step}:
            step["on_error"] = "fail"
    return _dumped(data, rng)


# What matters


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
        if name in ("rows", "value", "seconds", "quarters", "threshold", "samples") and not isinstance(value, str | bool)
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
    before = step.get(key, data.get("defaults", {}).get(key, {"on_error": "fail", "on_unavailable": "fail", "cache": True}.get(key)))
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
        if not _reads(data["steps"][later], name) and not any(_reads(data["steps"][name], other) for other in steps):
            data["steps"][later].setdefault("needs", []).append(name)
            return True
    return False


def _condition(data: Data, rng: Random) -> bool:
    """A step that is left out from now on, at the end of the line."""
    found = [n for n in data["steps"] if not any(f"steps.{n}." in json.dumps(data[part]) for part in SETS if part in data)]
    found = [n for n in found if f"steps.{n} " not in json.dumps(data) and f'"{n}"' not in json.dumps(data).replace(f'"{n}":', "")]
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
    lists = [(matrix, name) for matrix in found for name in matrix if isinstance(matrix[name], list) and len(matrix[name]) > 1]
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


COSMETIC: tuple[tuple[str, Callable[[str, Data, Random], str]], ...] = (
    ("comments", _comments),
    ("blank lines", _blank_lines),
    ("line ends", _line_ends),
    ("order", _order),
    ("block style", _block),
    ("flow style", _flow),
    ("quotes", _quotes),
    ("anchors", _anchors),
    ("descriptions", _descriptions),
    ("no descriptions", _no_descriptions),
    ("tags", _tags),
    ("spaces in expressions", _spaces_in_expressions),
    ("said defaults", _said_defaults),
)
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


class _Plain(yaml.SafeDumper):
    """Writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _dumped(data: Data, rng: Random) -> str:
    return yaml.dump(data, Dumper=_Plain, default_flow_style=rng.choice((None, True, False)), sort_keys=False)


def _shuffled(value: Any, rng: Random) -> Any:
    """Mappings in another order; the order of a matrix is that of its cells."""
    if isinstance(value, dict):
        items = [(key, item if key == "matrix" else _shuffled(item, rng)) for key, item in value.items()]
        return dict(rng.sample(items, len(items)))
    return [_shuffled(item, rng) for item in value] if isinstance(value, list) else value


def _shared(value: Any, known: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        value = {key: _shared(item, known) for key, item in value.items()}
    elif isinstance(value, list):
        value = [_shared(item, known) for item in value]
    return known.setdefault(json.dumps(value), value) if isinstance(value, dict | list) and value else value


def _steps(data: Data) -> list[dict[str, Any]]:
    return [step for part in ("steps", "finally") for step in data.get(part, {}).values()]


def _reads(step: dict[str, Any], name: str) -> bool:
    return f"steps.{name}." in repr(step) or f"steps.{name} " in repr(step) or name in step.get("needs", ())
