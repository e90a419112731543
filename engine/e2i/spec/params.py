"""Checks parameter values. In: declarations and passed values. Out: the value of every parameter, and problems."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from msgspec import Struct

from e2i.documents import ParamValues
from e2i.spec import fixes, patterns, suggest
from e2i.spec.document import Document
from e2i.spec.models import ParamSpec, PipelineSpec
from e2i.spec.problems import Code, Problem
from e2i.spec.scalars import show

Path = tuple[str | int, ...]


class CommandLineValue(Struct, frozen=True):
    """A value of a command line that YAML reads as no text, such as 02116: a string parameter takes the text."""

    text: str
    value: bool | float | None

    def as_declared(self, declared: ParamSpec) -> Any:
        """Returns what is meant, by the parameter's type. null and nothing are no texts where a default is null."""
        is_nothing = self.value is None and (not declared.required or not self.text)
        return self.value if declared.type not in ("string", "path") or is_nothing else self.text


def parameter_values(spec: PipelineSpec, document: Document, given: ParamValues) -> tuple[ParamValues, list[Problem]]:
    """Returns the value of every parameter: the passed one, or else the default, checked against the declaration."""
    values = ParamValues()
    problems = list(declaration_problems(spec, document))
    for name in sorted(set(given) - set(spec.params)):
        message = f'the spec has no parameter "{name}"'
        hint = suggest.hint(name, spec.params) or "it declares none"
        problems.append(document.problem("unknown-parameter", ("params",), message, hint, key=True))
    for name, declared in spec.params.items():
        path: Path = ("params", name)
        if name in given:
            value, what = given[name], f'the value passed for parameter "{name}"'
            value = value.as_declared(declared) if isinstance(value, CommandLineValue) else value
            if value is None and not declared.required:
                values[name] = None
                continue
        elif declared.required:
            message = f'parameter "{name}" has no default and no value was passed'
            problems.append(document.problem("missing-parameter", path, message, f"pass -p {name}=VALUE", key=True))
            continue
        else:
            path = (*path, "default")
            value, what = declared.default, f'the default of parameter "{name}"'
            if value is None:
                values[name] = None
                continue
        value, wrong = check_value(declared, value)
        if wrong:
            fix = () if name in given else fixes.instead(path, _meant(declared, value))
            problems.append(
                document.problem(
                    "bad-parameter",
                    path,
                    f"{what} {wrong}",
                    _quoting(name, declared, value, passed=name in given),
                    fixes=fix,
                )
            )
        else:
            values[name] = value
    return values, problems


def _quoting(name: str, declared: ParamSpec, value: Any, *, passed: bool) -> str | None:
    """Returns the hint for a text that was read as something else, as 02116 is read as a number."""
    if not passed or declared.type != "string" or not isinstance(value, (bool, int, float)):
        return None
    return f"""pass it as a text: -p {name}='"…"'"""


def declaration_problems(spec: PipelineSpec, document: Document) -> Iterator[Problem]:
    """Yields problems of declarations that contradict themselves."""
    for name, declared in spec.params.items():
        for path, message in _contradictions(declared):
            location = ("params", name, *path)
            what = f'parameter "{name}": {message}'
            yield document.problem("bad-parameter", location, what)


def check_value(declared: ParamSpec, value: Any) -> tuple[Any, str | None]:
    """Returns the value in its declared type, and its error, if any."""
    if declared.type == "number" and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not _TYPES[declared.type](value):
        return value, f"must be {_article(declared.type)}, not {show(value)}"
    if declared.type == "path" and (wrong := path_problem(value)):
        return value, f"must be a path inside the workspace: {show(value)} {wrong}"
    if declared.choices is not None and not any(_same(value, choice) for choice in declared.choices):
        near = (
            suggest.hint(value, [c for c in declared.choices if isinstance(c, str)]) if isinstance(value, str) else None
        )
        allowed = suggest.few([show(choice) for choice in declared.choices], 20)
        return value, f"must be one of {allowed}, not {show(value)}" + (f" ({near})" if near else "")
    if declared.min is not None and _below(_size(declared, value), declared.min):
        return value, f"must be at least {_number(declared.min)}, not {show(value)}"
    if declared.max is not None and _below(declared.max, _size(declared, value)):
        return value, f"must be at most {_number(declared.max)}, not {show(value)}"
    if declared.pattern is not None and isinstance(value, str) and not patterns.matches(declared.pattern, value):
        return value, f"must match {declared.pattern!r}, and {show(value)} does not"
    return value, None


def path_problem(text: str) -> str | None:
    """Returns why a text cannot be a path inside the workspace, judged by its characters alone."""
    if not text.strip() or "\0" in text:
        return "names nothing"
    if "://" in text:
        return "is an address"
    if text.startswith(("/", "~", "\\")) or re.match(r"[A-Za-z]:", text):
        return "is not relative to the workspace"
    if re.search(r"%(2e|2f|5c|00)", text, re.IGNORECASE):
        return "contains invisible characters"
    if ".." in re.split(r"[/\\]", text):
        return 'leads outside the workspace with ".."'
    return None


def _contradictions(declared: ParamSpec) -> Iterator[tuple[Path, str]]:
    limits = {name: limit for name in ("min", "max") if (limit := getattr(declared, name)) is not None}
    intact = True
    for name, limit in limits.items():
        if declared.type in ("boolean", "any"):
            yield (name,), f'a parameter of type {declared.type} has no "{name}"'
        elif declared.type == "date" and not _is_date(limit):
            yield (name,), f'"{name}" must be a date, not {_number(limit)}'
        elif declared.type != "date" and isinstance(limit, str):
            yield (name,), f'"{name}" must be a number, not {show(limit)}'
        else:
            continue
        intact = False
    if intact and len(limits) == 2 and _below(limits["max"], limits["min"]):
        yield ("max",), f'"max" is less than "min", {_number(limits["min"])}'
    if declared.pattern is not None and declared.type not in ("string", "path", "date"):
        yield ("pattern",), f'a parameter of type {declared.type} has no "pattern"'
    for index, choice in enumerate(declared.choices or ()):
        if not _TYPES[declared.type](float(choice) if declared.type == "number" and type(choice) is int else choice):
            yield ("choices", index), f"the choice {show(choice)} is not {_article(declared.type)}"
    if declared.required_ and declared.default is not None:
        yield ("required",), "it has a default, so no value is required"


def _meant(declared: ParamSpec, value: Any) -> Any:
    """Returns the value that an invalid default must have meant, if that value is valid."""
    if not _TYPES[declared.type](value):
        value = fixes.meant(value, declared.type)
    elif isinstance(value, str) and declared.choices is not None and value not in declared.choices:
        value = suggest.certain(value, [choice for choice in declared.choices if isinstance(choice, str)])
    return fixes.MISSING if value is None or check_value(declared, value)[1] else value


def _size(declared: ParamSpec, value: Any) -> Any:
    """Returns the quantity that ``min`` and ``max`` limit: the value of a number or date, the length of anything
    else.
    """
    return len(value) if declared.type != "date" and isinstance(value, (str, list, dict)) else value


def _below(left: Any, right: Any) -> bool:
    """Returns True when a number or date is less than another. Values without an order are reported elsewhere."""
    if isinstance(left, str) != isinstance(right, str):
        return False
    return bool(left < right)  # dates as ISO text sort by time


def _same(value: Any, choice: Any) -> bool:
    return bool(value == choice) and isinstance(value, bool) == isinstance(choice, bool)


def _is_date(value: Any) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


_TYPES = {
    "any": lambda value: True,
    "string": lambda value: isinstance(value, str),
    "path": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, float),
    "boolean": lambda value: isinstance(value, bool),
    "list": lambda value: isinstance(value, list),
    "mapping": lambda value: isinstance(value, Mapping),
    "date": _is_date,
}


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _number(limit: float | str) -> str:
    return limit if isinstance(limit, str) else f"{limit:g}"


CODES = (
    Code(
        "bad-parameter",
        "A parameter value that its declaration does not allow",
        "The value or the default does not have the declared type, is not one of the choices, or is out of range. "
        "Defaults are checked even when another value is passed.",
        "Use an allowed value, or change the declaration.",
        'params:\n  trials: {type: integer, default: "20"}\nsteps:\n  a: {uses: debug.echo}\n',
        "params:\n  trials: {type: integer, default: 20}\nsteps:\n  a: {uses: debug.echo}\n",
    ),
    Code(
        "missing-parameter",
        "A parameter without a value",
        "A parameter without a default is required to run a spec. It is not required to validate one.",
        "Pass it with `-p NAME=VALUE`, or declare a default.",
        "params:\n  trials: {type: integer}\nsteps:\n  a: {uses: debug.echo}\n",
        "params:\n  trials: {type: integer, default: 20}\nsteps:\n  a: {uses: debug.echo}\n",
    ),
)
