"""Loads a spec. In: its text. Out: the validated ``PipelineSpec`` and its ``Document``, or all problems of its
shape.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any

from msgspec import Struct, field
from pydantic import BaseModel, ValidationError

from e2i.spec import document, expressions, fixes, suggest
from e2i.spec.composer import MAX_PROBLEMS, Limits
from e2i.spec.document import Document
from e2i.spec.expressions import Template
from e2i.spec.models import ParamSpec, PipelineSpec, ResourcesSpec, RetrySpec, StepOptions, StepSpec
from e2i.spec.problems import Code, Fixes, Problem, most
from e2i.spec.references import Reference
from e2i.spec.validation import mistakes
from e2i.spec.wording import expected, wording

Path = tuple[str | int, ...]
Held = tuple[tuple[Path, Reference], ...]
"""References, each with the path of the text that contains it."""


class LoadedSpec(Struct, frozen=True):
    """A spec of valid shape, with the document that has the location of each value."""

    spec: PipelineSpec
    document: Document
    included: Mapping[str, LoadedSpec | None] = field(default_factory=dict)
    """The included specs of its steps, by ``uses``. None for one that could not be loaded."""

    _references: dict[tuple[str, str], Held] = field(default_factory=dict)
    """References found so far, by section and name of the step."""
    _plain: set[tuple[str, str]] = field(default_factory=set)
    """Steps among these whose parameters have no expression."""

    def references(self, section: str, name: str) -> Held:
        """Returns the references in the ``with`` and ``when`` of a step."""
        if (section, name) not in self._references:
            step = (self.spec.steps if section == "steps" else self.spec.finally_)[name]
            found = list(expressions.walk({"with": step.with_, "when": step.when}))
            if all(inside[0] != "with" for inside, _ in found):
                self._plain.add((section, name))
            self._references[section, name] = tuple(
                ((section, name, *inside), reference)
                for inside, template in found
                if isinstance(template, Template)
                for reference in template.references
            )
        return self._references[section, name]

    def is_plain(self, section: str, name: str) -> bool:
        """Returns True when the parameters of a step have no expression."""
        self.references(section, name)
        return (section, name) in self._plain

    def files(self) -> Iterator[LoadedSpec]:
        """Yields this spec and every spec that it includes, directly or not, each once."""
        seen: dict[str, LoadedSpec] = {}
        waiting: list[LoadedSpec] = [self]
        while waiting:
            loaded = waiting.pop(0)
            if loaded.document.file not in seen:
                seen[loaded.document.file] = loaded
                yield loaded
                waiting.extend(included_spec for included_spec in loaded.included.values() if included_spec)


def load(
    source: str | bytes | Mapping[str, Any], file: str, limits: Limits | None = None
) -> tuple[LoadedSpec | None, list[Problem]]:
    """Loads a spec from YAML text or from a mapping. Returns the spec or at least one problem."""
    if isinstance(source, Mapping):
        found, problems = document.from_mapping(source, file, limits)
    else:
        found, problems = document.read(source, file, limits)
    if found is None or problems:
        return None, problems
    try:
        spec = PipelineSpec.model_validate(found.data)
    except ValidationError as error:
        return None, most(list(islice(shape_problems(error, found), MAX_PROBLEMS + 1)))
    twice = [_twice(name, found) for name in spec.finally_ if name in spec.steps]
    return (None, twice) if twice else (LoadedSpec(spec, found), [])


def _twice(name: str, document: Document) -> Problem:
    path: Path = ("finally", name)
    message = f'"{name}" is defined under steps and under finally, but an id must be unique'
    return document.problem("duplicate-step", path, message, "rename one of the two", key=True)


def shape_problems(error: ValidationError, document: Document) -> Iterator[Problem]:
    """Yields pydantic's errors about a spec as problems, each with its location."""
    details = mistakes(error, document.data)
    # A mistyped key is one mistake: the missing right key is not reported separately.
    mistyped = {
        (*path[:-1], meant)
        for path in (detail["loc"] for detail in details if detail["type"] == "extra_forbidden")
        if (meant := _meant_key(path, document))
    }
    missing = [
        detail
        for detail in details
        if detail["type"] == "missing" and (*detail["loc"][:-1], _alias(detail["loc"][-1])) in mistyped
    ]
    known_missing = {detail["loc"] for detail in missing}
    return (
        _shape_problem(detail, document)
        for detail in details
        if detail["type"] != "missing" or detail["loc"] not in known_missing
    )


def _meant_key(path: Path, document: Document) -> str | None:
    """Returns the key that an unknown one must have meant, if that is certain."""
    other = _elsewhere(path, document.value(path), document.value(path[:-1]) or ())
    if other is not None:
        return next((str(fix["path"]).rpartition("/")[2] for fix in other[1]), None)
    return suggest.certain(str(path[-1]), _keys_at(path[:-1]))


def _elsewhere(path: Path, value: Any, beside: Collection[str]) -> tuple[str, Fixes] | None:
    """Returns the hint and the fix for a key that other tools use in this position."""
    from e2i.spec import synonyms

    match path[:-1]:
        case ():
            return synonyms.spec_key(path, value, beside)
        case ("steps" | "finally", _):
            return synonyms.step_key(path, value, beside)
    return None


def _shape_problem(detail: Any, document: Document) -> Problem:
    kind, path = detail["type"], tuple(detail["loc"])
    last = path[-1] if path else ""
    if kind == "extra_forbidden":
        known = _keys_at(path[:-1])
        beside = document.value(path[:-1]) or ()
        if (other := _elsewhere(path, document.value(path), beside)) is not None:
            said, renamed = other
            return document.problem("unknown-key", path, f'unknown key "{last}"', said, key=True, fixes=renamed)
        return document.problem(
            "unknown-key",
            path,
            f'unknown key "{last}"',
            suggest.hint(str(last), known, most=20),
            key=True,
            fixes=fixes.renamed(path, known, beside),
        )
    if kind == "missing":
        parent = path[:-1]
        version = {"op": "add", "path": "/version", "value": 1}
        return document.problem(
            "missing-key",
            parent,
            f'the key "{_alias(last)}" is missing',
            key=bool(parent),
            fixes=(version,) if path == ("version",) else (),
        )
    if path and path[-1] == "[key]":
        path = path[:-1]
        message = (
            f'"{str(path[-1])[:80]}" is not a name: letters, digits and "_", at most 64, not starting with a digit'
        )
        return document.problem("bad-name", path, message, key=True)
    hint, fix = expected(detail, path)
    return document.problem("bad-value", path, wording(detail, path), hint, fixes=fix)


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
    Code(
        "duplicate-step",
        "An id under steps and under finally",
        "Steps refer to each other by id, so each id must be unique in the file.",
        "Rename one of the two.",
        "steps:\n  a: {uses: debug.echo}\nfinally:\n  a: {uses: debug.echo}\n",
        "steps:\n  a: {uses: debug.echo}\nfinally:\n  b: {uses: debug.echo}\n",
    ),
)
