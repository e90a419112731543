"""A secret in what leaves a step is found in every form, wherever it is; ordinary data is not taken for one."""

from __future__ import annotations

import base64
import html
import json
import urllib.parse
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2i.workers import frames, masking, scanning, tables
from e2i.workers.scanning import Scanner

SECRET = 'k9/X+q2"Lm<Zé&7vT'
LARGE = scanning.LARGE + 12_345
FORMS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 after one byte": lambda text: base64.b64encode(b"x" + text.encode() + b"yz").decode(),
    "base64 after two bytes": lambda text: base64.b64encode(b"xy" + text.encode() + b"z").decode(),
    "base64 of a URL": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "hexadecimal": lambda text: text.encode().hex(),
    "capital hexadecimal": lambda text: text.encode().hex().upper(),
    "hexadecimal with colons": lambda text: text.encode().hex(":"),
    "percent": lambda text: urllib.parse.quote(text, safe=""),
    "small percent": lambda text: urllib.parse.quote(text, safe="").replace("%2B", "%2b").replace("%2F", "%2f").replace(
        "%3C", "%3c").replace("%C3%A9", "%c3%a9"),
    "form": urllib.parse.quote_plus,
    "every byte in percent": lambda text: "%" + text.encode().hex("%"),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON with letters": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON with slashes": lambda text: json.dumps(text).replace("/", "\\/")[1:-1],
    "JSON for a page": lambda text: json.dumps(text)[1:-1].replace("<", "\\u003c").replace("&", "\\u0026"),
    "HTML": html.escape,
    "Python": lambda text: repr(text)[1:-1],
    "reversed": lambda text: text[::-1],
    "base64 of the reversed": lambda text: base64.b64encode(text[::-1].encode()).decode(),
}  # fmt: skip


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(SECRET, id="signs"),
        pytest.param("k9Xq2LmZ", id="short", marks=pytest.mark.slow),
        pytest.param("p-" * 4 + "0123456789" * 9, id="long", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_found_wherever_it_begins(form: str, secret: str) -> None:
    scanner, shown = Scanner([secret]), FORMS[form](secret).encode()
    assert scanner.is_in(b"before " + shown + b" after")
    content = bytearray(np.random.default_rng(7).bytes(LARGE))
    assert not scanner.is_in(content)
    edge = (len(secret) + scanning.BLOCK) * 5
    for at in (0, 1, 2, 3, edge, edge + 1, LARGE - len(shown)):
        kept = bytes(content[at : at + len(shown)])
        content[at : at + len(shown)] = shown
        assert scanner.is_in(content), at
        content[at : at + len(shown)] = kept


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=8, max_size=40), st.integers(0, scanning.LARGE), st.sampled_from(sorted(FORMS)))
def test_large_and_small_content_are_judged_alike(secret: str, at: int, form: str) -> None:
    try:
        shown = FORMS[form](secret).encode("utf-8", "surrogatepass")
    except UnicodeEncodeError:
        return
    scanner = Scanner([secret])
    content = bytes(at) + shown + bytes(LARGE - at)
    assert scanner.is_in(content) == scanner.is_in(bytes(9) + shown + bytes(9))


def test_what_is_like_a_secret_is_none() -> None:
    scanner = Scanner([SECRET, "abcdefgh-ijkl"])
    many = ("abcd-efgh " * (LARGE // 10)).encode()  # groups of a form, everywhere
    assert not scanner.is_in(many)
    assert scanner.is_in(many + b"abcdefgh-ijkl")
    assert not Scanner([]).is_in(many)


def test_each_line_of_a_key_is_looked_for_but_not_what_all_keys_have() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqh\nkiG9w0BAQEFAASCB\n-----END PRIVATE KEY-----\n"
    scanner = Scanner([key])
    assert scanner.is_in(b"x kiG9w0BAQEFAASCB y") and scanner.is_in(json.dumps({"k": key}).encode())
    assert not scanner.is_in(b"-----BEGIN PRIVATE KEY-----")


def test_data_is_searched_in_keys_and_values_and_the_way_to_a_find_does_not_show_it() -> None:
    scanner = Scanner([SECRET, "4711471147114711"])
    for data, where in (
        ({"a": [1, {"b": f"x{SECRET}"}]}, "a.1.b"), ({"a": {SECRET: 1}}, "a.(a key)"), ({"n": 4711471147114711}, "n"),
    ):  # fmt: skip
        assert scanner.is_in_data(data) and not scanner.is_in_data({"a": where})
        assert scanner.leaf(data) == where
    assert not scanner.is_in_data({"a": [1, None, True, 0.5]})
    assert all(scanner.is_in_data({"a": [shown(SECRET)]}) for shown in FORMS.values())
    assert scanner.is_in_data({"a": json.dumps({"t": SECRET})})


@pytest.mark.parametrize("rows", [3, 200_000])
@pytest.mark.parametrize(
    "make",
    [
        lambda texts: pd.Series(texts), lambda texts: pd.Series(texts, dtype="category"),
        lambda texts: pd.Series([text.encode() for text in texts]), lambda texts: pd.Series([[text] for text in texts]),
        lambda texts: pd.Series([{"k": text} for text in texts]),
    ],
    ids=["texts", "categories", "bytes", "lists", "structures"],
)  # fmt: skip
def test_a_column_is_searched_whatever_it_is_made_of(
    make: Callable[[list[str]], pd.Series], rows: int, tmp_path: Path
) -> None:
    scanner, path = Scanner([SECRET]), tmp_path / "t.arrow"
    texts = [f"ordinary {i}" for i in range(rows)]
    tables.write(frames.to_arrow(pd.DataFrame({"x": range(rows), "c": make(texts)})), path)
    assert not scanner.is_in_content(path)
    texts[rows // 2] = f"a {SECRET} b"
    tables.write(frames.to_arrow(pd.DataFrame({"x": range(rows), "c": make(texts)})), path)
    assert scanner.is_in_content(path)
    assert scanner.table(path) == 'column "c"'


def test_a_column_that_is_called_like_a_secret_is_found_and_not_named(tmp_path: Path) -> None:
    path = tmp_path / "t.arrow"
    tables.write(frames.to_arrow(pd.DataFrame({"x": [1], SECRET: [2]})), path)
    scanner = Scanner([SECRET])
    assert scanner.is_in_content(path) and scanner.table(path) == "the name of column 2"


@pytest.mark.parametrize("compression", ["NONE", "SNAPPY", "ZSTD", "GZIP"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_parquet_is_searched_as_values(compression: str, dictionary: bool, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    for text, holds in (("ordinary", False), (SECRET, True)):
        table = pa.table({"c": ["some text that repeats"] * 5_000 + [text]})
        pq.write_table(table, path, compression=compression, use_dictionary=dictionary)
        assert Scanner([SECRET]).is_in_file(path) is holds


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
@pytest.mark.parametrize("kind", ["texts", "categories"])
def test_compressed_arrow_is_searched_as_values(compression: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "t.arrow"
    for text, holds in (("ordinary", False), (SECRET, True)):
        column = pa.array(["some text that repeats"] * 5_000 + [text])
        table = pa.table({"c": column.dictionary_encode() if kind == "categories" else column})
        with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
            writer.write_table(table)
        assert Scanner([SECRET]).is_in_file(path) is holds


def test_folders_archives_and_names_are_searched(tmp_path: Path) -> None:
    scanner = Scanner(["k9Xq2LmZvT"])
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.bin").write_bytes(b"nothing")
    (folder / "empty").touch()
    assert not scanner.is_in_file(folder)
    with zipfile.ZipFile(folder / "deep" / "weights.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w", b"a" * 999 + b"k9Xq2LmZvT")
    assert scanner.is_in_file(folder)
    (folder / "deep" / "weights.npz").unlink()
    (folder / "deep" / "k9Xq2LmZvT.txt").touch()
    assert scanner.is_in_file(folder)


def test_wide_characters_are_found() -> None:
    for code in ("utf-16-le", "utf-16-be", "utf-16"):
        assert Scanner([SECRET]).is_in(SECRET.encode(code))


def test_the_forms_are_those_that_are_masked() -> None:
    masker = masking.Masker([SECRET])
    for form, shown in FORMS.items():
        assert shown(SECRET) not in masker.text(f"x {shown(SECRET)} y"), form
