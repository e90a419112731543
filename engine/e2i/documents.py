"""Base and field types of the JSON documents and records that e2i writes. Each is defined once, as a struct.

In: structs with described fields. Out: plain data for JSON, and JSON Schemas. Readers ignore unknown keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, overload

import msgspec
from msgspec import UNSET, Meta, Struct

T = TypeVar("T")
JsonObject = dict[str, Any]
"""An object with any keys, as JSON has it: what is written, or was read and is not checked yet."""
Values = Mapping[str, Any]
"""Values by name, where only a spec or an action knows the names: parameters, outputs, the scope of an expression."""
JsonSchema = dict[str, Any]
"""A JSON Schema, or a part of one."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"

Version = Annotated[Literal[1], Meta(description="Version of this document type.")]
Pointer = Annotated[str, Meta(pattern="^(/[^/]*)*$", description="JSON pointer (RFC 6901) into the spec.")]
Digest = Annotated[str, Meta(pattern="^sha256:[0-9a-f]{64}$")]
Count = Annotated[int, Meta(ge=0)]
Milliseconds = Annotated[int, Meta(description="Milliseconds since the epoch.")]


class ParamValues(dict[str, Any]):
    """Values of parameters by name: of a pipeline, or of a step. A value is plain data, or as far as it is known."""

    __slots__ = ()


class OutputValues(dict[str, Any]):
    """Values of outputs by name, as plain data: of a step, or of a pipeline. An artifact is its document."""

    __slots__ = ()


def read(value: Any, kind: type[T]) -> T:
    """Returns plain data as a struct. Raises ``msgspec.ValidationError``."""
    return msgspec.convert(value, kind, dec_hook=made)


def made(kind: type[Any], value: Any) -> Any:
    """Returns JSON as values of parameters or outputs, for msgspec, which does not know these types by itself.

    Raises TypeError for JSON that is no object.
    """
    if kind in (ParamValues, OutputValues) and isinstance(value, dict):
        return kind(value)
    raise TypeError(f"expected an object, not {type(value).__name__}")


class Element(Struct, frozen=True, kw_only=True):
    """Base of the objects inside documents."""


class JsonDocument(Element, frozen=True, kw_only=True):
    """Base of the documents that leave the program as JSON."""

    schema_version: Version = 1

    def to_json(self) -> JsonObject:
        """Returns the document as plain data."""
        return plain(self)


class Documented(Struct, frozen=True):
    """Base of results for programs that have a document to print."""

    @property
    def document(self) -> Struct:
        """The result as printed."""
        raise NotImplementedError

    def to_json(self) -> JsonObject:
        """Returns the document as plain data."""
        return plain(self.document)


@overload
def plain(document: Struct) -> JsonObject: ...
@overload
def plain(document: object) -> Any: ...
def plain(document: object) -> Any:
    """Returns a struct, or data that holds structs, as dictionaries and lists for JSON."""
    return msgspec.to_builtins(document, str_keys=True)


def json_schema(kind: Any, name: str, title: str) -> JsonSchema:
    """Returns the JSON Schema of a struct, of a tagged union of structs, or of a tuple of structs that have no tag, as
    ``schemas/NAME.v1.json`` holds it.

    It describes what is written: a field with a default is always there, one that may be ``UNSET`` is not.
    """
    kinds = kind if isinstance(kind, tuple) else (kind,)
    shown, definitions = msgspec.json.schema_components(
        kinds, ref_template="#/$defs/{name}", schema_hook=lambda kind: {"type": "object"}
    )
    for struct in definitions.values():
        if (properties := struct.get("properties")) is None:  # an enumeration
            continue
        always = {name for name, field in properties.items() if field.pop("default", UNSET) is not UNSET}
        required = always.union(struct.get("required", ()))
        struct.pop("additionalProperties", None)  # of structs that are read strictly; other readers need not be
        struct["required"] = [name for name in properties if name in required]
    found = shown[0] if len(shown) == 1 else {"anyOf": list(shown)}
    return {"$schema": DIALECT, "$id": f"{name}.v1.json", **found, "$defs": definitions, "title": title}
