"""Find code in the messages of a Feast registry. In: a message. Out: what in it would execute when Feast loads it.

Feast unpickles functions and imports classes that any message names, however deep it is inside others. So every
message is looked at, and every field that has a function or the name of a class. The classes that are allowed are
Feast's own, by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from e2i.tools.feast import sdk

FUNCTIONS = frozenset((
    "body", "body_text", "feature_transformation", "ge_profiler", "ibis_function", "profiler", "substrait_plan",
    "substrait_transformation", "user_defined_function",
))  # fmt: skip
"""Fields that have a function, pickled or as Python."""
CHOSEN_CLASSES = frozenset(("custom_infra", "custom_storage"))
"""Fields whose bytes name a class, or are for a class that another field names."""
SOURCES = frozenset((
    "feast.data_source.KafkaSource", "feast.data_source.KinesisSource", "feast.data_source.PushSource",
    "feast.data_source.RequestSource", "feast.infra.offline_stores.bigquery_source.BigQuerySource",
    "feast.infra.offline_stores.contrib.athena_offline_store.athena_source.AthenaSource",
    "feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source.PostgreSQLSource",
    "feast.infra.offline_stores.contrib.spark_offline_store.spark_source.SparkSource",
    "feast.infra.offline_stores.contrib.trino_offline_store.trino_source.TrinoSource",
    "feast.infra.offline_stores.file_source.FileSource", "feast.infra.offline_stores.redshift_source.RedshiftSource",
    "feast.infra.offline_stores.snowflake_source.SnowflakeSource",
))  # fmt: skip
"""Classes of data sources that a registry may name."""
TABLES = frozenset((
    "feast.infra.online_stores.datastore.DatastoreTable", "feast.infra.online_stores.sqlite.SqliteTable",
))  # fmt: skip
"""Classes of tables in online stores that a registry may name."""
PLAIN = "feature_view"
"""Type of an earlier version of a view whose message cannot have code of another type of view."""


def code_in(message: Any) -> set[str]:
    """Return what in a message, at any depth, would execute code; in words, for an error."""
    try:
        return {words for part in every(message) for words in _code(part)}
    except sdk.DecodeError:
        return {"an earlier version of a view that cannot be read"}


def every(message: Any) -> Iterator[Any]:
    """Yield a message and all messages inside it, also those in the bytes of earlier versions of views.

    Raises DecodeError for bytes that are no view.
    """
    waiting = [message]
    while waiting:
        part = waiting.pop()
        yield part
        for field, value in part.ListFields():
            if field.message_type is not None:
                waiting += _messages(value)
        if _is_version(part) and part.feature_view_type == PLAIN:
            waiting.append(sdk.FeatureViewProto.FromString(part.feature_view_proto))


def _messages(value: Any) -> list[Any]:
    """Return the messages in the value of a field: one, several, or the values of a mapping."""
    if isinstance(value, sdk.Message):
        return [value]
    values = value.values() if callable(getattr(value, "values", None)) else value
    return [item for item in values if isinstance(item, sdk.Message)]


def _code(part: Any) -> Iterator[str]:
    """Yield what in the fields of one message would execute code."""
    kind, name = part.DESCRIPTOR.name, getattr(part, "name", "")
    where = f"{kind} {name}" if name and isinstance(name, str) else kind
    for field, value in part.ListFields():
        if field.name in FUNCTIONS:
            yield f"a function ({field.name}) in {where}"
        elif field.name in CHOSEN_CLASSES:
            yield f"the name of a class ({field.name}) in {where}"
        elif field.name.endswith("class_type") and value not in SOURCES | TABLES:
            yield f"the class {value!r:.200} in {where}"
    if isinstance(part, sdk.DataSourceProto) and part.type == part.CUSTOM_SOURCE and not part.data_source_class_type:
        yield f"a source without a class in {where}"
    if _is_version(part) and part.feature_view_type != PLAIN:
        yield "an earlier version of another type of view"


def _is_version(part: Any) -> bool:
    return bool(part.DESCRIPTOR.full_name == "feast.core.FeatureViewVersionRecord")
