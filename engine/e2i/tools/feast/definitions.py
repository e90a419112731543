"""Build a ``Definition``, the content of one version. In: parameters of ``feast.apply``, columns of tables.

A definition is identified by its digest, which covers the project, the entities, the views and the content of their
tables. Pure: needs neither Feast nor pandas.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from e2i.catalog.artifacts import FeatureRepo, Table
from e2i.errors import StepError
from e2i.tools.feast import ApplyParams, FeatureType, OnDemandParams, ViewParams, selected

SERVICE = "service"
"""Prefix of a reference to a feature service."""
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
        """Return the SHA-256 of the canonical JSON, 64 hex digits. Later fields count where they are set."""
        return _digest(_without_unset(self.model_dump(mode="json")))


class Entity(_Frozen):
    """An entity and its join key."""

    name: str
    join_key: str
    type: str
    description: str


class View(_Frozen):
    """A feature view over one stored source. ``features`` maps each feature to its type; ``ttl`` is in seconds.

    ``push``: rows can be added, which gives another version.
    """

    name: str
    entities: tuple[Entity, ...]
    timestamp: str
    created: str | None
    ttl: int | None
    features: dict[str, FeatureType]
    source: str
    description: str
    tags: dict[str, str]
    push: bool = False

    @property
    def join_keys(self) -> tuple[str, ...]:
        return tuple(entity.join_key for entity in self.entities)

    def casts(self) -> dict[str, str]:
        """Return the columns that the source must have, and their types."""
        times = {name: "timestamp" for name in (self.timestamp, self.created) if name}
        return {**self.features, **{entity.join_key: entity.type for entity in self.entities}, **times}


class OnDemand(_Frozen):
    """An on-demand view: features that a function computes. ``code`` is the text of its file.

    ``inputs`` are features as ``view:feature``; ``request`` has the columns that are given with each request.
    """

    name: str
    file: str
    function: str
    code: str
    inputs: tuple[str, ...]
    request: dict[str, FeatureType]
    features: dict[str, FeatureType]
    description: str


class Definition(_Frozen):
    """The content of one version of a project."""

    schema_version: int = 1
    project: str
    views: tuple[View, ...]
    on_demand: tuple[OnDemand, ...] = ()
    services: dict[str, tuple[str, ...]] = {}

    def computed(self, name: str) -> OnDemand | None:
        """Return the on-demand view of that name; None for a view with rows."""
        return next((view for view in self.on_demand if view.name == name), None)

    def entities(self, name: str) -> tuple[Entity, ...]:
        """Return the entities of a view; of an on-demand view, those of its inputs, sorted by key."""
        computed = self.computed(name)
        if computed is None:
            return self.view(name).entities
        inputs = dict.fromkeys(reference.partition(":")[0] for reference in computed.inputs)
        found = {entity.join_key: entity for view in inputs for entity in self.view(view).entities}
        return tuple(found[key] for key in sorted(found))

    def view(self, name: str) -> View:
        """Return the view of that name. Raises StepError for an unknown view."""
        found = next((view for view in self.views if view.name == name), None)
        if found is None:
            names = [*(view.name for view in self.views), *(view.name for view in self.on_demand)]
            raise StepError(
                f"project {self.project} has no feature view {name!r}",
                code="unknown-feature-view",
                hint=_suggest(name, names),
            )
        return found

    def resolve(self, references: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return view → requested features, of ``view:feature``, ``view:*``, ``view`` and ``service:NAME``.

        Raises StepError for what does not exist.
        """
        asked: dict[str, list[str]] = {}
        written = expanded(references, [view.name for view in self.views], self.services)
        for reference in written:
            view_name, _, feature = reference.partition(":")
            computed = self.computed(view_name)
            known = self.view(view_name).features if computed is None else computed.features
            chosen = list(known) if feature in ("", "*") else [feature]
            unknown = [name for name in chosen if name not in known]
            if unknown:
                raise StepError(
                    f"feature view {view_name} has no feature {unknown[0]!r}",
                    code="unknown-feature",
                    hint=_suggest(unknown[0], list(known)),
                )
            asked.setdefault(view_name, []).extend(chosen)
        return {name: tuple(dict.fromkeys(features)) for name, features in asked.items()}

    def repo(self) -> FeatureRepo:
        """Return the artifact that refers to this version."""
        features = {view.name: tuple(view.features) for view in self.views}
        computed = {view.name: tuple(view.features) for view in self.on_demand}
        return FeatureRepo(
            digest=f"sha256:{self.digest()}",
            project=self.project,
            views={**features, **computed},
            join_keys={
                name: tuple(entity.join_key for entity in self.entities(name)) for name in (*features, *computed)
            },
            requests={view.name: tuple(view.request) for view in self.on_demand if view.request},
            services=self.services,
        )


def define(params: ApplyParams, code: Mapping[str, str]) -> Definition:
    """Build the definition and check the parameters against the tables' columns. Raises StepError.

    ``code`` has the text of each file with functions of on-demand views.
    """
    known = {
        name: Entity(name=name, join_key=given.join_key or name, type=given.type, description=given.description)
        for name, given in params.entities.items()
    }
    views = params.views
    stored = Definition(
        project=params.project,
        views=tuple(_define_view(name, views[name], known, params.tags) for name in sorted(views)),
    )
    computed = tuple(
        _define_on_demand(name, given, stored, code[given.file]) for name, given in sorted(params.on_demand.items())
    )
    whole = stored.model_copy(update={"on_demand": computed})
    services = {
        name: tuple(f"{view}:{one}" for view, found in whole.resolve(selected(given)).items() for one in found)
        for name, given in sorted(params.services.items())
    }
    return whole.model_copy(update={"services": services})


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


def expanded(
    references: Sequence[str], views: Collection[str], services: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """Return references in which ``service:NAME`` is replaced by the features of that service.

    A view may have the name ``service``: then it is meant. Raises StepError for an unknown service.
    """
    found: list[str] = []
    for reference in references:
        prefix, _, name = reference.partition(":")
        if prefix != SERVICE or SERVICE in views:
            found.append(reference)
        elif name in services:
            found += services[name]
        else:
            raise StepError(
                f"there is no feature service {name!r}",
                code="unknown-feature-service",
                hint=_suggest(name, list(services)) if services else "it has none: name views instead",
            )
    return tuple(dict.fromkeys(found))


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


def _define_on_demand(name: str, given: OnDemandParams, stored: Definition, code: str) -> OnDemand:
    if name in {view.name for view in stored.views}:
        raise StepError(
            f"{name!r} is the name of two feature views", code="feature-name-collision", hint="rename one of them"
        )
    asked = stored.resolve(given.inputs)
    plain = list(labels(asked, full_feature_names=False).values())
    twice = [column for column in given.request if column in plain]
    if twice:
        raise StepError(
            f"on-demand view {name} has {twice[0]!r} as an input and in its request",
            code="feature-name-collision",
            hint="rename the column of the request",
        )
    return OnDemand(
        name=name,
        file=given.file,
        function=given.function,
        code=code,
        inputs=tuple(f"{view}:{feature}" for view, features in asked.items() for feature in features),
        request=dict(sorted(given.request.items())),
        features=given.features,
        description=given.description,
    )


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
    if given.table is not None:
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
        push=given.push,
    )
    rows = "" if given.table is None else given.table.digest
    return view.model_copy(update={"source": _digest({"table": rows, "columns": view.casts()})})


def _features(name: str, given: ViewParams, reserved: Sequence[str]) -> dict[str, FeatureType]:
    if given.table is None:
        assert isinstance(given.features, dict)  # checked with the parameters
        _refuse_reserved(name, given.features, reserved)
        return dict(given.features)
    types = {column.name: column.type for column in given.table.columns}
    chosen = given.features if given.features is not None else [item for item in types if item not in reserved]
    _require(name, given.table, chosen)
    _refuse_reserved(name, chosen, reserved)
    if isinstance(given.features, dict):
        return dict(given.features)
    return {feature: feature_type(name, feature, types[feature]) for feature in chosen}


def _refuse_reserved(view: str, chosen: Collection[str], reserved: Sequence[str]) -> None:
    clash = [feature for feature in chosen if feature in reserved]
    if clash or not chosen:
        raise StepError(
            f"feature view {view} has no feature" if not clash else f"{clash[0]!r} of view {view} is a key or a time",
            code="bad-feature",
            hint="features are the columns other than the join keys, `timestamp` and `created`",
        )


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


LATER = {"on_demand": [], "services": {}, "push": False}
"""Fields that stores of earlier versions do not have, with their defaults."""


def _without_unset(document: object) -> object:
    """Return a document without later fields that have their defaults, so that digests of earlier versions stay."""
    match document:
        case dict():
            return {
                key: _without_unset(value)
                for key, value in document.items()
                if key not in LATER or value != LATER[key] or not _is_model(document)
            }
        case list():
            return [_without_unset(item) for item in document]
    return document


def _is_model(document: Mapping[str, object]) -> bool:
    """Return True for a definition or a view, and not for a mapping whose keys users choose."""
    return {"project", "views"} <= document.keys() or {"entities", "source"} <= document.keys()


def _digest(document: object) -> str:
    return hashlib.sha256(json.dumps(document, separators=(",", ":")).encode()).hexdigest()
