"""A spec's text goes in; the validated ``PipelineSpec`` and its ``Document`` come out, or every problem of its shape.

Also reads the values given for the pipeline's parameters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydantic import BaseModel, ValidationError

from e2i.spec import document, fixes, patterns, suggest
from e2i.spec.document import Document
from e2i.spec.models import ParamSpec, PipelineSpec, ResourcesSpec, RetrySpec, StepOptions, StepSpec
from e2i.spec.problems import Problem, pointer

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class LoadedSpec:
    """A spec whose shape is right, with the document that says where each part of it stands."""

    spec: PipelineSpec
    document: Document


def load(source: str | bytes | Mapping[str, Any], file: str) -> tuple[LoadedSpec | None, list[Problem]]:
    """Reads a spec from YAML text or from a mapping. Either the spec or at least one problem is there."""
    if isinstance(source, Mapping):
        found, problems = document.from_mapping(source, file)
    else:
        found, problems = document.read(source, file)
    if found is None or problems:
        return None, problems
    try:
        return LoadedSpec(PipelineSpec.model_validate(found.data), found), []
    except ValidationError as error:
        return None, sorted(shape_problems(error, found), key=lambda problem: problem.sort_key)


def shape_problems(error: ValidationError, document: Document) -> list[Problem]:
    """Pydantic's errors about a spec as problems, each at its place."""
    return [_shape_problem(fault, document) for fault in error.errors(include_url=False)]


def parameter_values(
    spec: PipelineSpec, document: Document, given: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Problem]]:
    """The value of every parameter: the given one, or else the default, checked against the declaration."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name in sorted(set(given) - set(spec.params)):
        place = document.place(("params",), key=True)
        message = f'the spec has no parameter "{name}"'
        problems.append(Problem("unknown-parameter", message, place, "/params", suggest.hint(name, spec.params)))
    for name, declared in spec.params.items():
        path: Path = ("params", name)
        if name in given:
            value, what = given[name], f'the value given for parameter "{name}"'
        elif declared.required:
            message = f'parameter "{name}" has no default and no value was given'
            problems.append(
                Problem(
                    "missing-parameter", message, document.place(path, key=True), pointer(path), f"give -p {name}=VALUE"
                )
            )
            continue
        else:
            path = (*path, "default")
            value, what = declared.default, f'the default of parameter "{name}"'
            if value is None:
                values[name] = None
                continue
        value, fault = check_value(declared, value)
        if fault:
            problems.append(Problem("bad-parameter", f"{what} {fault}", document.place(path), pointer(path)))
        else:
            values[name] = value
    return values, problems


def check_value(declared: ParamSpec, value: Any) -> tuple[Any, str | None]:
    """The value in its declared type, and what is wrong with it, if anything."""
    if declared.type == "number" and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not _TYPES[declared.type](value):
        return value, f"must be {_article(declared.type)}, not {_show(value)}"
    if declared.choices is not None and value not in declared.choices:
        near = (
            suggest.hint(value, [c for c in declared.choices if isinstance(c, str)]) if isinstance(value, str) else None
        )
        allowed = ", ".join(_show(choice) for choice in declared.choices)
        return value, f"must be one of {allowed}, not {_show(value)}" + (f" ({near})" if near else "")
    size = len(value) if isinstance(value, (str, list, dict)) else value
    if declared.min is not None and size < declared.min:
        return value, f"must be at least {declared.min:g}, not {_show(value)}"
    if declared.max is not None and size > declared.max:
        return value, f"must be at most {declared.max:g}, not {_show(value)}"
    if declared.pattern is not None and isinstance(value, str) and not patterns.matches(declared.pattern, value):
        return value, f"must match {declared.pattern!r}, and {_show(value)} does not"
    return value, None


def _meant(declared: ParamSpec, value: Any) -> Any:
    """The value that a wrong default must have meant; it would pass."""
    if isinstance(value, str) and declared.choices is not None and value not in declared.choices:
        value = suggest.certain(value, [choice for choice in declared.choices if isinstance(choice, str)])
    elif not _TYPES[declared.type](value):
        value = fixes.meant(value, declared.type)
    return fixes.MISSING if value is None or check_value(declared, value)[1] else value


def _is_date(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(date.fromisoformat(value[:10]))
    except ValueError:
        return False


_TYPES = {
    "string": lambda value: isinstance(value, str),
    "path": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, float),
    "boolean": lambda value: isinstance(value, bool),
    "list": lambda value: isinstance(value, list),
    "mapping": lambda value: isinstance(value, dict),
    "date": _is_date,
}


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _shape_problem(fault: Any, document: Document) -> Problem:
    kind, path = fault["type"], tuple(fault["loc"])
    last = path[-1] if path else ""
    if kind == "extra_forbidden":
        known = _keys_at(path[:-1])
        beside = document.value(path[:-1]) or ()
        return Problem(
            "unknown-key",
            f'unknown key "{last}"',
            document.place(path, key=True),
            pointer(path),
            suggest.hint(str(last), known, most=12),
            fixes=fixes.renamed(path, known, beside),
        )
    if kind == "missing":
        parent = path[:-1]
        version = {"op": "add", "path": "/version", "value": 1}
        return Problem(
            "missing-key",
            f'the key "{_alias(last)}" is missing',
            document.place(parent, key=bool(parent)),
            pointer(parent),
            fixes=(version,) if path == ("version",) else (),
        )
    if path and path[-1] == "[key]":
        path = path[:-1]
        message = (
            f'"{str(path[-1])[:80]}" is not a name: letters, digits and "_", at most 64, not starting with a digit'
        )
        return Problem("bad-name", message, document.place(path, key=True), pointer(path))
    path = _existing(path, document.data)
    place = document.place(path)
    hint, mend = expected(fault, path)
    return Problem("bad-value", wording(fault, path), place, pointer(path), hint, fixes=mend)


def expected(fault: Any, path: Path) -> tuple[str | None, fixes.Fixes]:
    """What pydantic would have taken at ``path``, as far as it is clear what was meant: a hint, and a certain fix."""
    given, kind = fault["input"], fault["type"]
    if kind in ("literal_error", "enum"):
        allowed = fault["ctx"]["expected"]
        hint = suggest.hint(given, fixes.choices(allowed), most=0) if isinstance(given, str) else None
        return hint, _instead(path, fixes.choice(given, allowed))
    if kind == "value_error" and "is not a duration" in fault["msg"]:
        return None, _instead(path, fixes.duration(given) or fixes.MISSING)
    if kind in ("model_type", "model_attributes_type", "dict_type") and path and path[-1] in _SHORT_FORMS:
        key = _SHORT_FORMS[path[-1]]
        short = isinstance(given, int) and not isinstance(given, bool)
        return f"write {{{key}: {given}}}" if short else None, _instead(path, {key: given} if short else fixes.MISSING)
    return None, _instead(path, fixes.meant(given, _WANTED.get(kind, "")))


def _instead(path: Path, value: Any) -> fixes.Fixes:
    return () if value is fixes.MISSING else fixes.replaced(path, value)


_SHORT_FORMS = {"retry": "attempts", "resources": "threads"}
"""Mappings for which a number is often written: the key that it is for."""
_WANTED = {
    "bool_type": "boolean",
    "bool_parsing": "boolean",
    "int_type": "integer",
    "int_parsing": "integer",
    "float_type": "number",
    "float_parsing": "number",
    "string_type": "string",
    "list_type": "list",
    "tuple_type": "list",
}
"""Pydantic's types of error → the type that was wanted."""


def wording(fault: Any, path: Path) -> str:
    """What pydantic says of the value at ``path``, as a sentence about it: ``"trials" should be …``."""
    kind, given = fault["type"], fault["input"]
    said = fault["msg"]
    if kind == "value_error":
        said = f": {said.removeprefix('Value error, ')}"
    elif kind in ("model_type", "model_attributes_type", "dict_type"):
        said = " should be a mapping"
    else:
        said = _SUBJECT.sub(" should", said) if _SUBJECT.match(said) else f": {said}"
    if not isinstance(given, (dict, list, tuple)) and f'"{given}"' not in said:
        said += f", not {'null' if given is None else _show(given)}"
    return f'"{path[-1]}"{said}' if path else said.lstrip(" :")


_SUBJECT = re.compile(r"^(Input|String|List|Tuple|Dictionary|Set|Value|Data) should")


def _existing(path: Path, data: Any) -> Path:
    """The path without the steps that pydantic adds for unions and keys."""
    value: Any = data
    kept: list[str | int] = []
    for key in path:
        in_list = isinstance(value, list) and isinstance(key, int) and key < len(value)
        if in_list or (isinstance(value, dict) and key in value):
            value = value[key]
            kept.append(key)
    return tuple(kept)


def _keys_at(path: Path) -> list[str]:
    """The keys that a mapping at this path of a spec may have."""
    match path:
        case ():
            model: type[BaseModel] = PipelineSpec
        case ("params", _):
            model = ParamSpec
        case ("defaults",):
            model = StepOptions
        case ("steps", _):
            model = StepSpec
        case (*_, "retry"):
            model = RetrySpec
        case (*_, "resources"):
            model = ResourcesSpec
        case _:
            return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _alias(name: str | int) -> str | int:
    return "with" if name == "with_" else name
