"""Reads YAML text as plain data, within limits, and reports every error with its location.

In: decoded text. Out: dict, list, str, int, float, bool and None, and problems. Built on PyYAML's event stream and not
on its loaders: those recurse (the C one crashes on deep nesting), expand merge keys without end, keep the last of two
equal keys, and read YAML 1.1.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import yaml
from msgspec import Struct
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from e2i.documents import JsonObject
from e2i.spec import misread, scalars
from e2i.spec.positions import PARSER, Path, Spot, locate
from e2i.spec.problems import MOST, Code, Location, Problem, pointer

NOT_FINITE = "leave a bound out where there is none: plans, records and JSON have no such number"
MAX_PARAMS = 1_000
"""Parameters of one pipeline."""


class Limits(Struct, frozen=True):
    """Limits on the size of a document. The defaults allow a spec of 10,000 steps."""

    bytes: int = 8 * 2**20
    """Of the text."""
    values: int = 250_000
    """Mappings, lists and single values, keys not counted."""
    depth: int = 64
    """Of nesting, after aliases are followed."""
    aliased: int = 2**20
    """Approximate number of characters by which the document would grow with every alias expanded."""
    params: int = MAX_PARAMS
    """Entries of the top-level ``params``. They are counted while they are read, so that too many cost little."""


MAX_PROBLEMS = MOST
"""Number of problems after which reading stops: such a text is not a spec, and each problem takes memory."""


def compose(text: str, file: str, limits: Limits) -> tuple[Any, list[Problem]]:
    """Returns the data of the one document in ``text``. Equal aliases share one object: treat the data as read-only.

    A document with problems has no usable data. An empty text gives None and one problem.
    """
    composer = _Composer(file, limits, text)
    try:
        composer.run()
    except GiveUpError:
        pass
    except yaml.YAMLError as error:
        from e2i.spec import syntax  # takes longer to load than a short spec to read

        report = syntax.explain(error, text, file)
        # A syntax error that breaks the line also leaves its expression unclosed. One message is enough.
        composer.problems = [known for known in composer.problems if known.location.line != report.location.line]
        composer.problems.append(report)
    if not composer.problems:
        composer.problems += misread.find(text, file)
    return composer.root, composer.problems


class GiveUpError(Exception):
    """Reading stops: the rest of the text cannot be understood, or there are more errors than anybody reads."""


class _Composer:
    """The state of one pass: the open collections and the problems found so far."""

    def __init__(self, file: str, limits: Limits, text: str) -> None:
        self.file = file
        self.limits = limits
        self.text = text
        self.root: Any = None
        self.problems: list[Problem] = []
        # The collection being filled, its next key, and the same for every enclosing collection.
        self.container: Any = None
        self.key: str | None = None
        self.stack: list[tuple[Any, str | None]] = []
        self.anchors: JsonObject = {}
        self.sizes: dict[int, tuple[int, int]] = {}
        self.aliased = 0
        self.values = 0

    def run(self) -> None:
        documents = 0
        event: Any
        # Tests are ordered by frequency: reading a spec spends its time in this loop.
        for event in yaml.parse(self.text, Loader=PARSER):
            kind = event.__class__
            if kind is ScalarEvent:
                container = self.container
                if container.__class__ is dict and self.key is None:
                    self.key = self.read_key(event)
                else:
                    value = self.read_scalar(event)
                    if container.__class__ is dict:
                        container[self.key] = value
                        self.key = None
                    elif container.__class__ is list:
                        container.append(value)
                    else:
                        self.root = value
            elif kind is MappingStartEvent:
                self.open(event, {})
            elif kind is SequenceStartEvent:
                self.open(event, [])
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                self.container, self.key = self.stack.pop()[0], None
            elif kind is AliasEvent:
                self.add_value(event, self.follow(event))
            elif kind is DocumentStartEvent:
                documents += 1
                self.begin(event, documents)
        if not documents:
            self.problems.append(
                Problem("empty", "the file is empty", Location(self.file, 1, 1), "", "a spec starts with version: 1")
            )

    def count(self, event: Any) -> None:
        """Stops when there are too many values. Each value costs time in every later stage."""
        self.values += 1
        if self.values > self.limits.values:
            message = f"there are more than {self.limits.values:,} values"
            self.stop(event, "too-large", message, hint="keep data in files of their own, which steps read")

    def begin(self, event: Any, number: int) -> None:
        if number > 1:
            self.stop(event, "multiple-documents", "a second document starts here", hint='remove the "---"')
        if event.version is not None and event.version < (1, 2):
            self.report(event, "yaml-version", "this is read as YAML 1.2, not 1.1", hint="remove the %YAML line")

    def read_key(self, event: Any) -> str:
        """Reads a mapping key, which must be text and new."""
        text: str = event.value
        if event.tag is not None or event.anchor is not None:
            self.decorated(event, text)
        if event.implicit[0]:
            if text == "<<":
                self.report(event, "merge-key", 'merge keys ("<<") are not supported', hint="write the keys out")
            elif not self.is_text(text):
                short = scalars.shorten(text)
                self.report(event, "key-type", f"the key {short or '(empty)'} is not text", hint=f'quote it: "{short}"')
            elif ":" in text:
                self.check_stuck(event, text)
        else:
            self.check_characters(event)
        if len(text) > scalars.LONGEST_KEY:
            self.report(event, "key-type", f"a key longer than {scalars.LONGEST_KEY:,} characters")
            text = scalars.shorten(text)
        if text in self.container:
            self.duplicate(event, text)
        if len(self.stack) == 2 and len(self.container) >= self.limits.params:
            self.check_params(event)
        return text

    def check_params(self, event: Any) -> None:
        """Stops when the mapping that has become too long is ``params``."""
        if self.container is self.root.get("params"):
            self.stop(event, "bad-value", f'"params" has more than {self.limits.params:,} entries')

    def check_stuck(self, event: Any, text: str) -> None:
        """Reports a key of the form ``key:{…``, which lacks a space."""
        from e2i.spec import error_source, syntax

        if error_source.STUCK.match(text):
            self.report(event, "yaml-syntax", syntax.NO_SPACE.message, hint=syntax.NO_SPACE.hint)

    def duplicate(self, event: Any, text: str) -> None:
        path = (*self.path(), text)
        spot, depth = self.spots.find(path) if self.spots else (None, 0)
        first = f", first used on line {spot.key_line}" if spot is not None and depth == len(path) else ""
        self.report(event, "duplicate-key", f'duplicate key "{scalars.shorten(text)}"{first}', key=text)

    @cached_property
    def spots(self) -> Spot | None:
        return locate(self.text)

    def read_scalar(self, event: Any) -> scalars.Scalar:
        self.count(event)
        text: str = event.value
        value: scalars.Scalar = text
        if event.implicit[0]:
            try:
                value = scalars.resolve(text)
            except scalars.ScalarError as error:
                self.report(event, "number", str(error))
            if value.__class__ is float and not math.isfinite(value):
                self.report(event, "number", f"{text} is not a finite number", hint=NOT_FINITE)
            if "${{" in text and "}}" not in text and "$${{" not in text:
                from e2i.spec.syntax import QUOTE_EXPRESSION

                self.report(event, "unclosed-expression", 'this "${{" is never closed', hint=QUOTE_EXPRESSION)
        elif event.style == '"':
            self.check_characters(event)
        if event.tag is not None or event.anchor is not None:
            self.decorated(event, value)
        return value

    def open(self, event: Any, container: Any) -> None:
        """Opens a collection and adds it to its parent at once, so that its path is known while it is filled."""
        self.count(event)
        if event.tag is not None or event.anchor is not None:
            self.decorated(event, container)
        key = self.key
        self.add_value(event, container)
        self.stack.append((self.container, key))
        self.container, self.key = container, None
        if len(self.stack) > self.limits.depth:
            self.stop(event, "too-deep", f"nested more than {self.limits.depth} levels deep")

    def add_value(self, event: Any, value: Any) -> None:
        container = self.container
        if container.__class__ is dict:
            if self.key is None:
                message = "a key must be text, not a mapping, a list or an alias"
                self.stop(event, "key-type", message, hint='an expression is written "${{ … }}", in quotes')
            container[self.key] = value
            self.key = None
        elif container.__class__ is list:
            container.append(value)
        else:
            self.root = value

    def decorated(self, event: Any, value: Any) -> None:
        """Refuses a tag, and remembers an anchor."""
        if event.tag is not None:
            self.report(event, "tag", f'tags are not supported: "{scalars.shorten(event.tag)}"', hint="remove the tag")
        if event.anchor is not None:
            self.anchors[event.anchor] = value

    def follow(self, event: Any) -> Any:
        """Returns the value of an alias, after checking that it is finite and small enough when expanded."""
        self.count(event)
        name = scalars.shorten(event.anchor)
        if event.anchor not in self.anchors:
            self.report(
                event, "alias", f'there is no anchor "&{name}" before this alias', hint=f'quote "*{name}" if it is text'
            )
            return None
        value = self.anchors[event.anchor]
        around = [self.container, *(container for container, _ in self.stack)]
        if isinstance(value, dict | list) and any(value is container for container in around):
            self.stop(event, "alias", f'the alias "*{name}" is inside its own anchor')
        size, height = self.measure(value)
        self.aliased += size
        if self.aliased > self.limits.aliased:
            message = f"aliases would make the document more than {self.limits.aliased:,} characters longer"
            self.stop(event, "alias", message, hint="use fewer aliases")
        if len(self.stack) + height > self.limits.depth:
            self.stop(event, "too-deep", f"nested more than {self.limits.depth} levels deep, with aliases followed")
        return value

    def measure(self, value: Any) -> tuple[int, int]:
        """Returns the number of characters that a value takes when expanded, and its levels of nesting.

        Each collection is measured once. Recursion is bounded, because aliased values are under the depth limit too.
        """
        if not isinstance(value, dict | list):
            return 8 + len(value) if isinstance(value, str) else 8, 0
        if id(value) not in self.sizes:
            items = [self.measure(item) for item in (value.values() if isinstance(value, dict) else value)]
            keys = sum(8 + len(key) for key in value) if isinstance(value, dict) else 0
            size = 8 + keys + sum(size for size, _ in items)
            self.sizes[id(value)] = size, 1 + max((height for _, height in items), default=0)
        return self.sizes[id(value)]

    def is_text(self, text: str) -> bool:
        try:
            return isinstance(scalars.resolve(text), str)
        except scalars.ScalarError:
            return False

    def check_characters(self, event: Any) -> None:
        """Checks double-quoted text: only its escapes can add characters that the search of the whole text did not
        see.
        """
        if event.style == '"' and (offset := scalars.forbidden(event.value)) is not None:
            self.report(event, "bad-character", f"{scalars.character(event.value[offset])} is not allowed in text")

    def report(self, event: Any, code: str, message: str, *, hint: str | None = None, key: str | None = None) -> None:
        path = self.path() if key is None else (*self.path(), key)
        location = Location(self.file, event.start_mark.line + 1, event.start_mark.column + 1)
        self.problems.append(Problem(code, message, location, pointer(path), hint))
        if len(self.problems) >= MAX_PROBLEMS:
            raise GiveUpError

    def stop(self, event: Any, code: str, message: str, *, hint: str | None = None) -> None:
        self.report(event, code, message, hint=hint)
        raise GiveUpError

    def path(self) -> Path:
        """The path of the value being read."""
        steps: list[str | int] = []
        for container, key in [*self.stack[1:], (self.container, self.key)]:
            if isinstance(container, list):
                # A collection is added to its list before it is filled, so every list but the innermost is one ahead.
                steps.append(len(container) - (container is not self.container))
            elif key is not None:
                steps.append(key)
        return tuple(steps)


CODES = (
    Code(
        "alias",
        "An invalid alias",
        "`*name` repeats the value marked with `&name` earlier in the file. The anchor must exist and must not contain "
        "the alias. All aliases expanded must stay within limits, because a few lines can otherwise expand to "
        "gigabytes.",
        "Add `&name` to the value before the alias. Quote text that starts with `*`.",
        "steps:\n  a: {uses: debug.echo, with: {value: *text}}\n",
        "steps:\n  a: {uses: debug.echo, with: {value: &text hello}}\n  b: {uses: debug.echo, with: {value: *text}}\n",
    ),
    Code(
        "duplicate-key",
        "A key that occurs twice in one mapping",
        "YAML parsers disagree about which of the two counts, so neither is used.",
        "Remove or rename one of them. `e2i fix` removes an exact repetition.",
        "steps:\n  a: {uses: debug.echo}\n  a: {uses: debug.sleep, with: {seconds: 1}}\n",
        "steps:\n  a: {uses: debug.echo}\n  b: {uses: debug.sleep, with: {seconds: 1}}\n",
    ),
    Code(
        "key-type",
        "A key that is not text",
        "Keys are names. `1:`, `true:` and `null:` are a number, a boolean and null. `{{ … }}` is a mapping used as a "
        "key.",
        'Quote the key, or write an expression as "${{ … }}".',
        "steps:\n  a: {uses: debug.echo, with: {value: {1: one}}}\n",
        'steps:\n  a: {uses: debug.echo, with: {value: {"1": one}}}\n',
    ),
    Code(
        "merge-key",
        "A merge key",
        "`<<` is not part of YAML 1.2, and merges can hide the actual parameters of a step.",
        "Write the keys out, or put keys shared by all steps under `defaults:`.",
        "steps:\n  a: &base {uses: debug.echo}\n  b: {<<: *base}\n",
        "steps:\n  a: {uses: debug.echo}\n  b: {uses: debug.echo}\n",
    ),
    Code(
        "multiple-documents",
        "More than one document in a file",
        "`---` starts another document. A file contains one pipeline.",
        "Remove the `---`, or move the second pipeline to a file of its own.",
        "steps:\n  a: {uses: debug.echo}\n---\nversion: 1\n",
        "steps:\n  a: {uses: debug.echo}\n",
    ),
    Code(
        "number",
        "A number that cannot be held",
        "Integers have 64 bits, other numbers double precision. A larger number would be changed silently.",
        "Quote it if it is a text, such as an identifier.",
        "steps:\n  a: {uses: debug.echo, with: {value: 99999999999999999999}}\n",
        'steps:\n  a: {uses: debug.echo, with: {value: "99999999999999999999"}}\n',
    ),
    Code(
        "tag",
        "A tag",
        "`!name` asks a YAML reader to build an object. A spec is plain data.",
        "Remove the tag. Quote text that starts with `!`.",
        "steps:\n  a: {uses: debug.echo, with: {value: !env HOME}}\n",
        'steps:\n  a: {uses: debug.echo, with: {value: "!env HOME"}}\n',
    ),
    Code(
        "unclosed-expression",
        'An expression without its "}}"',
        "The text holds `${{` and no `}}`. Often a ` #` in the expression has begun a comment.",
        'Close the expression, and put it in quotes: "${{ … }}".',
        "params:\n  n: {type: integer, default: 1}\n"
        "steps:\n  a: {uses: debug.echo, with: {value: '${{ params.n'}, when: \"${{ params.n > 0 }}\"}\n"
        "  b:\n    uses: debug.echo\n    with:\n      value: ${{ params.n\n",
        "params:\n  n: {type: integer, default: 1}\n"
        "steps:\n  b:\n    uses: debug.echo\n    with:\n      value: ${{ params.n }}\n",
    ),
    Code(
        "yaml-version",
        "A %YAML line for another version",
        "Specs are YAML 1.2, in which `no` is a text and `0o17` a number.",
        "Remove the %YAML line.",
        "%YAML 1.1\n---\nversion: 1\nname: example\nsteps:\n  a: {uses: debug.echo}\n",
        "version: 1\nname: example\nsteps:\n  a: {uses: debug.echo}\n",
    ),
)
