"""Structs of documents: what is written, and its JSON Schema."""

from __future__ import annotations

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
