"""The Arrow types of stored tables. In: a type of pyarrow. Out: the type that a table has for it."""

from __future__ import annotations

from typing import Any


def storable(kind: Any) -> Any:
    """Returns the type without large offsets, views and run lengths; None for one that has no place in a table.

    A table's values do not depend on how they are encoded, and not every reader knows every encoding.
    """
    import pyarrow as pa

    if isinstance(kind, pa.BaseExtensionType):
        return None
    match kind.id:
        case pa.lib.Type_LARGE_STRING | pa.lib.Type_STRING_VIEW:
            return pa.string()
        case pa.lib.Type_LARGE_BINARY | pa.lib.Type_BINARY_VIEW:
            return pa.binary()
        case pa.lib.Type_DATE64:
            return pa.date32()
        case pa.lib.Type_DECIMAL32 | pa.lib.Type_DECIMAL64:
            return pa.decimal128(kind.precision, kind.scale)
        case pa.lib.Type_TIMESTAMP if kind.tz is not None and kind.tz.upper() == "UTC":
            return pa.timestamp(kind.unit, "UTC")
        case pa.lib.Type_SPARSE_UNION | pa.lib.Type_DENSE_UNION | pa.lib.Type_INTERVAL_MONTH_DAY_NANO:
            return None
    return _nested(kind)


def _nested(kind: Any) -> Any:
    """Returns the type with storable types inside; None when one of them is not."""
    import pyarrow as pa

    match kind.id:
        case pa.lib.Type_RUN_END_ENCODED:
            return storable(kind.value_type)
        case pa.lib.Type_DICTIONARY:
            value = storable(kind.value_type)
            return value and pa.dictionary(pa.int32(), value, kind.ordered)
        case pa.lib.Type_LIST | pa.lib.Type_LARGE_LIST | pa.lib.Type_LIST_VIEW | pa.lib.Type_LARGE_LIST_VIEW:
            item = storable(kind.value_type)
            return item and pa.list_(kind.value_field.with_type(item))
        case pa.lib.Type_FIXED_SIZE_LIST:
            item = storable(kind.value_type)
            return item and pa.list_(kind.value_field.with_type(item), kind.list_size)
        case pa.lib.Type_STRUCT:
            inner = [(field, storable(field.type)) for field in kind]
            return None if any(of is None for _, of in inner) else pa.struct([f.with_type(of) for f, of in inner])
        case pa.lib.Type_MAP:
            key, item = storable(kind.key_type), storable(kind.item_type)
            return key and item and pa.map_(key, kind.item_field.with_type(item), kind.keys_sorted)
    return kind
