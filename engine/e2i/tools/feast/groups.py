"""Read feature views from a registry. In: an open Feast repository, references. Out: keys, features and their types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from e2i.errors import StepError
from e2i.spec.suggest import hint
from e2i.tools.feast import FeatureType, sdk
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


def find(store: sdk.FeatureStore, name: str) -> Group:
    """Return a view. Raises StepError for an unknown one."""
    view = next((view for view in store.list_all_feature_views(allow_cache=True) if view.name == name), None)
    if view is None:
        names = known(store)
        raise StepError(
            f"there is no feature view {name!r}",
            code="unknown-feature-view",
            hint=hint(name, names, most=20) or "make it with register_feature",
        )
    features = {field.name: NAMES.get(field.dtype) for field in view.features}
    if hasattr(view, "source_feature_view_projections"):
        return _on_demand(store, view, features)
    pending = view.tags.get(PENDING) == "pending"
    keys = {column.name: None if pending else NAMES.get(column.dtype) for column in view.entity_columns}
    return Group(view, keys, features)


def resolve(store: sdk.FeatureStore, references: Sequence[str]) -> tuple[dict[str, Group], dict[str, tuple[str, ...]]]:
    """Return the views, and view → requested features, of ``view:feature``, ``view:*`` and ``view``.

    Raises StepError for an unknown view or feature.
    """
    groups: dict[str, Group] = {}
    asked: dict[str, list[str]] = {}
    for reference in [references] if isinstance(references, str) else references:
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


def _on_demand(store: sdk.FeatureStore, view: Any, features: Mapping[str, FeatureType | None]) -> Group:
    """Return an on-demand view: its keys are those of the views that it is computed from."""
    sources = [find(store, projection.name) for projection in view.source_feature_view_projections.values()]
    requested = [field.name for source in view.source_request_sources.values() for field in source.schema]
    return Group(
        view, {key: kind for source in sources for key, kind in source.keys.items()}, features, tuple(requested)
    )
