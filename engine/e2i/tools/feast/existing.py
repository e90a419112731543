"""Open an existing Feast repository as it is. In: its folder. Out: an open store, or why it is not opened.

A registry may contain pickled functions (on-demand views, transformations), and ``feature_store.yaml`` may name any
class. Both execute when Feast loads them, so they are refused unless the settings say ``trusted: true``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from e2i.errors import BadInput, StepError
from e2i.tools.feast import FeastSettings, sdk, store_file
from e2i.tools.feast.code_search import code_in
from e2i.tools.feast.registry import (
    HARMLESS,
    HARMLESS_BESIDE,
    refusal,
    refuse_code_in_database,
    refuse_code_of_engine,
)
from e2i.tools.feast.store_file import FILE, TRUST


def connect(root: Path, settings: FeastSettings) -> sdk.FeatureStore:
    """Open a repository. Raises BadInput when there is none, Refused for one that would execute code."""
    document = store_file.read(root, trusted=settings.trusted)
    try:
        config = sdk.RepoConfig(**document)
        config.repo_path = root
        store = sdk.FeatureStore(repo_path=str(root), config=config)
        kind = config.registry.registry_type
    except sdk.FeastModuleImportError as error:
        raise StepError(f"{root / FILE}: {error}", code="bad-repository", hint="install what it names") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{root / FILE} is invalid: {error}", code="bad-repository") from error
    if not settings.trusted:
        _open_checked(store, kind)
    return store


def check(store: sdk.FeatureStore, settings: FeastSettings) -> None:
    """Raise Refused when the registry has code by now. Call it before Feast reads the registry again.

    Feast gets no registry file that was not checked, so this is for SQL registries.
    """
    registry = store.registry
    if not settings.trusted and isinstance(registry, sdk.CachingRegistry):
        for engine in {registry.write_engine, registry.read_engine}:
            refuse_code_of_engine(engine, refuse_code)


def refuse_code(registry: sdk.RegistryProto, name: str) -> None:
    """Raise Refused when loading the registry would execute code that it contains or names."""
    found = {descriptor.name for descriptor, _ in registry.ListFields()} - HARMLESS - HARMLESS_BESIDE
    if found := found or code_in(registry):
        raise refusal(name, found, TRUST)


def _open_checked(store: sdk.FeatureStore, kind: str) -> None:
    """Open the registry of a store, and check it: what is there now, and what Feast reads of a file later."""
    config = store.config.registry
    if kind == "sql":
        options = dict(config.sqlalchemy_config_kwargs or {})
        for url in {config.path, config.read_path or config.path}:
            refuse_code_in_database(url, options, refuse_code)
    elif kind == "file":
        name = "the Feast registry"
        refuse_code(store.registry.proto(), name)
        file: Any = store.registry._registry_store
        unchecked = file.get_registry_proto

        def checked() -> sdk.RegistryProto:
            registry: sdk.RegistryProto = unchecked()
            refuse_code(registry, name)
            return registry

        file.get_registry_proto = checked
    else:
        raise refusal(f"the Feast registry of type {kind}", {"what cannot be checked before it is loaded"}, TRUST)
