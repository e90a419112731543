"""Read the ``feature_store.yaml`` of an existing repository. In: its folder. Out: the document, or why it is refused.

Feast imports whatever class the file names for a store. So only the names of Feast's own stores are accepted, in the
places where Feast reads a name, and no section whose content is not known. Feast replaces environment variables in the
text before it reads it; so do we, and Feast is given the document that was checked, never the file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from e2i.errors import BadInput, Refused

FILE = "feature_store.yaml"
TRUST = "set `trusted: true` in the settings of feast if you trust everyone who writes to this repository"
Document: TypeAlias = dict[str, Any]

PROVIDERS = ("local", "gcp", "aws", "azure")
"""Feast has one class for all of them."""
REGISTRIES = ("file", "sql")
REGISTRY_STORES = ("FileRegistryStore", "S3RegistryStore", "GCSRegistryStore", "AzureRegistryStore")
ONLINE_STORES = ("sqlite", "redis", "postgres", "dynamodb", "datastore", "bigtable", "snowflake.online", "mysql")
OFFLINE_STORES = (
    "file", "dask", "duckdb", "postgres", "bigquery", "redshift", "snowflake.offline", "athena", "trino",
)  # fmt: skip
ENGINES = ("local",)
FEATURE_SERVERS = ("local",)
LOGINS = ("no_auth", "oidc", "kubernetes")
PLAIN = frozenset((
    "coerce_tz_aware", "data_quality_monitoring", "entity_key_serialization_version", "flags", "materialization",
    "project", "project_description",
))  # fmt: skip
"""Sections in which Feast reads no name of a class."""


def read(root: Path, *, trusted: bool) -> Document:
    """Return the document with the values of environment variables. Raises BadInput, or Refused for foreign classes."""
    path = root / FILE
    try:
        document = yaml.safe_load(os.path.expandvars(path.read_text("utf-8")))
    except OSError as error:
        raise no_repository(root) from error
    except (UnicodeError, yaml.YAMLError, RecursionError) as error:
        raise BadInput(f"{path} cannot be read: {error}", code="bad-repository") from error
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise BadInput(f"{path} is invalid: it is no mapping of names", code="bad-repository")
    if not trusted and (found := next(_foreign(document), None)):
        raise Refused(f"{path} {found}", code="feature-registry-refused", hint=TRUST)
    return document


def no_repository(root: Path) -> BadInput:
    """Return the error for a folder that is no repository."""
    return BadInput(
        f"{root} is no Feast repository: it has no {FILE}",
        code="no-repository",
        hint="correct `repo_path` in the settings of feast, or leave it out to use the store's own",
    )


def _foreign(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is not known of each section, in words that follow the name of the file."""
    for section, value in document.items():
        if section in NAMES:
            yield from NAMES[section](section, value)
        elif section not in PLAIN:
            yield f"has the section {section!r:.80}, which may name a class"


def _provider(section: str, value: Any) -> Iterator[str]:
    yield from _unknown(section, value, PROVIDERS)


def _registry(section: str, value: Any) -> Iterator[str]:
    """A text is the path of a registry file, not the name of a class."""
    if isinstance(value, Mapping):
        yield from _unknown(f"{section}.registry_type", value.get("registry_type", "file"), REGISTRIES)
        if (kept := value.get("registry_store_type")) is not None:
            yield from _unknown(f"{section}.registry_store_type", kept, REGISTRY_STORES)
    elif not isinstance(value, str):
        yield from _unknown(section, value, REGISTRIES)


def _typed(known: tuple[str, ...], *nothing: str) -> Callable[[str, Any], Iterator[str]]:
    """Return the check of a section that is a name, or a mapping whose ``type`` is one; Feast has a default."""

    def check(section: str, value: Any) -> Iterator[str]:
        if isinstance(value, Mapping):
            if "type" in value:
                yield from _unknown(f"{section}.type", value["type"], known)
        elif value is not None and not (isinstance(value, str) and value.lower() in nothing):
            yield from _unknown(section, value, known)

    return check


def _unknown(place: str, value: Any, known: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(value, str) or value not in known:
        yield f"names the class {value!r:.200} as {place}; without trust it can be {', '.join(known)}"


NAMES: Mapping[str, Callable[[str, Any], Iterator[str]]] = {
    "auth": _typed(LOGINS),
    "batch_engine": _typed(ENGINES),
    "feature_server": _typed(FEATURE_SERVERS),
    "offline_store": _typed(OFFLINE_STORES),
    "online_store": _typed(ONLINE_STORES, "none", "null"),
    "provider": _provider,
    "registry": _registry,
}
"""Section → the check of the names in it."""
