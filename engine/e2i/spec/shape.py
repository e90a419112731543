"""Reports what is wrong with the shape of a spec: unknown, missing and misplaced keys, and values of the wrong type.

In: pydantic's errors about a spec, and its document. Out: problems, each with its location and what was meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

from pydantic import BaseModel

from e2i.spec import fixes, suggest
from e2i.spec.document import Document
from e2i.spec.models import IDENTIFIER, ParamSpec, PipelineSpec, ResourcesSpec, RetrySpec, StepOptions, StepSpec
from e2i.spec.operations import Operation
from e2i.spec.problems import Code, Fixes, Problem
from e2i.spec.validation import Detail, Path
from e2i.spec.wording import expected, wording

MOST_RENAMED = 20
"""Limit on the names with a safe fix: for each, all texts of the spec are searched."""
Parameters = Callable[[str], Collection[str]]
"""Returns the names of the parameters of an action. Passed in, because the catalog is not known here."""


def problems(details: Collection[Detail], document: Document, parameters: Parameters) -> Iterator[Problem]:
    """Yields the errors as problems."""
    misplaced = _misplaced(details, document, parameters)
    for step, names in misplaced.items():
        yield _beside(step, names, document)
    unknown = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
    # A mistyped key is one mistake: the missing right key is not reported separately.
    mistyped = {(*path[:-1], meant) for path in unknown for meant in _meant_keys(path, document)}
    renamed = 0
    for detail in details:
        path = detail["loc"]
        match detail["type"]:
            case "extra_forbidden" if path[-1] in misplaced.get(path[:-1], ()):
                continue
            case "extra_forbidden":
                yield _unknown_key(path, document)
            case "missing":
                if (*path[:-1], _alias(path[-1])) not in mistyped:
                    yield _missing_key(path, document)
            case _ if path and path[-1] == "[key]":
                renamed += 1
                yield _bad_name(path[:-1], document, rename=renamed <= MOST_RENAMED)
            case _:
                hint, fix = expected(detail, path)
                yield document.problem("bad-value", path, wording(detail, path), hint, fixes=fix)


def _misplaced(details: Collection[Detail], document: Document, parameters: Parameters) -> dict[Path, list[str]]:
    """Returns the parameters of actions that are written beside ``with`` instead of under it, by step."""
    found: dict[Path, list[str]] = {}
    for detail in details:
        path = detail["loc"]
        if detail["type"] == "extra_forbidden" and len(path) == 3 and path[0] in ("steps", "finally"):
            uses = document.value((*path[:2], "uses"))
            held = document.value((*path[:2], "with"))
            known = parameters(uses) if isinstance(uses, str) else ()
            value = document.value(path)
            is_with = isinstance(value, dict) and set(value) <= set(known) and not isinstance(held, dict)
            if path[-1] in known and not is_with:
                found.setdefault(path[:2], []).append(path[-1])
    return found


def _beside(step: Path, names: list[str], document: Document) -> Problem:
    """Returns the one problem of the parameters of a step that are beside ``with``."""
    held = document.value((*step, "with"))
    fix: Fixes = () if document.has((*step, "with")) else fixes.added((*step, "with"), {})
    for name in names:
        fix += fixes.moved((*step, name), (*step, "with", name))
    if held is not None and (not isinstance(held, dict) or not held.keys().isdisjoint(names)):
        fix = ()
    listed = suggest.few([f'"{name}"' for name in names])
    several = "parameters" if len(names) > 1 else "a parameter"
    message = f"{listed} {'are' if len(names) > 1 else 'is'} {several} of {document.value((*step, 'uses'))}"
    hint = f'write {"them" if len(names) > 1 else "it"} under "with"'
    return document.problem("unknown-key", (*step, names[0]), message, hint, key=True, fixes=fix)


def _unknown_key(path: Path, document: Document) -> Problem:
    known, beside = _keys_at(path[:-1]), document.value(path[:-1]) or ()
    other = _elsewhere(path, document.value(path), beside)
    hint, fix = other or (suggest.hint(str(path[-1]), known, most=20), fixes.renamed(path, known, beside))
    return document.problem("unknown-key", path, f'unknown key "{path[-1]}"', hint, key=True, fixes=fix)


def _missing_key(path: Path, document: Document) -> Problem:
    parent = path[:-1]
    fix = fixes.added(path, 1) if path == ("version",) else ()
    message = f'the key "{_alias(path[-1])}" is missing'
    return document.problem("missing-key", parent, message, key=bool(parent), fixes=fix)


def _bad_name(path: Path, document: Document, *, rename: bool) -> Problem:
    """Returns the problem of a name. Where only the characters are wrong, the fix renames it wherever it is used."""
    name = str(path[-1])
    message = f'"{name[:80]}" is not a name: letters, digits and "_", at most 64, not starting with a digit'
    meant, beside = re.sub(r"[\s.-]+", "_", name.strip()), document.value(path[:-1])
    hint: str | None = None
    fix: Fixes = ()
    if rename and meant != name and re.match(IDENTIFIER, meant) and meant not in beside:
        hint = f'write "{meant}"'
        fix = fixes.moved(path, (*path[:-1], meant))
        if len(path) == 2:
            fix += tuple(_renamed(document.data, (), str(path[0]), name, meant))
    return document.problem("bad-name", path, message, hint, key=True, fixes=fix)


def _renamed(value: Any, path: Path, section: str, name: str, meant: str) -> Iterator[Operation]:
    """Yields the operations that rename a step or parameter in expressions and in ``needs``."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _renamed(item, (*path, key), section, name, meant)
    elif isinstance(value, str):
        root = "params" if section == "params" else "steps"
        changed = re.sub(rf"(?<![\w.]){root}\.{re.escape(name)}(?![\w-])", f"{root}.{meant}", value)
        if root == "steps" and value == name and len(path) > 2 and path[2] == "needs":
            changed = meant
        if changed != value and path[:2] != (section, name):
            yield from fixes.replaced(path, changed)


def _meant_keys(path: Path, document: Document) -> set[str]:
    """Returns the keys that an unknown one must have meant or is around, if that is certain."""
    other = _elsewhere(path, document.value(path), document.value(path[:-1]) or ())
    if other is not None:
        return {fix.path.rpartition("/")[2] for fix in other[1]}
    certain = suggest.certain(str(path[-1]), _keys_at(path[:-1]))
    return {certain} if certain else set()


def _elsewhere(path: Path, value: Any, beside: Collection[str]) -> tuple[str, Fixes] | None:
    """Returns the hint and the fix for a key that other tools use in this position."""
    from e2i.spec import synonyms

    match path[:-1]:
        case () if isinstance(value, dict) and "steps" in value and {*value} <= {*_keys_at(())} - {*beside}:
            return f'write what is in "{path[-1]}" at the top level', fixes.unwrapped(path, value)
        case ():
            return synonyms.spec_key(path, value, beside)
        case ("steps" | "finally", _):
            return synonyms.step_key(path, value, beside)
    return None


def _keys_at(path: Path) -> list[str]:
    """Returns the keys allowed in a mapping at this path of a spec."""
    match path:
        case ():
            model: type[BaseModel] = PipelineSpec
        case ("params", _):
            model = ParamSpec
        case ("defaults",):
            model = StepOptions
        case ("steps" | "finally", _):
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


CODES = (
    Code(
        "bad-name",
        "An invalid name",
        "Names of steps, parameters and outputs are used in expressions: letters, digits and `_`, at most 64, no digit "
        "first.",
        "Use `_` instead of other characters.",
        "steps:\n  load-data: {uses: debug.echo}\n",
        "steps:\n  load_data: {uses: debug.echo}\n",
    ),
    Code(
        "bad-value",
        "A value that this key does not accept",
        "The value has the wrong type, is out of range, or is not one of the allowed values.",
        "The message lists the accepted values. `e2i schema` shows all of them.",
        "steps:\n  a: {uses: debug.echo, on_error: ignore}\n",
        "steps:\n  a: {uses: debug.echo, on_error: continue}\n",
    ),
    Code(
        "missing-key",
        "A missing key",
        "A pipeline needs `version`, `name` and `steps`. A step needs `uses`. A parameter needs `type`.",
        "Add the key.",
        "steps:\n  a: {with: {value: 1}}\n",
        "steps:\n  a: {uses: debug.echo, with: {value: 1}}\n",
    ),
    Code(
        "unknown-key",
        "An unknown key",
        "An unknown key would otherwise be ignored, and have no effect.",
        "Correct the key. Parameters of an action belong under `with:`.",
        "steps:\n  a: {uses: debug.echo, need: []}\n",
        "steps:\n  a: {uses: debug.echo, needs: []}\n",
    ),
)
