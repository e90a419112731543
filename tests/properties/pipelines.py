"""Random pipelines of ``debug.*`` steps, and random edits of them. In: a source of chance. Out: specs as mappings."""

from __future__ import annotations

import copy
from collections.abc import Callable
from random import Random
from typing import Any

Spec = dict[str, Any]
PART: Spec = {
    "version": 1,
    "name": "part",
    "params": {"x": {"type": "any", "default": 0}, "factor": {"type": "integer", "default": 2}},
    "steps": {
        "twice": {"uses": "debug.echo", "with": {"value": ["${{ params.x }}", "${{ params.factor }}"]}},
        "told": {"uses": "debug.echo", "with": {"value": "${{ steps.twice.value | length }}"}},
    },
    "outputs": {"value": "${{ steps.told.value }}"},
}
"""A part that steps may include, as ``./part.yaml``. Its output is a number."""


def pipeline(rng: Random) -> Spec:
    """A pipeline of three to seven steps, each reading some of those before it."""
    spec: Spec = {
        "version": 1,
        "name": "random",
        "params": {
            "n": {"type": "integer", "default": rng.randint(0, 9)},
            "flag": {"type": "boolean", "default": rng.random() < 0.5},
            "folds": {"type": "list", "default": [1, 2]},
        },
        "steps": {},
    }
    for _ in range(rng.randint(3, 7)):
        _add(spec, rng)
    if rng.random() < 0.3:
        spec["finally"] = {"end": {"uses": "debug.echo", "with": {"value": "${{ run.status }}"}}}
    return spec


def edit(spec: Spec, rng: Random) -> tuple[str, Spec]:
    """One change, and its name. What reads a step that is gone goes with it."""
    changed = copy.deepcopy(spec)
    name, change = rng.choice(EDITS)
    change(changed, rng)
    return name, changed


def reads(step: dict[str, Any], name: str) -> bool:
    """Whether a step, as a spec holds it, reads or needs another."""
    return f"steps.{name}." in repr(step) or f"steps.{name} " in repr(step) or name in step.get("needs", ())


def _add(spec: Spec, rng: Random) -> None:
    """A new step, at the end."""
    steps = spec["steps"]
    name = next(f"s{number}" for number in range(len(steps) + 1, 1_000) if f"s{number}" not in steps)
    step: dict[str, Any] = {"uses": "debug.echo", "with": {"value": _value(spec, rng)}}
    match rng.choice(("echo", "echo", "sleep", "matrix", "part", "fail")):
        case "sleep":
            step = {"uses": "debug.sleep", "with": {"seconds": 0, "value": _value(spec, rng)}}
        case "matrix":
            step["matrix"] = {"fold": rng.choice(("${{ params.folds }}", [1, 2], [1, 2, 3]))}
            step["with"] = {"value": rng.choice(("${{ matrix.fold }}", ["${{ matrix.fold }}", _value(spec, rng)]))}
        case "part":
            step = {"uses": "./part.yaml", "with": {"x": _value(spec, rng)}}
        case "fail":
            step = {"uses": "debug.fail", "on_error": "continue"}
    if rng.random() < 0.35:
        step["when"] = _condition(spec, rng)
    if steps and rng.random() < 0.3:
        step["needs"] = [rng.choice(list(steps))]
    if rng.random() < 0.1:
        step["cache"] = False
    steps[name] = step


def _value(spec: Spec, rng: Random) -> Any:
    """A literal, a parameter, or something made of what a step before gives."""
    readable = [name for name, step in spec["steps"].items() if step["uses"] != "debug.fail"]
    if not readable or rng.random() < 0.3:
        return rng.choice((rng.randint(0, 5), "text", [1, {"a": None}], "${{ params.n }}", "${{ params.n % 2 }}"))
    name = rng.choice(readable)
    if "matrix" in spec["steps"][name]:
        return f"${{{{ steps.{name} | default([]) | length }}}}"
    plain = f"steps.{name}.value | default(0)"
    return rng.choice((f"${{{{ {plain} }}}}", f"${{{{ ({plain}) is number }}}}", f"n: ${{{{ {plain} }}}}"))


def _condition(spec: Spec, rng: Random) -> Any:
    readable = [n for n, step in spec["steps"].items() if step["uses"] != "debug.fail" and "matrix" not in step]
    options: list[Any] = [False, "${{ params.flag }}", "${{ params.n > 4 }}", "${{ not params.flag }}"]
    if readable:
        options += [f"${{{{ steps.{rng.choice(readable)}.value | default(0) is number }}}}"] * 3
    return rng.choice(options)


def _change_value(spec: Spec, rng: Random) -> None:
    step = _step(spec, rng)
    before = dict(spec, steps={name: other for name, other in spec["steps"].items() if other is not step})
    earlier = _before(spec, step)
    if "value" in step.get("with", {}):
        step["with"]["value"] = _value(dict(before, steps=earlier), rng)


def _change_condition(spec: Spec, rng: Random) -> None:
    step = _step(spec, rng)
    if "when" in step and rng.random() < 0.4:
        del step["when"]
    else:
        step["when"] = _condition(dict(spec, steps=_before(spec, step)), rng)


def _change_parameter(spec: Spec, rng: Random) -> None:
    params = spec["params"]
    match rng.choice(("n", "flag", "folds")):
        case "n":
            params["n"]["default"] = rng.randint(0, 9)
        case "flag":
            params["flag"]["default"] = not params["flag"]["default"]
        case _:
            params["folds"]["default"] = rng.choice(([1], [1, 2], [2, 3], [1, 2, 3]))


def _change_cache(spec: Spec, rng: Random) -> None:
    step = _step(spec, rng)
    step["cache"] = not step.get("cache", True)


def _change_action(spec: Spec, rng: Random) -> None:
    step = _step(spec, rng)
    if step["uses"] == "debug.echo":
        step["uses"], step["with"] = "debug.sleep", {"seconds": 0, **step["with"]}
    elif step["uses"] == "debug.sleep":
        step["uses"], step["with"] = "debug.echo", {"value": step["with"]["value"]}


def _change_needs(spec: Spec, rng: Random) -> None:
    step = _step(spec, rng)
    earlier = list(_before(spec, step))
    step["needs"] = [rng.choice(earlier)] if earlier and rng.random() < 0.7 else []


def _change_options(spec: Spec, rng: Random) -> None:
    _step(spec, rng)["timeout"] = rng.choice(("10s", "1m"))


def _change_text(spec: Spec, rng: Random) -> None:
    spec["description"] = f"text {rng.random()}"
    _step(spec, rng)["description"] = f"text {rng.random()}"
    spec["steps"] = dict(rng.sample(list(spec["steps"].items()), len(spec["steps"])))


def _remove(spec: Spec, rng: Random) -> None:
    gone = {rng.choice(list(spec["steps"]))}
    while more := {n for n, step in spec["steps"].items() if n not in gone and any(reads(step, name) for name in gone)}:
        gone |= more
    if len(gone) < len(spec["steps"]):
        for name in gone:
            del spec["steps"][name]


def _end(spec: Spec, rng: Random) -> None:
    if "finally" in spec:
        del spec["finally"]
    else:
        read = (
            f"${{{{ steps.{rng.choice(_plain(spec))}.value | default(none) }}}}"
            if _plain(spec)
            else "${{ run.status }}"
        )
        spec["finally"] = {"end": {"uses": "debug.echo", "with": {"value": read}}}


def _nothing(spec: Spec, rng: Random) -> None:
    """The spec as it was."""


EDITS: tuple[tuple[str, Callable[[Spec, Random], None]], ...] = (
    ("value", _change_value),
    ("value", _change_value),
    ("condition", _change_condition),
    ("parameter", _change_parameter),
    ("cache", _change_cache),
    ("action", _change_action),
    ("needs", _change_needs),
    ("options", _change_options),
    ("text", _change_text),
    ("another step", _add),
    ("one step less", _remove),
    ("end", _end),
    ("nothing", _nothing),
)


def _step(spec: Spec, rng: Random) -> dict[str, Any]:
    step: dict[str, Any] = rng.choice(list(spec["steps"].values()))
    return step


def _before(spec: Spec, step: dict[str, Any]) -> dict[str, Any]:
    """The steps that do not depend on this one."""
    name = next(name for name, other in spec["steps"].items() if other is step)
    below = {name}
    while more := {n for n, other in spec["steps"].items() if n not in below and any(reads(other, b) for b in below)}:
        below |= more
    return {n: other for n, other in spec["steps"].items() if n not in below}


def _plain(spec: Spec) -> list[str]:
    return [
        n
        for n, step in spec["steps"].items()
        if step["uses"].startswith(("debug.echo", "debug.sleep")) and "matrix" not in step
    ]
