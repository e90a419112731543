"""Loads a spec. In: its text. Out: the validated ``PipelineSpec`` and its ``Document``, and all problems of its
shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace
from pydantic import ValidationError

from e2i.documents import Values
from e2i.spec import document, expressions
from e2i.spec.composer import MAX_PROBLEMS, Limits
from e2i.spec.document import Document
from e2i.spec.expressions import Template
from e2i.spec.models import IDENTIFIER, PipelineSpec
from e2i.spec.problems import Code, Problem, most
from e2i.spec.references import Reference

if TYPE_CHECKING:
    from e2i.spec.shape import Parameters

Path = tuple[str | int, ...]
_NAMED = re.compile(r"\b(?:steps|params)\.([\w-]+)")
Held = tuple[tuple[Path, Reference], ...]
"""References, each with the path of the text that contains it."""


class LoadedSpec(Struct, frozen=True):
    """A spec of valid shape, with the document that has the location of each value."""

    spec: PipelineSpec
    document: Document
    included: Mapping[str, LoadedSpec | None] = field(default_factory=dict)
    """The included specs of its steps, by ``uses``. None for one that could not be loaded."""
    unjudged: frozenset[str] = frozenset()
    """Names of steps and parameters that are left out, because their own problems are reported. A reference to one of
    them is no problem."""
    unknown: frozenset[tuple[str, str]] = frozenset()
    """Steps, by section and name, with a parameter that cannot be read and is replaced by one that is not known."""
    is_whole: bool = True
    """False when something is left out."""

    _references: dict[tuple[str, str], Held] = field(default_factory=dict)
    """References found so far, by section and name of the step."""
    _plain: set[tuple[str, str]] = field(default_factory=set)
    """Steps among these whose parameters have no expression."""

    def references(self, section: str, name: str) -> Held:
        """Returns the references in the ``with`` and ``when`` of a step."""
        if (section, name) not in self._references:
            step = (self.spec.steps if section == "steps" else self.spec.finally_)[name]
            found = list(expressions.walk({"with": step.with_, "when": step.when}))
            if (section, name) not in self.unknown and all(inside[0] != "with" for inside, _ in found):
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

    def is_unjudged(self, path: Path) -> bool:
        """Returns True when the text at ``path`` names a step or parameter whose name no expression can have."""
        if not self.unjudged:
            return False
        named = _NAMED.findall(str(self.document.value(path)))
        return any(name in self.unjudged and not re.match(IDENTIFIER, name) for name in named)

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
    source: str | bytes | Values,
    file: str,
    limits: Limits | None = None,
    parameters: Parameters = lambda uses: (),
) -> tuple[LoadedSpec | None, list[Problem]]:
    """Loads a spec from YAML text or from a mapping. Returns it as far as its shape is valid, and all problems.

    ``parameters`` returns the parameters of an action, to recognise those in a wrong position.
    """
    if isinstance(source, Mapping):
        found, problems = document.from_mapping(source, file, limits)
    else:
        found, problems = document.read(source, file, limits)
    if found is None and not isinstance(source, Mapping):
        found, problems = _fixed(source, file, limits, problems)
    if found is None:
        return None, problems
    try:
        loaded: LoadedSpec | None = LoadedSpec(PipelineSpec.model_validate(found.data), found)
    except ValidationError as error:
        from e2i.spec import salvage, shape  # only needed for a spec of invalid shape
        from e2i.spec.validation import mistakes

        details = mistakes(error, found.data)
        problems += list(islice(shape.problems(details, found, parameters), MAX_PROBLEMS + 1))
        rest = salvage.salvage(details, found.data, parameters)
        loaded = LoadedSpec(rest.spec, found, unjudged=rest.unjudged, is_whole=False) if rest else None
    if loaded is not None and (twice := loaded.spec.finally_.keys() & loaded.spec.steps.keys()):
        problems += [_twice(name, found) for name in loaded.spec.finally_ if name in twice]
        once = {name: step for name, step in loaded.spec.finally_.items() if name not in twice}
        loaded = replace(loaded, spec=loaded.spec.model_copy(update={"finally_": once}), is_whole=False)
    return loaded, most(problems)


def _fixed(
    source: str | bytes, file: str, limits: Limits | None, problems: list[Problem]
) -> tuple[Document | None, list[Problem]]:
    """Returns the document of a text after its safe fixes, if these make it readable, and its problems with edits."""
    from e2i.spec import text_fix  # only needed for a text that cannot be read

    try:
        text = (source if isinstance(source, str) else source.decode("utf-8")).removeprefix("\ufeff")
    except UnicodeDecodeError:
        return None, problems
    fixed, problems = text_fix.all_at_once(text, file, problems)
    return (None if fixed is None else document.read(fixed, file, limits)[0]), problems


def _twice(name: str, document: Document) -> Problem:
    path: Path = ("finally", name)
    message = f'"{name}" is defined under steps and under finally, but an id must be unique'
    return document.problem("duplicate-step", path, message, "rename one of the two", key=True)


CODES = (
    Code(
        "duplicate-step",
        "An id under steps and under finally",
        "Steps refer to each other by id, so each id must be unique in the file.",
        "Rename one of the two.",
        "steps:\n  a: {uses: debug.echo}\nfinally:\n  a: {uses: debug.echo}\n",
        "steps:\n  a: {uses: debug.echo}\nfinally:\n  b: {uses: debug.echo}\n",
    ),
)
