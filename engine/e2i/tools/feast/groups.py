"""Read feature views from a registry. In: an open Feast repository, references. Out: keys, features and their types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from e2i.errors import StepError
from e2i.spec.suggest import hint
from e2i.tools.feast import FeatureType, sdk
from e2i.tools.feast.definitions import SERVICE, expanded
from e2i.tools.feast.versions import FEAST_TYPES

PENDING = "e2i.entity"
"""Tag of a view whose entity has no type yet: the first rows decide it."""
NAMES: Mapping[Any, FeatureType] = {kind: name for name, kind in FEAST_TYPES.items()}  # type: ignore[misc]


class Group(Struct, frozen=True):
    """What is known of one feature view: its join keys and features, each with its type (None: one of Feast's own)."""

    view: Any
    keys: Mapping[str, FeatureType | None]
    features: Mapping[str, FeatureType | None]
    others: tuple[str, ...] = ()
    """Columns of a request that on-demand features are computed from."""
    computed: bool = False
    """True for an on-demand view, which has no rows."""
    sources: tuple[tuple[str, ...], ...] = ()
    """Join keys of each view that an on-demand view is computed from."""

    @property
    def apart(self) -> tuple[tuple[str, ...], ...]:
        """Return the join keys of the view, or of each view that it is computed from."""
        return self.sources if self.computed else (tuple(self.keys),)

    @property
    def name(self) -> str:
        return str(self.view.name)

    @property
    def pending(self) -> bool:
        """True while the entity has no type."""
        return bool(self.view.tags.get(PENDING) == "pending")


def known(store: sdk.FeatureStore) -> list[str]:
    """Return the names of all views, sorted."""
    return sorted(view.name for view in store.list_all_feature_views(allow_cache=True))


def every(store: sdk.FeatureStore) -> list[Group]:
    """Return all views, sorted by name."""
    views = {view.name: view for view in store.list_all_feature_views(allow_cache=True)}
    return [_group(views, name) for name in sorted(views)]


def find(store: sdk.FeatureStore, name: str) -> Group:
    """Return a view. Raises StepError for an unknown one."""
    return _group({view.name: view for view in store.list_all_feature_views(allow_cache=True)}, name)


def services(store: sdk.FeatureStore) -> dict[str, tuple[str, ...]]:
    """Return feature service → its features, as ``view:feature``.

    A service that renames views or their keys is left out: its features are not those of the views.
    """
    found: dict[str, tuple[str, ...]] = {}
    registered = store.registry.list_feature_services(store.project, allow_cache=True)
    for service in sorted(registered, key=lambda service: str(service.name)):
        projections = service.feature_view_projections
        if not any(one.join_key_map or one.name_to_use() != one.name for one in projections):
            found[str(service.name)] = tuple(
                f"{one.name}:{field.name}" for one in projections for field in one.features
            )
    return found


def _group(views: Mapping[str, Any], name: str) -> Group:
    view = views.get(name)
    if view is None:
        names = sorted(views)
        raise StepError(
            f"there is no feature view {name!r}",
            code="unknown-feature-view",
            hint=hint(name, names, most=20) or "make it with register_feature",
        )
    features = {field.name: NAMES.get(field.dtype) for field in view.features}
    if hasattr(view, "source_feature_view_projections"):
        return _on_demand(views, view, features)
    pending = view.tags.get(PENDING) == "pending"
    keys = {column.name: None if pending else NAMES.get(column.dtype) for column in view.entity_columns}
    return Group(view, keys, features)


def resolve(store: sdk.FeatureStore, references: Sequence[str]) -> tuple[dict[str, Group], dict[str, tuple[str, ...]]]:
    """Return the views, and view → features, of ``view:feature``, ``view:*``, ``view`` and ``service:NAME``.

    Raises StepError for an unknown view, feature or service.
    """
    groups: dict[str, Group] = {}
    asked: dict[str, list[str]] = {}
    written = [references] if isinstance(references, str) else references
    if any(str(reference).startswith(f"{SERVICE}:") for reference in written):
        written = expanded(list(map(str, written)), known(store), services(store))
    for reference in written:
        name, _, feature = str(reference).partition(":")
        group = groups.get(name) or find(store, name)
        groups[name] = group
        chosen = list(group.features) if feature in ("", "*") else [feature]
        if unknown := [one for one in chosen if one not in group.features]:
            raise StepError(
                f"feature view {name} has no feature {unknown[0]!r}",
                code="unknown-feature",
                hint=hint(unknown[0], list(group.features), most=20),
            )
        asked.setdefault(name, []).extend(chosen)
    if not asked:
        raise StepError("no features are named", code="unknown-feature", hint='write them as "view:feature"')
    return groups, {name: tuple(dict.fromkeys(features)) for name, features in asked.items()}


def key_types(groups: Mapping[str, Group]) -> dict[str, FeatureType | None]:
    """Return join key → type of several views."""
    return {key: kind for group in groups.values() for key, kind in group.keys.items()}


def _on_demand(views: Mapping[str, Any], view: Any, features: Mapping[str, FeatureType | None]) -> Group:
    """Return an on-demand view: its keys are those of the views that it is computed from."""
    sources = [_group(views, projection.name) for projection in view.source_feature_view_projections.values()]
    requested = [field.name for source in view.source_request_sources.values() for field in source.schema]
    return Group(
        view,
        dict(sorted((key, kind) for source in sources for key, kind in source.keys.items())),
        features,
        tuple(sorted(requested)),
        computed=True,
        sources=tuple(tuple(source.keys) for source in sources),
    )
