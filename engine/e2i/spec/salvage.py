"""Keeps the valid rest of a spec, so that one mistake in its shape does not hide the others.

In: the errors of its shape, and its data. Out: a valid spec without the wrong values. What depends on them is named, so
that it is not reported as a problem of its own.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from msgspec import Struct
from pydantic import ValidationError

from e2i.documents import JsonObject, Values
from e2i.spec import suggest
from e2i.spec.models import PipelineSpec, StepSpec
from e2i.spec.shape import Parameters
from e2i.spec.synonyms import CONVERTED, OTHERWISE, STEP_KEYS
from e2i.spec.validation import Detail, Path

DECISIVE = ("uses", "with", "matrix")
"""Keys without which nothing is known of a step. A step with a wrong one is left out."""
STEP = [name.rstrip("_") for name in StepSpec.model_fields]


class Rest(Struct, frozen=True):
    """The valid rest of a spec, and the names of the steps and parameters that were left out."""

    spec: PipelineSpec
    unjudged: frozenset[str]


def salvage(details: Collection[Detail], data: Values, parameters: Parameters) -> Rest | None:
    """Returns the valid rest of a spec. None when nothing can be known of its steps."""
    rest = {key: dict(value) if isinstance(value, dict) else value for key, value in data.items()}
    unjudged: set[str] = set()
    for detail in details:
        match detail["loc"]:
            case () | ("steps",) | ("params",):
                return None
            case ("version" | "name" as key, *_):
                rest[key] = _STAND_INS[key]
            case ("steps" | "finally" as section, str() as name, *path):
                step = rest[section].get(name)
                if _is_decisive(detail, path, step, parameters):
                    rest[section].pop(name, None)
                    unjudged.add(name)
                elif step is not None:
                    rest[section][name] = {key: value for key, value in step.items() if key != path[0]}
            case ("params", str() as name, *path):
                if _leave_out(rest["params"], name, path, detail):
                    unjudged.add(name)
            case ("outputs", str() as name, *_):
                rest["outputs"].pop(name, None)
            case (str() as key, *_):
                rest.pop(key, None)
    try:
        return Rest(PipelineSpec.model_validate(rest), frozenset(unjudged))
    except ValidationError:
        return None


_STAND_INS = {"version": 1, "name": "unnamed"}


def _leave_out(declared: JsonObject, name: str, path: list[Any], detail: Detail) -> bool:
    """Leaves out what is wrong with the declaration of a parameter. Returns True when nothing is known of its value."""
    held = declared.pop(name, None)
    if path == ["[key]"]:
        return True
    if isinstance(held, dict) and len(path) == 1 and detail["type"] == "extra_forbidden":
        declared[name] = {key: value for key, value in held.items() if key != path[0]}
        return False
    default = isinstance(held, dict) and "default" in held
    declared[name] = {"type": "any", **({"default": held["default"]} if default else {})}
    return True


def _is_decisive(detail: Detail, path: Path | list[Any], step: Any, parameters: Parameters) -> bool:
    """Returns True when the step cannot be judged without the wrong value."""
    if not path or path == ["[key]"] or not isinstance(step, dict) or detail["type"] == "missing":
        return True
    key = str(path[0])
    if detail["type"] != "extra_forbidden":
        return key in DECISIVE
    meant = STEP_KEYS.get(key) or CONVERTED.get(key, ("",))[0] or suggest.certain(key, STEP)
    if meant or key in OTHERWISE:
        return meant in DECISIVE
    uses = step.get("uses")
    return (isinstance(uses, str) and key in parameters(uses)) or bool(suggest.nearest(key, DECISIVE))
