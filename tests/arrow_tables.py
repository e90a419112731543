"""Hypothesis strategies for Arrow tables of every type that a table may have."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "+02:00", "-07:30"]
INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
UNITS = ["s", "ms", "us", "ns"]
FLAT = [
    *INTEGERS, pa.float16(), pa.float32(), pa.float64(), pa.bool_(), pa.string(), pa.binary(), pa.binary(3), pa.date32(),
    pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"), pa.decimal128(10, 2), pa.decimal128(38, 0), pa.decimal256(50, 3),
    *(pa.timestamp(unit) for unit in UNITS), *(pa.timestamp(unit, zone) for unit in UNITS for zone in ZONES), *(pa.duration(unit) for unit in UNITS),
]  # fmt: skip
KEYS = [pa.string(), pa.int64()]


def types() -> st.SearchStrategy[pa.DataType]:
    flat = st.sampled_from(FLAT)
    nested = st.recursive(
        flat,
        lambda inner: st.one_of(
            inner.map(pa.list_),
            st.lists(inner, min_size=1, max_size=3).map(
                lambda kinds: pa.struct([(f"f{i}", kind) for i, kind in enumerate(kinds)])
            ),
            st.tuples(st.sampled_from(KEYS), inner).map(lambda pair: pa.map_(*pair)),
        ),
        max_leaves=3,
    )
    return st.one_of(
        flat,
        nested,
        st.sampled_from([pa.string(), pa.int64()]).map(lambda kind: pa.dictionary(pa.int32(), kind)),
        st.just(pa.null()),
    )


def values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    t = pa.types
    if t.is_dictionary(kind):
        return values(kind.value_type)
    if t.is_null(kind):
        return st.none()
    if t.is_integer(kind):
        low, high = (
            (-(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1))
            if t.is_signed_integer(kind)
            else (0, 2**kind.bit_width)
        )
        return st.integers(low, high - 1)
    if t.is_floating(kind):
        return st.floats(width=kind.bit_width)
    if t.is_boolean(kind):
        return st.booleans()
    if t.is_string(kind):
        return st.text(st.characters(codec="utf-8"), max_size=6)
    if t.is_fixed_size_binary(kind) and not t.is_decimal(kind):
        return st.binary(min_size=kind.byte_width, max_size=kind.byte_width)
    if t.is_binary(kind):
        return st.binary(max_size=6)
    if t.is_decimal(kind):
        digits = 10**kind.precision - 1
        return st.integers(-digits, digits).map(
            lambda n: decimal.Decimal(n).scaleb(-kind.scale, decimal.Context(prec=80))
        )
    if t.is_date(kind):
        return st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31))
    if t.is_time(kind):
        count = 86_400 * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
        return st.integers(0, count - 1)
    if t.is_timestamp(kind) or t.is_duration(kind):
        return st.integers(-(10**9), 4 * 10**9).flatmap(
            lambda s: st.integers(0, 10**9 - 1).map(lambda ns: _ticks(s, ns, kind.unit))
        )
    if t.is_list(kind):
        return st.lists(st.none() | values(kind.value_type), max_size=3)
    if t.is_struct(kind):
        return st.fixed_dictionaries({field.name: st.none() | values(field.type) for field in kind})
    assert t.is_map(kind)
    return st.lists(
        st.tuples(values(kind.key_type), st.none() | values(kind.item_type)), max_size=3, unique_by=lambda pair: pair[0]
    )


def _ticks(seconds: int, nanoseconds: int, unit: str) -> int:
    return (seconds * 10**9 + nanoseconds) // {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[unit]


@st.composite
def columns(draw: st.DrawFn, rows: int) -> pa.Array:
    kind = draw(types())
    items = values(kind) if draw(st.booleans()) else st.none() | values(kind)
    found = draw(st.lists(items, min_size=rows, max_size=rows))
    if pa.types.is_dictionary(kind):
        return pa.array(found, kind.value_type).dictionary_encode().cast(kind)
    return pa.array(found, kind)


@st.composite
def tables(draw: st.DrawFn, least: int = 0) -> pa.Table:
    rows = draw(st.integers(least, 6))
    made = draw(st.lists(columns(rows), min_size=1, max_size=4))
    return pa.table(made, names=[f"c{index}" for index in range(len(made))])


def same(one: pa.Table, other: pa.Table) -> bool:
    """Whether two tables are equal in types and values, where NaN equals NaN and no number equals another."""
    return one.schema == other.schema and all(
        list(map(repr, a)) == list(map(repr, b)) for a, b in zip(one.columns, other.columns, strict=True)
    )
