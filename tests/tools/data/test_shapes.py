"""CSV files as people have them: each is read as pandas reads it with the right options, or refused with line and reason.

For each shape, what a plan tells of the columns is what the run gives.
"""

from __future__ import annotations

import gzip
import io
from typing import Any

import pandas as pd
import pytest

from context import LocalContext
from e2i.catalog.columns import KnownTable
from e2i.errors import StepError
from e2i.tools.data import LoadParams, actions, columns
from e2i.workspace.files import WorkspaceFiles
from e2i.workspace.paths import Roots

BASE = "id,name,x\n1,ann,0.5\n2,bob,1.5\n"
SEMI = "id;x;name\n1;0,5;ann\n2;1,25;bob\n"

READ: dict[str, tuple[str | bytes, dict[str, Any], dict[str, Any]]] = {
    # name: content, parameters of data.load, options of pandas
    "a spreadsheet's first line": ("sep=;\na;b\n1;2\n", {}, {"sep": ";", "skiprows": 1}),
    "another first line": ("sep=|\r\na|b\r\n1|2,5\r\n", {}, {"sep": "|", "skiprows": 1, "decimal": ","}),
    "one column of quoted texts": ('name\n"Doe, A"\n"Roe; B"\n', {}, {}),
    "one column of lists": ('tags\na|b\nc\nd|e|f\n', {}, {}),
    "plain": (BASE, {}, {}),
    "no newline at the end": (BASE[:-1], {}, {}),
    "crlf": (BASE.replace("\n", "\r\n"), {}, {}),
    "cr": (BASE.replace("\n", "\r"), {}, {"lineterminator": "\r"}),
    "blank lines": ("\n\n" + BASE.replace("\n", "\n\n"), {}, {}),
    "bom": (b"\xef\xbb\xbf" + BASE.encode(), {}, {"encoding": "utf-8-sig"}),
    "utf-16 with bom": (BASE.encode("utf-16"), {}, {"encoding": "utf-16"}),
    "utf-16-be with bom": (b"\xfe\xff" + BASE.encode("utf-16-be"), {}, {"encoding": "utf-16"}),
    "utf-16-le stated": (BASE.encode("utf-16-le"), {"encoding": "utf-16-le"}, {"encoding": "utf-16-le"}),
    "latin-1 stated": ("id,name\n1,Zoé\n".encode("latin-1"), {"encoding": "latin-1"}, {"encoding": "latin-1"}),
    "cp1252 stated": ("id,name\n1,“é” €\n".encode("cp1252"), {"encoding": "cp1252"}, {"encoding": "cp1252"}),
    "utf-8": ("id,Größe\n1,名前\n", {}, {}),
    "semicolon": (SEMI.replace(",", "."), {}, {"sep": ";"}),
    "semicolon, decimal comma": (SEMI, {}, {"sep": ";", "decimal": ","}),
    "semicolon, points between thousands": ("a;b\n1.234,5;x\n12,25;y\n", {}, {"sep": ";", "decimal": ",", "thousands": "."}),
    "three decimals after a zero": ('a,b\n"0,793","0,25"\n"12,125","0,125"\n', {}, {"decimal": ","}),
    "a point after a zero beside commas": ("a;b\n1,5;0.793\n2,25;0.125\n", {}, {"sep": ";", "decimal": ",", "thousands": None}),
    "decimal comma stated": ('a,b\n"1,234",x\n', {"decimal": ","}, {"decimal": ","}),
    "thousands stated": ('a,b\n"1,234",x\n"12",y\n', {"thousands": ","}, {"thousands": ","}),
    "points between thousands stated": ("a;b\n1.234.567;x\n12.000;y\n", {"thousands": "."}, {"sep": ";", "thousands": ".", "decimal": ","}),
    "tab, decimal comma": ("a\tb\n1,5\tx\n12,25\ty\n", {}, {"sep": "\t", "decimal": ","}),
    "spaces in the header": ("a, b\n1, x\n", {}, {}),
    "thousands recognised": ('a,b\n"1,234,567",x\n"2,000.5",y\n', {}, {"thousands": ","}),
    "thousands by apostrophes": ("a,b\n1'234,x\n12,y\n", {"thousands": "'"}, {"thousands": "'"}),
    "thousands by spaces": ("a,b\n1 234,x\n12,y\n", {"thousands": " "}, {"thousands": " "}),
    "tab": (BASE.replace(",", "\t"), {}, {"sep": "\t"}),
    "bar": (BASE.replace(",", "|"), {}, {"sep": "|"}),
    "colon stated": (BASE.replace(",", ":"), {"delimiter": ":"}, {"sep": ":"}),
    "space stated": (BASE.replace(",", " "), {"delimiter": " "}, {"sep": " "}),
    "tsv with commas in texts": ("id\tname\n1\tDoe, J\n2\tRoe, K\n", {}, {"sep": "\t"}),
    "quoted separators": ('id,name\n1,"Doe, J"\n2,"a ""b"" c"\n', {}, {}),
    "quoted newlines": ('id,name\n1,"a\nb"\n2,"c\r\nd"\n', {}, {}),
    "quoted header": ('"id, n","na\nme"\n1,x\n', {}, {}),
    "all quoted": ('"id","x"\n"1","0.5"\n"2",""\n', {}, {}),
    "single quotes": ("id,name\n1,'Doe, J'\n2,'Roe'\n", {}, {"quotechar": "'"}),
    "single quotes stated": ("id,name\n1,'Doe'\n", {"quote": "'"}, {"quotechar": "'"}),
    "no quotes": ('id,name\n1,5" pipe\n2,"\n', {"quote": "", "dialect": "exact"}, {"quoting": 3}),
    "a quote inside": ('id,name\n1,5" pipe\n2,x\n', {}, {}),
    "backslash escapes": ('id,name\n1,"say \\"hi\\", now"\n2,x\n', {}, {"escapechar": "\\"}),
    "backslash in paths": ("id,name\n1,C:\\temp\\x\n2,y\n", {}, {}),
    "comment above": ("# exported 2024-01-31, by me\n# twice\n" + BASE, {}, {"skiprows": 2}),
    "comments stated": ("# a\n" + BASE + "# end, really\n", {"comment": "#"}, {"comment": "#"}),
    "skip stated": ("Report;of;2024;x\n\n" + BASE, {"skip": 2}, {"skiprows": 2}),
    "hash header": ("#id,name\n1,x\n2,y\n", {}, {}),
    "no header": ("1,ann\n2,bob\n", {"header": False}, {"header": None, "names": ["column_1", "column_2"]}),
    "no header, named": ("1,ann\n2,bob\n", {"header": False, "columns": {"id": "integer", "name": "string"}}, {"header": None, "names": ["id", "name"]}),
    "numeric header stated": ("country,2019,2020\nFR,1,2\n", {"header": True}, {}),
    "trailing separators": ("id,name,\n1,x,\n2,y,\n", {}, {"usecols": ["id", "name"]}),
    "trailing separators in rows": ("id,name\n1,x,\n2,y,\n", {}, {"index_col": False}),
    "pandas' own index": (",id,x\n0,7,0.5\n1,8,1.5\n", {}, {"index_col": 0}),
    "pandas' own index, asked for": (",id\n0,7\n1,8\n", {"columns": ["row_name", "id"]}, {"header": 0, "names": ["row_name", "id"]}),
    "names of rows": ("mpg,cyl\nMazda RX4,21.0,6.0\nDatsun,22.8,4.0\n", {}, {"index_col": 0, "header": 0, "names": ["r", "mpg", "cyl"]}),
    "names of rows, as R writes": ('"mpg","cyl"\n"Mazda RX4",21,6\n"Datsun",22,4\n', {}, {"index_col": 0, "header": 0, "names": ["r", "mpg", "cyl"]}),
    "ragged, reported": ("id,x\n1,2\n3\n4,5,6\n7,8\n", {"bad_rows": "report"}, {"skiprows": [2, 3]}),
    "one column": ("id\n1\n2\n", {}, {}),
    "one column of texts": ("full name\nJohn Doe\nJane Roe\n", {}, {}),
    "nulls among numbers": ("a,b\n1,NA\n,0.5\n3,nan\n", {}, {}),
    "texts that look like nulls": ("name,b\nNull,1\nNA,2\nNone,3\nnan,4\n,5\n", {}, {"keep_default_na": False, "na_values": {"name": [""]}}),
    "own nulls": ("a,b\n-999,x\n5,-\n", {"nulls": ["", "-999", "-"]}, {"na_values": ["-999", "-"]}),
    "booleans": ("a,b\ntrue,True\nFALSE,false\n", {}, {}),
    "own booleans": ("a\nyes\nno\n", {"true_values": ["yes"], "false_values": ["no"]}, {"true_values": ["yes"], "false_values": ["no"]}),
    "19 digits": ("id\n1234567890123456789\n-1\n", {}, {}),
    "64 bits": ("id\n18446744073709551615\n1\n", {}, {}),
    "many digits": ("id\n123456789012345678901234567890\n1\n", {}, {"dtype": str}),
    "identifiers stated": ("id,x\n00731,1\n", {"types": {"id": "string"}}, {"dtype": {"id": str}}),
    "hexadecimal": ("a\n0x1F\n0x20\n", {}, {}),
    "signs and exponents": ("a,b,c\n+1,1e3,.5\n-2,-1E-3,2.\n", {}, {}),
    "spaces around numbers": ("a,b\n 1 ,2\n2, 3\n", {}, {}),
    "dates are texts": ("d,x\n2024-01-31,1\n", {}, {}),
    "infinite": ("a\ninf\n-inf\n1.5\n", {}, {}),
    "wide": (",".join(f"c{i}" for i in range(500)) + "\n" + ",".join(map(str, range(500))) + "\n", {}, {}),
    "long lines": ("id,t\n1," + "x" * 70_000 + "\n2,y\n", {}, {}),
    "a type that changes far down": ("a,b\n" + "1,x\n" * 400_000 + "0.5,y\n", {}, {}),
}  # fmt: skip

REFUSED: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    # name: content, parameters, the message
    "an unquoted comma": ("id,income,y\n0,6286,1\n7,47,354,1\n", {}, "line 3 of t.csv has 4 fields, the header has 3"),
    "a field more in each row": ("mpg,cyl,hp\n1,21.0,6,110\n2,22.8,4,93\n", {}, "line 2 of t.csv has 4 fields, the header has 3"),
    "thousands without quotes": ("a,b\n1,234,x\n2,345,y\n", {}, "line 2 of t.csv has 3 fields, the header has 2"),
    "a field less": ("a,b\n1,2\n3\n", {}, "line 3 of t.csv has 1 fields, the header has 2"),
    "far down": ("a,b\n" + "1,2\n" * 200_000 + "1,2,3\n", {}, "line 200002 of t.csv has 3 fields, the header has 2"),
    "after quoted newlines": ('a,b\n"x\ny",2\n1,2,3\n', {}, "line 4 of t.csv has 3 fields, the header has 2"),
    "a preface": ("Report of 2024\n\na,b,c\n1,2,3\n1,2,3\n", {}, "line 3 of t.csv has 3 fields, the header has 1"),
    "a comment between rows": ("a,b\n1,2\n# note\n3,4\n", {}, "line 3 of t.csv has 1 fields, the header has 2"),
    "no header": ("5.1,3.5,setosa\n4.9,3.0,setosa\n", {}, "line 1 of t.csv may be names or data"),
    "no header, dates": ("2024-01-01,x\n2024-01-02,y\n", {}, "line 1 of t.csv may be names or data"),
    "two separators": ("a,b;c,d\n1,2;3,4\n", {}, "can be read with comma or semicolon between fields"),
    "a comma that may be decimal": ('a,b\n"1,234",2\n', {}, 'the commas in column "a" may be decimal marks or separate thousands'),
    "points between thousands": ("a;b\n1.234.567;x\n12.000;y\n", {}, 'the points in column "a" may separate thousands'),
    "a title": ("Report of 2024\nid;x\n1;2\n3;4\n", {}, "from line 2 on, lines have 2 fields separated by semicolon"),
    "two titles": ("Report\n2024\n\nid\tx\n1\t2\n", {}, "from line 4 on, lines have 2 fields separated by tab"),
    "two kinds of quotes": ("a,b\n'x',2\n'y',3\n", {}, "can be read with"),
    "aligned columns": ("a   b\n1   2\n10  3\n", {}, "seems to have spaces between fields"),
    "latin-1": ("a,b\n1,x\n2,é\n".encode("latin-1"), {}, "line 3 of t.csv has the byte 0xe9"),
    "latin-1 far down": (b"a,b\n" + b"1,x\n" * 100_000 + b"2,\xe9\n", {}, "line 100002 of t.csv has the byte 0xe9"),
    "utf-16 without mark": (BASE.encode("utf-16-le"), {}, "seems to be UTF-16 without a byte order mark"),
    "another encoding than stated": (b"a\n\x81\n", {"encoding": "cp1252"}, "line 2 of t.csv has the byte 0x81"),
    "no name": ("a,,b\n1,2,3\n", {}, "field 2 has no name in line 1"),
    "two empty names": (",,a\n1,2,3\n", {}, "field 2 has no name in line 1"),
    "a value in a trailing field": ("a,b,\n" + "1,2,\n" * 50_000 + "1,2,3\n", {}, "the last field has no name, but a row has a value in it"),
    "twice one name": ("a,a\n1,2\n", {}, "duplicate column names: a"),
    "empty": ("", {}, "no header and no rows"),
    "a long integer among fractions": ("a,id\n1,9007199254740993\n2,0.5\n", {}, "column 'id' has the integer 9007199254740993 among numbers with fractions"),
    "with thousands": ("id;x\n9.007.199.254.740.993;1\n0,5;2\n", {}, "column 'id' has the integer 9007199254740993 among"),
    "only spaces": ("  \n\n \n", {}, "no header and no rows"),
    "a name of spaces": ("a,  ,b\n1,2,3\n", {}, "field 2 has no name in line 1"),
    "gzip without its suffix": (gzip.compress(BASE.encode()), {}, "t.csv is compressed with gzip, not CSV"),
    "a workbook": (b"PK\x03\x04\x14\x00a,b\n1,2\n", {}, "t.csv is a ZIP archive, or a workbook, not CSV"),
    "a page of errors": ("<!DOCTYPE html>\n<title>404, Not Found</title>\n<p>a,b</p>\n", {}, "t.csv is an HTML or XML document, not CSV"),
    "a pointer": ("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1\n", {}, "t.csv is a pointer of Git LFS to the file"),
    "objects": ('{"a": 1, "b": 2}\n{"a": 2, "b": 3}\n', {}, "t.csv is JSON, not CSV"),
    "only a header": ("a,b\n", {}, "has no rows"),
    "an open quote": ('a,b\n1,"x\n2,y\n', {}, "unexpected end of data"),
    "text after quotes": ('a,b\n1,"x" y\n', {}, "after line 1"),
    "not an integer": ("a\n1\n1.5\n", {"columns": {"a": "integer"}}, "column 'a' is not a valid integer in 1 rows, first in data row 2: '1.5'"),
    "20 digits": ("a\n12345678901234567890\n", {"columns": {"a": "integer"}}, "column 'a' is not a valid integer"),
    "not a date": ("a\n2024-02-30\n", {"columns": {"a": "date"}}, "column 'a' is not a valid date"),
    "too many decimals": ("a\n19.999\n", {"columns": {"a": "decimal(10,2)"}}, "column 'a' is not a valid decimal(10,2)"),
    "a finer time": ("a\n2024-01-01T00:00:00.123456789\n", {"columns": {"a": "timestamp"}}, "column 'a' is not a valid timestamp"),
    "an absent column": (BASE, {"columns": {"idd": "integer"}}, "no column"),
    "other names than fields": ("1,2,3\n", {"header": False, "columns": {"a": "integer"}}, "has 3 fields, and `columns` names 1"),
}  # fmt: skip


def put(ctx: LocalContext, content: str | bytes) -> None:
    (ctx.workspace / "t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())


def planned(ctx: LocalContext, **params: Any) -> Any:
    given = LoadParams.model_validate({"path": "t.csv", **params})
    return columns.load(
        {name: getattr(given, name) for name in LoadParams.model_fields}, WorkspaceFiles(Roots(ctx.workspace))
    )


@pytest.mark.parametrize("name", READ)
def test_a_file_is_read_as_pandas_reads_it_with_the_right_options(ctx: LocalContext, name: str) -> None:
    content, params, options = READ[name]
    put(ctx, content)
    loaded = actions.load(LoadParams.model_validate({"path": "t.csv", **params}), ctx)
    found = ctx.arrow(loaded.table)
    raw = content if isinstance(content, bytes) else content.encode()
    right = pd.read_csv(io.BytesIO(raw), low_memory=False, **options).reset_index(drop=True)
    assert found.column_names == [str(column) for column in right.columns]
    for column in found.column_names:
        theirs = [None if pd.isna(value) else value for value in right[column]]
        assert found[column].to_pylist() == theirs, column
    flow = planned(ctx, **params)
    assert all(problem.severity == "warning" for problem in flow.problems)
    known = flow.outputs["table"]
    assert isinstance(known, KnownTable) and list(known.columns) == found.column_names
    assert all(kind in (None, str(found[column].type)) for column, kind in known.columns.items())
    assert {problem.message.partition(": ")[2] for problem in flow.problems} <= set(loaded.notes)


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_without_one_certain_reading_is_refused_with_the_reason(ctx: LocalContext, name: str) -> None:
    content, params, message = REFUSED[name]
    put(ctx, content)
    with pytest.raises(StepError) as raised:
        actions.load(LoadParams.model_validate({"path": "t.csv", **params}), ctx)
    assert message in raised.value.message
    errors = [problem for problem in planned(ctx, **params).problems if problem.severity == "error"]
    if len(content) < 60_000 and errors:
        assert [problem.code for problem in errors] == [raised.value.code]


def test_a_nul_byte_stays_in_its_text(ctx: LocalContext) -> None:
    put(ctx, b"a,b\nx\0y,1\n")
    assert ctx.arrow(actions.load(LoadParams(path="t.csv"), ctx).table).to_pydict() == {"a": ["x\0y"], "b": [1]}


@pytest.mark.parametrize(
    ("content", "params", "note"),
    [
        ("zip,x\n10001,1\n02116,2\n", {}, "leading zeros of numbers are lost in zip: declare such a column a string if they count"),
        ("id\n9007199254740994\n0.5\n9007199254740993.5\n1e18\n", {}, None),
        ("id\n18446744073709551616\n1\n", {}, "column 'id' has integers of more than 64 bits, which are read as texts"),
        ("t\n2024-01-01T00:00:00+02:00\n2024-01-01 05:00\n", {"types": {"t": "timestamp"}}, "column 't' has 1 times without an offset among others with one; they are read as UTC"),
        ("zip\n02116\n", {"types": {"zip": "integer"}}, None),
        ("id\n9007199254740993\n0.5\n", {"types": {"id": "number"}}, None),
        ("x\n1e300\n0.5\n0\n", {}, None),
        ("t\n2024-01-01T00:00:00+02:00\n2024-01-01T00:00Z\n", {"types": {"t": "timestamp"}}, None),
    ],
)  # fmt: skip
def test_what_a_reading_may_lose_is_said(
    ctx: LocalContext, content: str, params: dict[str, Any], note: str | None
) -> None:
    put(ctx, content)
    assert actions.load(LoadParams.model_validate({"path": "t.csv", **params}), ctx).notes == ((note,) if note else ())


SEEN_BEFORE = [
    name
    for name, (content, _, message) in REFUSED.items()
    if len(content) < 60_000
    and "is not a valid" not in message
    and "has the integer" not in message
    and name != "only a header"
]


@pytest.mark.parametrize("name", SEEN_BEFORE)
def test_what_the_first_bytes_show_is_a_problem_of_the_plan(ctx: LocalContext, name: str) -> None:
    content, params, _ = REFUSED[name]
    put(ctx, content)
    assert [problem for problem in planned(ctx, **params).problems if problem.severity == "error"]


def test_a_column_that_holds_a_separator_in_its_name_is_a_warning(ctx: LocalContext) -> None:
    put(ctx, SEMI)
    (problem,) = planned(ctx, delimiter="\t").problems
    assert problem.severity == "warning" and "one column is read, whose name holds a semicolon" in problem.message
