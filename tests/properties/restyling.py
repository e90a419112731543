"""A spec in YAML and chance go in; the same spec otherwise written comes out: nothing about it that matters has changed."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

import yaml

Data = dict[str, Any]


def restyled(text: str, data: Data, rng: Random) -> tuple[str, str]:
    """The spec with a change that does not matter, and that change's name."""
    name, change = rng.choice(COSMETIC)
    return name, change(text, copy.deepcopy(data), rng)


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
