"""Headers of data files, read before anything runs, held against the tables that ``data.load`` makes of them."""

from __future__ import annotations

import gzip
from typing import Any

import pandas as pd
import pytest

from context import LocalContext
from e2i.errors import StepError
from e2i.tools.data import LoadParams, actions, header
from e2i.tools.data.unclear import UnclearError
from e2i.workspace.files import WorkspaceFiles
from e2i.workspace.paths import Roots

FRAME = pd.DataFrame(
    {
        "id": ["a", "b"],
        "n": [1, 2],
        "x": [0.5, 1.5],
        "at": pd.to_datetime(["2024-01-01", "2024-01-02"], utc=True),
        "b": [True, False],
    }
)


def read(ctx: LocalContext, path: str, **changed: Any) -> list[tuple[str, str | None]] | None:
    given = {
        name: field.get_default(call_default_factory=True)
        for name, field in LoadParams.model_fields.items()
        if not field.is_required()
    }
    found = header.read({**given, "path": path, **changed}, WorkspaceFiles(Roots(ctx.workspace)))
    return None if found is None else [(name, found.columns[name]) for name in found.names]


def loaded(ctx: LocalContext, path: str) -> list[tuple[str, str]]:
    return [(column.name, column.type) for column in actions.load(LoadParams(path=path), ctx).table.columns]


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet", "t.pq", "t.feather", "t.arrow", "sub/T.CSV"])
def test_the_columns_are_those_of_the_table_that_is_loaded(ctx: LocalContext, name: str) -> None:
    path = ctx.workspace / name
    path.parent.mkdir(exist_ok=True)
    if ".csv" in name.lower():
        FRAME.to_csv(path, index=False)
    elif name.endswith(("parquet", "pq")):
        FRAME.to_parquet(path)
    else:
        FRAME.to_feather(path, compression="uncompressed")
    found, real = read(ctx, name), loaded(ctx, name)
    assert found is not None
    assert [column for column, _ in found] == [column for column, _ in real]
    assert all(kind in (None, type_) for (_, kind), (_, type_) in zip(found, real, strict=True))
    if ".csv" not in name.lower():
        assert found == real


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ({}, ["word", "mixed", "late"]),
        ({"nulls": ("", "few")}, ["word", "late"]),
        ({"true_values": ("yes",), "false_values": ("no",)}, ["mixed", "late"]),
        ({"types": {"word": "string"}}, ["mixed", "late"]),
        ({"rows": 1}, []),
    ],
)
def test_words_make_a_column_of_texts_before_the_run(
    ctx: LocalContext, given: dict[str, Any], texts: list[str]
) -> None:
    """Numbers, booleans, infinities and what stands for missing values decide nothing."""
    rows = ["1,yes,1,true,NA,inf,2024-01-01T00:00:00Z,1", "2,no,few,false,2,-Inf,2024-01-02T00:00:00Z,x1y"]
    text = "\n".join(
        ["n,word,mixed,flag,gap,top,at,code,late", *(f"{row},{end}" for row, end in zip(rows, "1a", strict=True))]
    )
    (ctx.workspace / "t.csv").write_text(text.replace(",a", ",ab"))
    found = dict(read(ctx, "t.csv", **given) or [])
    assert [name for name, kind in found.items() if kind == "string"] == texts
    real = {one.name: one.type for one in actions.load(LoadParams(path="t.csv", **given), ctx).table.columns}
    assert {name: real[name] for name in texts} == dict.fromkeys(texts, "string")


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ('"a, b","c\nd",e\n1,2,3\n', ["a, b", "c\nd", "e"]),
        ("\n\na,b\n1,2\n", ["a", "b"]),
        ("\ufeffa,b\n1,2\n", ["a", "b"]),
        ("a,b\r\n1,2\r\n", ["a", "b"]),
        ("Größe,名\n1,2\n", ["Größe", "名"]),
        ("a,a\n1,2\n", ["a", "a"]),
    ],
)
def test_csv_headers_as_people_write_them(ctx: LocalContext, text: str, columns: list[str]) -> None:
    (ctx.workspace / "t.csv").write_text(text, "utf-8", newline="")
    found = read(ctx, "t.csv")
    assert found is not None and [name for name, _ in found] == columns
    if len(set(columns)) == len(columns):
        assert [name for name, _ in loaded(ctx, "t.csv")] == columns


def test_a_file_that_is_not_there_is_told_from_one_that_cannot_be_looked_at(ctx: LocalContext) -> None:
    (ctx.workspace / "data").mkdir()
    (ctx.workspace / "data" / "journeys.csv").write_text("a\n1\n", "utf-8")
    with pytest.raises(header.NoFileError) as caught:
        read(ctx, "data/journey.csv")
    assert caught.value.near == ("data/journeys.csv",)
    assert read(ctx, "data") == [("a", None)]  # all files in it
    assert read(ctx, "../outside.csv") is None


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b'"' + b"x" * 200_000, b"a" * (2 << 20), b"PAR1 no parquet"])
def test_what_cannot_be_read_is_not_known_or_refused_as_in_the_run(ctx: LocalContext, content: bytes) -> None:
    for name in ("t.csv", "t.parquet", "t.feather", "t.xyz"):
        (ctx.workspace / name).write_bytes(content)
    assert read(ctx, "t.parquet") is None
    assert read(ctx, "t.feather") is None
    assert read(ctx, "t.xyz") is None
    if content[:3] != b"PAR":  # the run refuses it as well
        for look in (read, loaded):
            with pytest.raises((UnclearError, StepError)) as raised:
                look(ctx, "t.csv")
            assert raised.value.code in ("empty-table", "unreadable-file", "header-too-long")


def test_a_small_file_that_unpacks_to_a_large_one_is_looked_at_only_in_part(ctx: LocalContext) -> None:
    with gzip.open(ctx.workspace / "bomb.csv.gz", "wb") as file:
        for _ in range(64):
            file.write(b"0" * (1 << 20))
    with pytest.raises(UnclearError, match=r"the header of bomb\.csv\.gz does not end within 1 MB"):
        read(ctx, "bomb.csv.gz")


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow"])
def test_a_footer_that_takes_much_memory_is_not_read(
    ctx: LocalContext, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(f"c{index}", pa.int8()) for index in range(300)])
    path = str(ctx.workspace / name)
    with pq.ParquetWriter(path, schema) if name == "t.parquet" else pa.ipc.new_file(path, schema):
        pass
    known = read(ctx, name)
    assert known is not None
    assert len(known) == 300
    monkeypatch.setattr(header, "FOOTER", 1_000)
    assert read(ctx, name) is None
    monkeypatch.undo()
    monkeypatch.setattr(header, "MOST_ELEMENTS", 300)  # one more is the root of the schema
    assert (read(ctx, name) is None) == (name == "t.parquet")
    monkeypatch.setattr(header, "MOST_ELEMENTS", 301)
    assert read(ctx, name) is not None
