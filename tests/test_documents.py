"""Structs of documents: what is written, and its JSON Schema."""

from __future__ import annotations

import ast
import re
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from e2i.documents import Digest, Element, JsonDocument, json_schema, plain


class Part(Element, frozen=True, kw_only=True):
    digest: Digest
    note: str | UnsetType = UNSET


class Whole(JsonDocument, frozen=True, kw_only=True, tag_field="event", tag="whole.done"):
    """A document."""

    count: Annotated[int, Meta(ge=0, description="Number of parts.")] = 0
    parts: tuple[Part, ...] = ()


def test_a_document_is_written_with_its_version_and_without_unset_fields() -> None:
    digest = "sha256:" + "0" * 64
    assert plain(Whole(parts=[Part(digest=digest)])) == {
        "event": "whole.done",
        "schema_version": 1,
        "count": 0,
        "parts": [{"digest": digest}],
    }


def test_the_schema_requires_all_fields_that_are_always_written() -> None:
    schema = json_schema(Whole, "whole", "e2i whole, version 1")
    assert schema["$id"] == "whole.v1.json"
    assert schema["$defs"]["Whole"]["required"] == ["event", "schema_version", "count", "parts"]
    assert schema["$defs"]["Part"]["required"] == ["digest"]
    assert schema["$defs"]["Whole"]["properties"]["count"] == {
        "type": "integer",
        "minimum": 0,
        "description": "Number of parts.",
    }


OPEN = ("dict[str, Any]", "dict[str, object]", "Mapping[str, Any]", "Mapping[str, object]")
ALIASES = ("Values", "JsonObject", "JsonSchema")
ROOT = Path(__file__).parents[1]


def open_mappings(text: str) -> int:
    """The number of types in a module that are mappings with open keys."""
    return sum(
        (isinstance(node, ast.Subscript) and ast.unparse(node) in OPEN)
        or (isinstance(node, ast.Name) and node.id in ALIASES and isinstance(node.ctx, ast.Load))
        for node in ast.walk(ast.parse(text))
    )


def test_open_mappings_are_listed_and_do_not_grow() -> None:
    listed = re.findall(r"^\| (`[a-z`, ]+`) \| (\d+) \|", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.M)
    bounds = {tuple(re.findall(r"[a-z]+", names)): int(bound) for names, bound in listed}
    found: Counter[str] = Counter()
    for path in (ROOT / "engine" / "e2i").rglob("*.py"):
        package = path.relative_to(ROOT / "engine" / "e2i").with_suffix("").parts[0]
        found[package] += open_mappings(path.read_text("utf-8"))
    del found["tools"]
    counts = {names: sum(found.pop(name) for name in names) for names in bounds}
    assert {names: count for names, count in counts.items() if count > bounds[names]} == {}
    assert +found == Counter(), "each package with open mappings is listed"


def test_open_mappings_are_found_in_every_form() -> None:
    assert open_mappings("def f(a: dict[str, Any], b: Values | None) -> list[Mapping[str, object]]: ...") == 3
    assert open_mappings("from e2i.documents import Values\nValues = 1\nx: Mapping[str, str]") == 0


class Colour(StrEnum):
    RED = "red"


class Strict(Element, frozen=True, kw_only=True, forbid_unknown_fields=True):
    colour: Colour


def test_the_schema_of_structs_without_a_tag_is_a_choice_of_them() -> None:
    schema = json_schema((Strict, Part), "either", "e2i either, version 1")
    assert schema["anyOf"] == [{"$ref": "#/$defs/Strict"}, {"$ref": "#/$defs/Part"}]
    assert "additionalProperties" not in schema["$defs"]["Strict"], "readers ignore unknown keys"
    assert "required" not in schema["$defs"]["Colour"]
