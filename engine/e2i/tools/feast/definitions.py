"""Build a ``Definition``, the content of one version. In: parameters of ``feast.apply``, columns of tables.

A definition is identified by its digest, which covers the project, the entities, the views and the content of their
tables. Pure: needs neither Feast nor pandas.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from e2i.catalog.artifacts import FeatureRepo, Table
from e2i.errors import StepError
from e2i.tools.feast import EntityParams, FeatureType, ViewParams

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
ARROW_TYPES: dict[str, FeatureType] = {
    "bool": "bool",
    "int8": "int32",
    "int16": "int32",
    "int32": "int32",
    "int64": "int64",
    "uint8": "int32",
    "uint16": "int32",
    "uint32": "int64",
    "halffloat": "float32",
    "float": "float32",
    "double": "float64",
    "string": "string",
    "large_string": "string",
    "date32[day]": "timestamp",
}
"""Arrow type → Feast's type. Dictionaries of strings and timestamps are recognised by their prefix."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON, 64 hex digits."""
        return _digest(self.model_dump(mode="json"))


class Entity(_Frozen):
    """An entity and its join key."""

    name: str
    join_key: str
    type: str
    description: str


class View(_Frozen):
    """A feature view over one stored source. ``features`` maps each feature to its type; ``ttl`` is in seconds."""

    name: str
    entities: tuple[Entity, ...]
    timestamp: str
    created: str | None
    ttl: int | None
    features: dict[str, FeatureType]
    source: str
    description: str
    tags: dict[str, str]

    @property
    def join_keys(self) -> tuple[str, ...]:
        return tuple(entity.join_key for entity in self.entities)

    def casts(self) -> dict[str, str]:
        """Return the columns that the source must have, and their types."""
        times = {name: "timestamp" for name in (self.timestamp, self.created) if name}
        return {**self.features, **{entity.join_key: entity.type for entity in self.entities}, **times}


class Definition(_Frozen):
    """The content of one version of a project."""

    schema_version: int = 1
    project: str
    views: tuple[View, ...]

    def view(self, name: str) -> View:
        """Return the view of that name. Raises StepError for an unknown view."""
        found = next((view for view in self.views if view.name == name), None)
        if found is None:
            names = [view.name for view in self.views]
            raise StepError(
                f"project {self.project} has no feature view {name!r}",
                code="unknown-feature-view",
                hint=_suggest(name, names),
            )
        return found

    def resolve(self, references: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return view → requested features, from ``view:feature``, ``view:*`` and ``view``. Raises StepError."""
        asked: dict[str, list[str]] = {}
        for reference in references:
            view_name, _, feature = reference.partition(":")
            view = self.view(view_name)
            chosen = list(view.features) if feature in ("", "*") else [feature]
            unknown = [name for name in chosen if name not in view.features]
            if unknown:
                raise StepError(
                    f"feature view {view_name} has no feature {unknown[0]!r}",
                    code="unknown-feature",
                    hint=_suggest(unknown[0], list(view.features)),
                )
            asked.setdefault(view_name, []).extend(chosen)
        return {name: tuple(dict.fromkeys(features)) for name, features in asked.items()}

    def repo(self) -> FeatureRepo:
        """Return the artifact that refers to this version."""
        return FeatureRepo(
            digest=f"sha256:{self.digest()}",
            project=self.project,
            views={view.name: tuple(view.features) for view in self.views},
            join_keys={view.name: view.join_keys for view in self.views},
        )


def define(
    project: str, entities: Mapping[str, EntityParams], views: Mapping[str, ViewParams], tags: Mapping[str, str]
) -> Definition:
    """Build the definition and check the parameters against the tables' columns. Raises StepError."""
    known = {
        name: Entity(name=name, join_key=given.join_key or name, type=given.type, description=given.description)
        for name, given in entities.items()
    }
    return Definition(
        project=project,
        views=tuple(_define_view(name, views[name], known, tags) for name in sorted(views)),
    )


def labels(asked: Mapping[str, Sequence[str]], full_feature_names: bool) -> dict[tuple[str, str], str]:
    """Return (view, feature) → column name in a result. Raises StepError when two features would have the same name."""
    found: dict[tuple[str, str], str] = {}
    for view, features in asked.items():
        for feature in features:
            label = f"{view}__{feature}" if full_feature_names else feature
            if label in found.values():
                raise StepError(
                    f"more than one feature view has a feature {feature!r}",
                    code="feature-name-collision",
                    hint="set full_feature_names: true, or request only one of them",
                )
            found[view, feature] = label
    return found


def feature_type(view: str, feature: str, arrow: str) -> FeatureType:
    """Return Feast's type for an Arrow type. Raises StepError when there is none."""
    if arrow.startswith("timestamp["):
        return "timestamp"
    if arrow.startswith(("dictionary<values=string", "dictionary<values=large_string")):
        return "string"
    if arrow not in ARROW_TYPES:
        raise StepError(
            f"column {feature!r} of feature view {view} is {arrow}, which has no feature type",
            code="bad-feature",
            hint="list the feature columns under `features`",
        )
    return ARROW_TYPES[arrow]


def _define_view(name: str, given: ViewParams, entities: Mapping[str, Entity], tags: Mapping[str, str]) -> View:
    wanted = (given.entity,) if isinstance(given.entity, str) else given.entity
    for entity in wanted:
        if entity not in entities:
            raise StepError(
                f"feature view {name} refers to an undeclared entity {entity!r}",
                code="unknown-entity",
                hint=_suggest(entity, list(entities)),
            )
    members = tuple(entities[entity] for entity in dict.fromkeys(wanted))
    reserved = [entity.join_key for entity in members] + [given.timestamp] + ([given.created] if given.created else [])
    _require(name, given.table, reserved)
    view = View(
        name=name,
        entities=members,
        timestamp=given.timestamp,
        created=given.created,
        ttl=int(given.ttl[:-1]) * SECONDS[given.ttl[-1]] if given.ttl else None,
        features=_features(name, given, reserved),
        source="",
        description=given.description,
        tags=dict(sorted({**tags, **given.tags}.items())),
    )
    return view.model_copy(update={"source": _digest({"table": given.table.digest, "columns": view.casts()})})


def _features(name: str, given: ViewParams, reserved: Sequence[str]) -> dict[str, FeatureType]:
    types = {column.name: column.type for column in given.table.columns}
    chosen = given.features if given.features is not None else [item for item in types if item not in reserved]
    _require(name, given.table, chosen)
    clash = [feature for feature in chosen if feature in reserved]
    if clash or not chosen:
        raise StepError(
            f"feature view {name} has no feature" if not clash else f"{clash[0]!r} of view {name} is a key or a time",
            code="bad-feature",
            hint="features are the columns other than the join keys, `timestamp` and `created`",
        )
    if isinstance(given.features, dict):
        return dict(given.features)
    return {feature: feature_type(name, feature, types[feature]) for feature in chosen}


def _require(view: str, table: Table, columns: Iterable[str]) -> None:
    missing = [column for column in columns if column not in table.names]
    if missing:
        raise StepError(
            f"the table of feature view {view} has no column {missing[0]!r}",
            code="missing-column",
            hint=_suggest(missing[0], list(table.names)),
        )


def _suggest(name: str, valid: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, valid, n=1)
    return f"did you mean {close[0]!r}?" if close else f"columns: {', '.join(sorted(valid)[:10])}"


def _digest(document: object) -> str:
    return hashlib.sha256(json.dumps(document, separators=(",", ":")).encode()).hexdigest()
