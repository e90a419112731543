"""The formats of data files, and how the parameters describe one. In: parameters. Out: a format, what is stated.

Parameters come from a model in a run and from a mapping in a plan, so that both read a file in one way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from e2i.tools.data.dialect import Stated
from e2i.tools.data.texts import Marks

SUFFIXES = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".tsv": "tsv",
    ".tsv.gz": "tsv",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".feather": "feather",
    ".arrow": "feather",
    ".xlsx": "excel",
    ".xls": "excel",
    ".ods": "excel",
}
USUAL = {"csv": ",", "tsv": "\t"}
"""The separators of text formats."""


def of(path: str) -> str | None:
    """Return the format that the suffix of a path stands for."""
    name = path.lower()
    return next((kind for suffix, kind in SUFFIXES.items() if name.endswith(suffix)), None)


def written(path: str) -> str | None:
    """Return the format in which a table is written to a path, by its suffix."""
    name = path.lower()
    kind = of(path)
    return None if kind == "excel" or name.endswith(".gz") else kind or ("json" if name.endswith(".json") else None)


def selection(columns: Any) -> Sequence[str] | None:
    """Return the names of the columns to read; None for all."""
    return None if columns is None else list(columns)


def declared(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the declared types, from ``types``, ``parse_dates`` and ``columns``."""
    contract = given["columns"] if isinstance(given["columns"], Mapping) else {}
    return {**given["types"], **dict.fromkeys(given["parse_dates"], "timestamp"), **contract}


def stated(given: Mapping[str, Any], kind: str) -> Stated:
    """Return what the parameters say of a text file."""
    types = declared(given)
    return Stated(
        encoding=given["encoding"],
        delimiter=given["delimiter"],
        quote=given["quote"],
        escape=given["escape"],
        decimal=given["decimal"],
        thousands=given["thousands"],
        header=given["header"],
        skip=given["skip"],
        comment=given["comment"],
        auto=given["dialect"] == "auto",
        lenient=given["bad_rows"] == "report",
        usual=USUAL[kind],
        names=tuple(given["columns"]) if given["header"] is False and isinstance(given["columns"], Mapping) else (),
        texts=frozenset(name for name, declared_ in types.items() if declared_ == "string"),
        typed=frozenset(types),
        others=frozenset([*given["nulls"], *given["true_values"], *given["false_values"]]),
    )


def marks(given: Mapping[str, Any], decimal: str, thousands: str | None) -> Marks:
    """Return how numbers, booleans and missing values are written."""
    return Marks(
        decimal=decimal,
        thousands=thousands,
        nulls=tuple(given["nulls"]),
        true=tuple(given["true_values"]),
        false=tuple(given["false_values"]),
    )
