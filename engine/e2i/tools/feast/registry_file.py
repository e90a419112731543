"""Read what a registry file of Feast defines, without Feast and without running code. In: bytes. Out: views, services.

The file is a protobuf message (``feast/protos/feast/core/Registry.proto``). Only the fields of names are read, by their
numbers; functions and names of classes are skipped as bytes. So a plan knows the columns of an existing repository
although it imports nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from e2i.catalog.columns import KnownRepo, KnownView

Fields: TypeAlias = dict[int, list[bytes]]
"""Number of a field → its values that are bytes: texts and messages."""

REGISTRY = {"entities": 1, "feature_views": 6, "feature_services": 7, "on_demand_feature_views": 8}
STREAM_FEATURE_VIEWS = 14
SPEC = 1
NAME = 1
PROJECT, PROJECT_OF_ENTITY = 2, 9
JOIN_KEY = 4
NO_ENTITY = "__dummy"
"""Entity that Feast gives to a view without one."""
FEATURE_VIEW = {"entities": 3, "features": 4, "entity_columns": 12}
STREAM_FEATURE_VIEW = {"entities": 3, "features": 4, "entity_columns": 5}
ON_DEMAND = {"features": 3, "sources": 4}
SOURCE = {"feature_view": 1, "request_data_source": 2, "feature_view_projection": 3}
REQUEST_OPTIONS, REQUEST_SCHEMA = 18, 3
SERVICE_FEATURES = 3
PROJECTION = {"features": 2, "alias": 3, "join_key_map": 4}
VALUE = 2
"""Field of the value in an entry of a mapping."""


class UnreadableError(ValueError):
    """The bytes are no registry."""


def read(data: bytes, project: str) -> KnownRepo:
    """Return the views of a project, with their features (without types) and keys, and its services.

    Raises UnreadableError.
    """
    registry = _fields(data)
    entities = _specs(registry, REGISTRY["entities"], project, PROJECT_OF_ENTITY)
    keys = {_name(spec): _text(spec, JOIN_KEY) or _name(spec) for spec in entities}
    views: dict[str, KnownView] = {}
    for number, layout in ((REGISTRY["feature_views"], FEATURE_VIEW), (STREAM_FEATURE_VIEWS, STREAM_FEATURE_VIEW)):
        for spec in _specs(registry, number, project):
            views[_name(spec)] = _view(spec, layout, keys)
    for spec in _specs(registry, REGISTRY["on_demand_feature_views"], project):
        views[_name(spec)] = _on_demand(spec, views)
    found = dict(_service(spec) for spec in _specs(registry, REGISTRY["feature_services"], project))
    services = {name: references for name, references in sorted(found.items()) if references is not None}
    return KnownRepo(dict(sorted(views.items())), services)


def _view(spec: Fields, layout: Mapping[str, int], keys: Mapping[str, str]) -> KnownView:
    columns = [_name(_fields(column)) for column in spec.get(layout["entity_columns"], ())]
    declared = [name for name in map(_decoded, spec.get(layout["entities"], ())) if name != NO_ENTITY]
    known = columns or [keys[entity] for entity in declared if entity in keys]
    complete = bool(columns) or len(known) == len(declared)
    return KnownView(_features(spec, layout["features"]), tuple(known) if complete else None)


def _on_demand(spec: Fields, views: Mapping[str, KnownView]) -> KnownView:
    """Return an on-demand view: it has the keys of the views that it is computed from."""
    keys: dict[str, None] = {}
    requests: list[str] = []
    for entry in spec.get(ON_DEMAND["sources"], ()):
        for value in _fields(entry).get(VALUE, ()):
            source = _fields(value)
            for projection in source.get(SOURCE["feature_view_projection"], ()):
                view = views.get(_name(_fields(projection)))
                if view is None or view.keys is None:
                    return KnownView(_features(spec, ON_DEMAND["features"]), None)
                keys |= dict.fromkeys(view.keys)
            for request in source.get(SOURCE["request_data_source"], ()):
                requests += _requested(_fields(request))
            if SOURCE["feature_view"] in source:
                return KnownView(_features(spec, ON_DEMAND["features"]), None)
    return KnownView(_features(spec, ON_DEMAND["features"]), tuple(sorted(keys)), tuple(sorted(requests)))


def _requested(source: Fields) -> Iterator[str]:
    for options in source.get(REQUEST_OPTIONS, ()):
        for column in _fields(options).get(REQUEST_SCHEMA, ()):
            yield _name(_fields(column))


def _service(spec: Fields) -> tuple[str, tuple[str, ...] | None]:
    """Return a service with its features; None when it renames views or keys."""
    references: list[str] = []
    for part in spec.get(SERVICE_FEATURES, ()):
        projection = _fields(part)
        view, alias = _name(projection), _text(projection, PROJECTION["alias"])
        if PROJECTION["join_key_map"] in projection or alias not in ("", view):
            return _name(spec), None
        references += [f"{view}:{feature}" for feature in _features(projection, PROJECTION["features"])]
    return _name(spec), tuple(references)


def _specs(registry: Fields, number: int, project: str, place: int = PROJECT) -> list[Fields]:
    specs = [_fields(spec) for item in registry.get(number, ()) for spec in _fields(item).get(SPEC, ())]
    return [spec for spec in specs if _text(spec, place) == project]


def _features(message: Fields, number: int) -> dict[str, str | None]:
    return {_name(_fields(feature)): None for feature in message.get(number, ())}


def _name(message: Fields) -> str:
    return _text(message, NAME)


def _text(message: Fields, number: int) -> str:
    values = message.get(number)
    return _decoded(values[-1]) if values else ""


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise UnreadableError(str(error)) from error


def _fields(data: bytes) -> Fields:
    """Return the fields of a message that have bytes; numbers are skipped. Raises UnreadableError."""
    found: Fields = {}
    position = 0
    while position < len(data):
        tag, position = _number(data, position)
        kind = tag & 7
        if kind == 0:
            _, position = _number(data, position)
        elif kind == 2:
            size, position = _number(data, position)
            found.setdefault(tag >> 3, []).append(data[position : position + size])
            position += size
        elif kind in (1, 5):
            position += 8 if kind == 1 else 4
        else:
            raise UnreadableError(f"there is no type {kind} of fields")
    if position != len(data):
        raise UnreadableError("the message is not complete")
    return found


def _number(data: bytes, position: int) -> tuple[int, int]:
    """Return a number of variable length, and the position after it."""
    value = shift = 0
    while position < len(data) and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
    raise UnreadableError("a number is not complete")
