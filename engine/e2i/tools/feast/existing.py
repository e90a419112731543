"""Open an existing Feast repository as it is. In: its folder. Out: an open store, or why it is not opened.

A registry may contain pickled functions (on-demand views, transformations), and ``feature_store.yaml`` may name any
class. Both execute when Feast loads them, so they are refused unless the settings say ``trusted: true``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from e2i.errors import BadInput, Refused, StepError
from e2i.tools.feast import FeastSettings, sdk
from e2i.tools.feast.registry import HARMLESS, refusal, refuse_code_in_database

FILE = "feature_store.yaml"
HARMLESS_BESIDE = {"feature_services", "saved_datasets", "permissions", "request_feature_views"}
"""Sections of an existing registry that cannot contain code either."""
CLASSES = ("type", "registry_type", "registry_store_type", "provider")
"""Keys of ``feature_store.yaml`` whose value may be the name of a class."""
TRUST = "set `trusted: true` in the settings of feast if you trust everyone who writes to this repository"


def connect(root: Path, settings: FeastSettings) -> sdk.FeatureStore:
    """Open a repository. Raises BadInput when there is none, Refused for one that would execute code."""
    try:
        document = yaml.safe_load((root / FILE).read_text("utf-8"))
    except OSError as error:
        raise no_repository(root) from error
    except (UnicodeError, yaml.YAMLError) as error:
        raise BadInput(f"{root / FILE} cannot be read: {error}", code="bad-repository") from error
    if not settings.trusted and (named := sorted(set(_foreign(document)))):
        raise Refused(f"{root / FILE} names the class {named[0]!r}", code="feature-registry-refused", hint=TRUST)
    try:
        store = sdk.FeatureStore(repo_path=str(root))
    except sdk.FeastModuleImportError as error:
        raise StepError(f"{root / FILE}: {error}", code="bad-repository", hint="install what it names") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{root / FILE} is invalid: {error}", code="bad-repository") from error
    check(store, settings)
    return store


def check(store: sdk.FeatureStore, settings: FeastSettings) -> None:
    """Raise Refused when loading the views of the registry would execute code."""
    if settings.trusted:
        return
    config = store.config.registry
    if config.registry_type == "sql":
        refuse_code_in_database(config.path, dict(config.sqlalchemy_config_kwargs or {}), refuse_code)
    elif config.registry_type == "file":
        refuse_code(store.registry.proto(), "the Feast registry")
    else:
        name = f"the Feast registry of type {config.registry_type}"
        raise refusal(name, {"what cannot be checked before it is loaded"}, TRUST)


def refuse_code(registry: sdk.RegistryProto, name: str) -> None:
    """Raise Refused when loading the registry would execute code that it contains or names."""
    found = {descriptor.name for descriptor, _ in registry.ListFields()} - HARMLESS - HARMLESS_BESIDE
    sources = list(registry.data_sources)
    for view in registry.feature_views:
        if view.spec.HasField("feature_transformation"):
            found.add(f"a transformation in feature view {view.spec.name}")
        sources += [view.spec.batch_source, view.spec.stream_source]
    for source in sources:
        custom = source.type == sdk.DataSourceProto.CUSTOM_SOURCE
        if custom and not source.data_source_class_type.startswith("feast."):
            found.add(f"a source of the class {source.data_source_class_type!r}")
    if found:
        raise refusal(name, found, TRUST)


def no_repository(root: Path) -> BadInput:
    """Return the error for a folder that is no repository."""
    return BadInput(
        f"{root} is no Feast repository: it has no {FILE}",
        code="no-repository",
        hint="correct `repo_path` in the settings of feast, or leave it out to use the store's own",
    )


def _foreign(value: Any) -> Iterator[str]:
    """Yield the classes outside Feast that a document names."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in CLASSES and isinstance(item, str) and "." in item and not item.startswith("feast."):
                yield item
            yield from _foreign(item)
    elif isinstance(value, list):
        for item in value:
            yield from _foreign(item)
