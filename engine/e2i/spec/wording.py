"""Words pydantic's validation errors for people, and proposes what was meant.

In: an error as ``validation`` returns it. Out: a sentence, a hint, a safe fix.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from e2i.spec import document, fixes, suggest
from e2i.spec.models import IDENTIFIER
from e2i.spec.problems import Fixes
from e2i.spec.scalars import show
from e2i.spec.validation import NO_FORM

Path = tuple[str | int, ...]
Proposal = tuple[str | None, Fixes]
"""A hint and a safe fix."""

_MAPPING_TYPES = ("model_type", "model_attributes_type", "dict_type", "mapping_type")
_STUCK = re.compile(r"(?P<key>[A-Za-z_]\w*):(?P<value>[^\s/:].*)", re.DOTALL)
"""An entry without the space after its colon, which YAML reads as text."""
_BRACES = re.compile(r"\s*\$?\{\{?\s*(?P<inside>[^{}]+?)\s*\}\}?\s*")
"""An expression that lacks one of its delimiters."""
_OTHER_MARKS = re.compile(r"\s*\W+\s*(?P<inside>(?:steps|params|matrix|env)(?:\.\w+)+)\s*\W*")
"""A reference between the marks of another language: ``$(steps.a.b)``, ``<% params.n %>``."""
_NAME = re.compile(r"[A-Za-z_][\w./:-]*")
_ACTION = re.compile(r"[a-z_]+\.[a-z_]+|\.{1,2}/\S+\.ya?ml")
"""What a step ``uses``."""
_SHORT_FORMS = {"retry": "attempts", "resources": "threads"}
"""Mappings for which a number is often written, with the key that the number is for."""
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
    "sequence_str": "list",
}
"""Pydantic's error types → the expected type."""
_NO_TEXT = (*_MAPPING_TYPES, *(kind for kind, wanted in _WANTED.items() if wanted != "string"), NO_FORM)
"""Error types of a value that should not be text."""
_NOUNS = {
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "string": "text",
    "list": "a list",
}


def wording(detail: Any, path: Path) -> str:
    """Returns the message about the value at ``path`` as a sentence: ``"trials" should be …``."""
    given, said = detail["input"], _said(detail, path)
    if not isinstance(given, dict | list | tuple) and f'"{given}"' not in said and not _is_sentence(detail):
        said += f", not {show(given)}"
    return f'"{path[-1]}"{said}' if path else said.lstrip(" :")


def _is_sentence(detail: Any) -> bool:
    """Returns True for a message of our own, which names the value if that helps."""
    return detail["type"] == "value_error" or "meant" in detail.get("ctx", {})


def _said(detail: Any, path: Path) -> str:
    """Returns the sentence without its subject, which is the value."""
    kind, said = detail["type"], detail["msg"]
    if kind == "value_error":
        return f": {said.removeprefix('Value error, ')}"
    if kind == NO_FORM:
        forms = map(_form, detail["ctx"]["kinds"], detail["ctx"]["said"])
        return f" should be {' or '.join(dict.fromkeys(forms))}"
    if kind in _MAPPING_TYPES or kind in _WANTED:
        return f" should be {_noun(kind)}"
    if kind == "string_pattern_mismatch" and path == ("name",):
        return ' should have only letters, digits, "-" and "_", at most 64, and begin with a letter or digit'
    if kind == "is_instance_of":
        return " has another type than is expected here"
    said = said.replace(" after validation", "")
    return _SUBJECT.sub(" should", said) if _SUBJECT.match(said) else f": {said}"


_SUBJECT = re.compile(r"^(Input|String|List|Tuple|Dictionary|Set|Value|Data) should")


def _form(kind: str, said: str) -> str:
    """Returns what one form of a value should be: its type or, of a value of that type, its limit."""
    is_limit = kind not in _MAPPING_TYPES and kind not in _WANTED and said.startswith(_LIMIT)
    return said.removeprefix(_LIMIT) if is_limit else _noun(kind)


_LIMIT = "Input should be "


def _noun(kind: str) -> str:
    if kind in _MAPPING_TYPES:
        return "a mapping"
    return _NOUNS.get(_WANTED.get(kind, ""), "another value")


def expected(detail: Any, path: Path) -> Proposal:
    """Returns the hint and the safe fix for the value at ``path``, as far as the intended value is clear."""
    if "meant" in detail.get("ctx", {}):
        meant = detail["ctx"]["meant"]
        return None, () if meant is None else fixes.replaced(path, meant)
    for propose in _PROPOSALS:
        if found := propose(detail["type"], detail["input"], path, detail):
            return found
    return None, fixes.instead(path, fixes.meant(detail["input"], _WANTED.get(detail["type"], "")))


def _choice(kind: str, given: Any, path: Path, detail: Any) -> Proposal | None:
    if kind not in ("literal_error", "enum"):
        return None
    allowed = detail["ctx"]["expected"]
    meant = given[0] if _is_one(given) and given[0] in fixes.choices(allowed) else fixes.choice(given, allowed)
    if meant is not fixes.MISSING:
        return f"write {meant}", fixes.replaced(path, meant)
    return suggest.hint(given, fixes.choices(allowed), most=0) if isinstance(given, str) else None, ()


def _amount(kind: str, given: Any, path: Path, detail: Any) -> Proposal | None:
    """A duration or an amount of memory."""
    if kind != "value_error":
        return None
    if "is not a duration" in detail["msg"]:
        meant = fixes.duration(given)
        return f"write {meant}" if meant and not isinstance(given, str) else None, fixes.instead(
            path, meant or fixes.MISSING
        )
    if "is not an amount of memory" in detail["msg"]:
        return None, fixes.instead(path, fixes.size(given) or fixes.MISSING)
    return None


def _entry(kind: str, given: Any, path: Path, detail: Any) -> Proposal | None:
    """An entry without the space after its colon."""
    if kind not in _MAPPING_TYPES or not isinstance(given, str) or not (stuck := _STUCK.fullmatch(given)):
        return None
    found, problems = document.read_value(stuck["value"], "")
    return 'write a space behind the ":"', () if problems else fixes.replaced(path, {stuck["key"]: found})


def _expression(kind: str, given: Any, path: Path, detail: Any) -> Proposal | None:
    """An expression that lacks one of its delimiters."""
    if kind not in _NO_TEXT or not isinstance(given, str):
        return None
    braces = _BRACES.fullmatch(given) or _OTHER_MARKS.fullmatch(given)
    if braces is None:
        return None
    expression = f"${{{{ {braces['inside']} }}}}"
    return f'write the expression as "{expression}"', fixes.replaced(path, expression)


def _only(kind: str, given: Any, path: Path, detail: Any) -> Proposal | None:
    """A list of one text where one of several forms belongs, of which a text is one."""
    if kind != NO_FORM or "string_type" not in detail["ctx"]["kinds"] or not _is_one(given):
        return None
    return f"write {show(given[0])}", fixes.replaced(path, given[0])


def _is_one(given: Any) -> bool:
    """Returns whether a value is a list of one text."""
    return isinstance(given, list) and len(given) == 1 and isinstance(given[0], str)


def _short(kind: str, given: Any, path: Path, detail: Any) -> Proposal | None:
    """One value where a mapping belongs."""
    if kind not in _MAPPING_TYPES or not path or isinstance(given, dict | list):
        return None
    is_number = isinstance(given, int) and not isinstance(given, bool)
    match path:
        case ("params", _) if isinstance(given, str | int | float):
            return f"write {{type: {_type_of(given)}, default: {json.dumps(given, ensure_ascii=False)}}}", ()
        case ("steps" | "finally", _) if isinstance(given, str) and _ACTION.fullmatch(given):
            return f"write {{uses: {given}}}", fixes.replaced(path, {"uses": given})
        case (*_, "retry" | "resources" as key) if is_number:
            return f"write {{{_SHORT_FORMS[key]}: {given}}}", fixes.replaced(path, {_SHORT_FORMS[key]: given})
    return None


def _range(kind: str, given: Any, path: Path, detail: Any) -> Proposal | None:
    """The range of a hyperparameter, written as a list or as its only value."""
    if kind not in _MAPPING_TYPES or path[-2:-1] != ("space",) or isinstance(given, dict):
        return None
    values = given if isinstance(given, list) else [given]
    if not values or not all(isinstance(value, bool | int | float | str | None) for value in values):
        return None
    choices = f"{{type: categorical, choices: {json.dumps(values, ensure_ascii=False)}}}"
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(values) == 2 and len(numbers) == 2 and numbers[0] < numbers[1]:
        name = "int" if all(isinstance(value, int) for value in numbers) else "float"
        between = f"{{type: {name}, low: {numbers[0]}, high: {numbers[1]}}}"
        return f"write {between} for the numbers between them, or {choices}", ()
    return f"write {choices}", ()


def _listed(kind: str, given: Any, path: Path, detail: Any) -> Proposal | None:
    """A list where a mapping belongs: of steps with their ids, or of mappings that together are the one meant."""
    if kind not in _MAPPING_TYPES or not isinstance(given, list) or not given:
        return None
    if not all(isinstance(item, dict) and item for item in given):
        return None
    if path in (("steps",), ("finally",)):
        key = "id" if all("id" in item for item in given) else "name"
        names = [item.get(key) for item in given]
        meant = {item.get(key): {name: value for name, value in item.items() if name != key} for item in given}
        hint = "write each step under its id: {ID: {uses: …}}"
        if not all(isinstance(name, str) and re.match(IDENTIFIER, name) for name in names):
            return hint, ()
    else:
        names = [name for item in given for name in item]
        meant = {name: value for item in given for name, value in item.items()}
        hint = 'write the entries without "- "'
    return hint, fixes.replaced(path, meant) if len(set(names)) == len(names) else ()


def _one(kind: str, given: Any, path: Path, detail: Any) -> Proposal | None:
    """One value where a list belongs."""
    if kind in ("list_type", "tuple_type") and isinstance(given, str) and _NAME.fullmatch(given):
        return f"write [{given}]", fixes.replaced(path, [given])
    return None


_PROPOSALS: tuple[Callable[[str, Any, Path, Any], Proposal | None], ...] = (
    *(_choice, _amount, _entry, _expression, _short, _range, _listed, _one, _only),
)


def _type_of(value: str | int | float) -> str:
    """Returns the type of a parameter with this default."""
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
