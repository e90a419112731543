"""JSON lines, Excel, Parquet and Arrow files, and the contracts of their columns."""

from __future__ import annotations

import datetime as dt
import gzip
import zipfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from context import LocalContext
from e2i.catalog.columns import KnownTable
from e2i.errors import StepError
from e2i.tools.data import LoadParams, actions, columns
from e2i.workspace.files import WorkspaceFiles
from e2i.workspace.paths import Roots

Cell = str | float | bool | dt.date | None


def workbook(path: Path, sheets: dict[str, Sequence[Sequence[Cell]]]) -> None:
    """Writes an Excel file. Dates are numbers with a date's format, as Excel stores them."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"

    def cell(value: Cell) -> str:
        match value:
            case None:
                return "<c/>"
            case bool():
                return f'<c t="b"><v>{int(value)}</v></c>'
            case str():
                return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
            case dt.date():
                return f'<c s="1"><v>{(value - dt.date(1899, 12, 30)).days}</v></c>'
        return f"<c><v>{value!r}</v></c>"

    def sheet(rows: Sequence[Sequence[Cell]]) -> str:
        body = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
        return f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>'

    names = list(sheets)
    with zipfile.ZipFile(path, "w") as archive:
        parts = "".join(
            f'<Override PartName="/xl/worksheets/sheet{i}.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>'
            for i in range(len(names))
        )
        archive.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{package}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>{parts}</Types>',
        )
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r" Type="{relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        listed = "".join(f'<sheet name="{name}" sheetId="{i + 1}" r:id="r{i}"/>' for i, name in enumerate(names))
        archive.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{main}" xmlns:r="{relations}"><sheets>{listed}</sheets></workbook>'
        )
        links = "".join(
            f'<Relationship Id="r{i}" Type="{relations}/worksheet" Target="worksheets/sheet{i}.xml"/>'
            for i in range(len(names))
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{package}/relationships">{links}<Relationship Id="s" Type="{relations}/styles" Target="styles.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/styles.xml",
            f'<styleSheet xmlns="{main}"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>',
        )
        for i, name in enumerate(names):
            archive.writestr(f"xl/worksheets/sheet{i}.xml", sheet(sheets[name]))


def load(ctx: LocalContext, path: str, **params: Any) -> pa.Table:
    return ctx.arrow(actions.load(LoadParams.model_validate({"path": path, **params}), ctx).table)


def planned(ctx: LocalContext, path: str, **params: Any) -> Any:
    given = LoadParams.model_validate({"path": path, **params})
    return columns.load(
        {name: getattr(given, name) for name in LoadParams.model_fields}, WorkspaceFiles(Roots(ctx.workspace))
    )


ROWS: list[list[Cell]] = [
    ["id", "name", "x", "day", "flag", 2024],
    [1, "ann", 0.5, dt.date(2024, 1, 31), True, 7],
    [None, None, 2, None, None, 8],
]


class TestExcel:
    def test_cells_keep_their_types(self, ctx: LocalContext) -> None:
        workbook(ctx.workspace / "t.xlsx", {"Data": ROWS})
        table = load(ctx, "t.xlsx")
        assert table.to_pydict() == {
            "id": [1, None], "name": ["ann", None], "x": [0.5, 2.0], "day": [dt.date(2024, 1, 31), None], "flag": [True, None], "2024": [7, 8],
        }  # fmt: skip
        assert [str(kind) for kind in table.schema.types] == [
            "int64",
            "string",
            "double",
            "date32[day]",
            "bool",
            "int64",
        ]

    def test_a_sheet_is_named_where_there_are_several(self, ctx: LocalContext) -> None:
        workbook(ctx.workspace / "t.xlsx", {"Data": ROWS, "Notes": [["a"], ["b"]]})
        with pytest.raises(StepError, match=r"t\.xlsx has the sheets Data, Notes") as raised:
            load(ctx, "t.xlsx")
        assert raised.value.code == "unclear-dialect" and raised.value.hint == "state `sheet`"
        assert load(ctx, "t.xlsx", sheet="Notes").to_pydict() == {"a": ["b"]}
        with pytest.raises(StepError, match="has no sheet 'Dta'") as raised:
            load(ctx, "t.xlsx", sheet="Dta")
        assert raised.value.hint == 'did you mean "Data"?'

    def test_a_cell_of_another_type_is_named_by_its_row(self, ctx: LocalContext) -> None:
        workbook(ctx.workspace / "t.xlsx", {"s": [["x"], [1], [2], ["n/a"]]})
        with pytest.raises(StepError, match="column 'x' has values of several types: row 4 has 'n/a', most are float"):
            load(ctx, "t.xlsx")
        assert load(ctx, "t.xlsx", nulls=["n/a"]).to_pydict() == {"x": [1, 2, None]}

    def test_lines_above_the_header_and_sheets_without_one(self, ctx: LocalContext) -> None:
        workbook(ctx.workspace / "t.xlsx", {"s": [["Report", None], ["a", "b"], [1, 2]]})
        assert load(ctx, "t.xlsx", skip=1).to_pydict() == {"a": [1], "b": [2]}
        assert load(ctx, "t.xlsx", skip=2, header=False).to_pydict() == {"column_1": [1], "column_2": [2]}
        with pytest.raises(StepError, match="column 2 has no name"):
            load(ctx, "t.xlsx")

    def test_a_contract_is_known_before_the_run_and_kept_in_it(self, ctx: LocalContext) -> None:
        workbook(ctx.workspace / "t.xlsx", {"s": ROWS})
        contract = {"id": "string", "x": "number", "day": "date"}
        known = planned(ctx, "t.xlsx", columns=contract).outputs["table"]
        table = load(ctx, "t.xlsx", columns=contract)
        assert known == KnownTable({field.name: str(field.type) for field in table.schema})
        with pytest.raises(
            StepError, match="column 'name' is not a valid integer in 1 rows, first in data row 1: 'ann'"
        ) as raised:
            load(ctx, "t.xlsx", columns={"name": "integer"})
        assert raised.value.code == "bad-value"


class TestJsonLines:
    def test_values_keep_their_types_and_texts_stay_texts(self, ctx: LocalContext) -> None:
        text = '{"id": 1234567890123456789, "t": "2024-01-01", "l": [1, null], "s": {"n": 9007199254740993, "at": "2024-01-01T00:00:00Z"}}\n{"id": null, "x": 0.5}\n'
        (ctx.workspace / "t.jsonl").write_text(text)
        (ctx.workspace / "t.jsonl.gz").write_bytes(gzip.compress(text.encode()))
        for name in ("t.jsonl", "t.jsonl.gz"):
            assert load(ctx, name).to_pydict() == {
                "id": [1234567890123456789, None], "t": ["2024-01-01", None], "l": [[1, None], None],
                "s": [{"n": 9007199254740993, "at": "2024-01-01T00:00:00Z"}, None], "x": [None, 0.5],
            }  # fmt: skip

    def test_a_number_may_be_whole_at_first_and_a_type_must_not_change(self, ctx: LocalContext) -> None:
        (ctx.workspace / "t.jsonl").write_text('{"a": 1}\n' * 100_000 + '{"a": 1.5}\n')
        assert load(ctx, "t.jsonl").schema.types == [pa.float64()]
        (ctx.workspace / "t.jsonl").write_text('{"a": 1}\n' * 100_000 + '{"a": "x"}\n')
        with pytest.raises(StepError, match="cannot be read as jsonl") as raised:
            load(ctx, "t.jsonl")
        assert raised.value.code == "unreadable-file"

    @pytest.mark.parametrize(
        "text",
        [
            '{"a": 1.5}\n\n{"a": 9007199254740993}\n',
            '{"a": 1.5}\n\n{"a": 99999999999999999999}\n',
            '{"a": 1.5}\n\n{"a": ' + "9" * 5000 + "}\n",
            '{"a": [1.5]}\n\n{"a": [-9007199254740993]}\n',
            '{"a": {"b": [{"c": 1.5}]}}\n\n{"a": {"b": [{"c": 9007199254740993}]}}\n',
        ],
    )
    def test_an_integer_that_a_double_cannot_hold_is_refused(self, ctx: LocalContext, text: str) -> None:
        (ctx.workspace / "t.jsonl").write_text(text)
        with pytest.raises(StepError, match=r"line 3: column 'a' has the integer -?[0-9]+, and is read as doubles"):
            load(ctx, "t.jsonl")

    def test_doubles_as_large_as_that_are_no_integers(self, ctx: LocalContext) -> None:
        (ctx.workspace / "t.jsonl").write_text('{"a": 9007199254740992, "b": "9007199254740993"}\n{"a": 1e300}\n')
        assert load(ctx, "t.jsonl")["a"].to_pylist() == [9007199254740992.0, 1e300]
        (ctx.workspace / "t.jsonl").write_text('{"a": 9007199254740993}\n{"a": 1.5}\n')
        assert load(ctx, "t.jsonl", columns={"a": "number"})["a"].to_pylist() == [9007199254740992.0, 1.5]

    def test_a_contract_reads_texts_as_times(self, ctx: LocalContext) -> None:
        (ctx.workspace / "t.jsonl").write_text('{"t": "2024-01-01", "n": "7"}\n')
        table = load(ctx, "t.jsonl", columns={"t": "timestamp", "n": "integer"})
        assert table.to_pylist() == [{"t": dt.datetime(2024, 1, 1, tzinfo=dt.UTC), "n": 7}]


class TestTyped:
    TABLE = pa.table({
        "n": pa.array([1, None], pa.int32()), "x": pa.array([0.5, None], pa.float32()), "d": pa.array([Decimal("1.20"), None], pa.decimal128(10, 2)),
        "t": pa.array([1, None], pa.timestamp("ns", "Europe/Berlin")), "s": ["7", None], "k": pa.array(["a", None]).dictionary_encode(), "l": [[1], None],
    })  # fmt: skip

    @pytest.mark.parametrize("name", ["t.parquet", "t.feather"])
    def test_types_are_kept_and_known_before_the_run(self, ctx: LocalContext, name: str) -> None:
        if name == "t.parquet":
            pq.write_table(self.TABLE, ctx.workspace / name)
        else:
            with pa.ipc.new_file(str(ctx.workspace / name), self.TABLE.schema) as writer:
                writer.write_table(self.TABLE)
        table = load(ctx, name)
        assert table == self.TABLE
        known = planned(ctx, name).outputs["table"]
        assert known == KnownTable({field.name: str(field.type) for field in table.schema})

    @pytest.mark.parametrize(
        ("column", "declared", "kind"),
        [
            ("n", "integer", "int64"), ("n", "number", "double"), ("n", "string", "string"), ("n", "decimal(12,0)", "decimal128(12, 0)"), ("x", "number", "double"),
            ("d", "number", "double"), ("d", "decimal(12,3)", "decimal128(12, 3)"), ("t", "timestamp", "timestamp[ns, tz=Europe/Berlin]"), ("s", "integer", "int64"),
            ("k", "string", "string"), ("n", "boolean", None), ("n", "date", None), ("t", "string", None), ("l", "string", None), ("d", "integer", None), ("t", "number", None),
        ],
    )  # fmt: skip
    def test_a_contract_is_checked_before_the_run_as_in_it(
        self, ctx: LocalContext, column: str, declared: str, kind: str | None
    ) -> None:
        pq.write_table(self.TABLE, ctx.workspace / "t.parquet")
        flow = planned(ctx, "t.parquet", columns={column: declared})
        if kind is None:
            (problem,) = flow.problems
            with pytest.raises(StepError) as raised:
                load(ctx, "t.parquet", columns={column: declared})
            assert (problem.code, problem.message, problem.path) == (
                raised.value.code,
                raised.value.message,
                ("columns", column),
            )
            return
        assert flow.outputs["table"] == KnownTable({column: kind})
        table = load(ctx, "t.parquet", columns={column: declared})
        assert str(table.schema.types[0]) == kind and table[column].null_count == 1

    def test_a_conversion_that_is_not_exact_is_refused(self, ctx: LocalContext) -> None:
        pq.write_table(
            pa.table({"x": [1.5], "d": pa.array([Decimal("1.25")], pa.decimal128(10, 2))}), ctx.workspace / "t.parquet"
        )
        for column, declared in (("x", "integer"), ("d", "decimal(10,1)")):
            with pytest.raises(StepError, match=f"column '{column}' is not") as raised:
                load(ctx, "t.parquet", columns={column: declared})
            assert raised.value.code == "bad-value"

    def test_rows_are_limited_without_reading_all(self, ctx: LocalContext) -> None:
        pq.write_table(pa.table({"a": range(10_000)}), ctx.workspace / "t.parquet", row_group_size=100)
        assert load(ctx, "t.parquet", rows=150)["a"].to_pylist() == list(range(150))
        pd.DataFrame({"a": range(10)}).to_csv(ctx.workspace / "t.csv", index=False)
        assert load(ctx, "t.csv", rows=3)["a"].to_pylist() == [0, 1, 2]
