"""``data.load``, ``data.split`` and ``data.select`` on real files and tables."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from context import LocalContext
from e2i.catalog.artifacts import Table
from e2i.errors import Refused, StepError
from e2i.tools.data import LoadParams, SelectParams, SplitOutputs, SplitParams
from e2i.tools.data.actions import load, select, split

CSV = "id,when,amount,active\n00731,2024-01-01T00:00:00+02:00,1.5,true\n00007,2024-03-01,,false\n"


def put(ctx: LocalContext, name: str, content: str | bytes) -> str:
    path = ctx.workspace / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return name


def read(ctx: LocalContext, **params: Any) -> pd.DataFrame:
    return ctx.frame(load(LoadParams.model_validate(params), ctx).table)


class TestLoad:
    @pytest.mark.parametrize("name", ["in/a.csv", "in/a.csv.gz"])
    def test_csv_keeps_identifiers_and_reads_times_as_utc(self, ctx: LocalContext, name: str) -> None:
        put(ctx, name, gzip.compress(CSV.encode()) if name.endswith(".gz") else CSV)
        frame = read(ctx, path=name, types={"id": "string", "active": "boolean"}, parse_dates=["when"])
        assert frame["id"].tolist() == ["00731", "00007"]
        assert frame["when"].tolist() == [pd.Timestamp("2023-12-31T22:00Z"), pd.Timestamp("2024-03-01T00:00Z")]
        assert frame["active"].tolist() == [True, False]
        assert np.isnan(frame["amount"][1])

    @pytest.mark.parametrize("suffix", ["parquet", "feather"])
    def test_columnar_files_give_the_same_rows_as_were_written(self, ctx: LocalContext, suffix: str) -> None:
        frame = pd.DataFrame({"b": [1, 2], "a": ["x", None], "t": pd.to_datetime(["2024-01-01", None], utc=True)})
        path = ctx.workspace / f"t.{suffix}"
        frame.to_parquet(path) if suffix == "parquet" else frame.to_feather(path)
        pd.testing.assert_frame_equal(read(ctx, path=path.name), frame)
        assert list(read(ctx, path=path.name, columns=["a", "b"], rows=1)) == ["a", "b"]

    def test_the_digest_follows_the_bytes_of_the_file(self, ctx: LocalContext) -> None:
        params = LoadParams(path=put(ctx, "a.csv", CSV))
        before = load(params, ctx)
        assert load(params, ctx) == before
        put(ctx, "a.csv", CSV + "1,2024-01-01,2,true\n")
        assert load(params, ctx).source_digest != before.source_digest

    def test_large_integers_are_exact_and_may_be_missing(self, ctx: LocalContext) -> None:
        put(ctx, "a.csv", "id\n9007199254740993\n\n7.0\n")
        put(ctx, "b.csv", "id,n\n9007199254740993,1\n8,\n")
        out = load(LoadParams(path="b.csv", types={"id": "integer", "n": "integer"}), ctx).table
        assert [column.type for column in out.columns] == ["int64", "int64"]
        assert ctx.frame(out)["id"].tolist() == [9007199254740993, 8]

    @pytest.mark.parametrize(
        ("name", "content", "params", "code"),
        [
            ("a.xyz", CSV, {}, "unknown-format"),
            ("a.xlsx", CSV, {}, "unreadable-file"),
            ("a.csv", CSV, {"columns": ["id", "amuont"]}, "unknown-column"),
            ("a.csv", "id,when\n", {}, "empty-table"),
            ("a.csv", "", {}, "empty-table"),
            ("a.csv", b"\xff\xfe\x00", {}, "unreadable-file"),
            ("a.csv", "a,a\n1,2\n", {}, "duplicate-column"),
            ("a.parquet", "no parquet", {}, "unreadable-file"),
            ("a.feather", "no arrow", {}, "unreadable-file"),
            ("a.csv.gz", "no gzip", {}, "unreadable-file"),
            ("a.csv", CSV, {"types": {"when": "integer"}}, "bad-value"),
            ("a.csv", CSV, {"parse_dates": ["active"]}, "bad-value"),
        ],
    )
    def test_a_file_that_is_not_as_described_is_named_with_the_reason(
        self, ctx: LocalContext, name: str, content: str | bytes, params: dict[str, Any], code: str
    ) -> None:
        with pytest.raises(StepError) as caught:
            read(ctx, path=put(ctx, name, content), **params)
        assert caught.value.code == code
        assert name in caught.value.message

    def test_an_absent_file_is_named_with_the_nearest(self, ctx: LocalContext) -> None:
        put(ctx, "journeys.csv", CSV)
        with pytest.raises(StepError) as caught:
            read(ctx, path="journey.csv")
        assert caught.value.hint == 'did you mean "journeys.csv"?'

    @pytest.mark.parametrize("path", ["../a.csv", "/etc/passwd", "https://example.org/a.csv", "a\0.csv"])
    def test_a_path_outside_the_workspace_is_refused(self, ctx: LocalContext, path: str) -> None:
        with pytest.raises(Refused):
            read(ctx, path=path, format="csv")

    def test_a_link_that_leads_outside_is_refused(self, ctx: LocalContext, tmp_path: Path) -> None:
        (tmp_path / "secret.csv").write_text(CSV)
        (ctx.workspace / "a.csv").symlink_to(tmp_path / "secret.csv")
        with pytest.raises(Refused):
            read(ctx, path="a.csv")


def journeys(ctx: LocalContext, rows: int = 600) -> tuple[Table, pd.DataFrame]:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "hcp": [f"H{i}" for i in rng.integers(0, 150, rows)],
            "at": pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 60, rows), unit="D"),
            "x": np.arange(rows),
        }
    )
    return ctx.table(frame), frame


def parts(ctx: LocalContext, out: SplitOutputs) -> dict[str, pd.DataFrame]:
    return {"train": ctx.frame(out.train), "validation": ctx.frame(out.validation), "test": ctx.frame(out.test)}


class TestSplit:
    @pytest.mark.parametrize(("strategy", "by"), [("entity", "hcp"), ("time", "at"), ("random", None)])
    def test_every_row_is_in_exactly_one_part_in_its_order(
        self, ctx: LocalContext, strategy: str, by: str | None
    ) -> None:
        table, frame = journeys(ctx)
        out = split(SplitParams.model_validate({"table": table, "strategy": strategy, "by": by}), ctx)
        got = parts(ctx, out)
        assert sorted(pd.concat(got.values())["x"]) == frame["x"].tolist()
        assert all(part["x"].is_monotonic_increasing for part in got.values())
        assert {name: facts.rows for name, facts in out.parts.items()} == {
            name: len(part) for name, part in got.items()
        }
        assert all(
            abs(len(part) / len(frame) - share) < 0.08
            for part, share in zip(got.values(), [0.6, 0.2, 0.2], strict=True)
        )

    def test_no_entity_is_in_two_parts_and_its_part_depends_on_nothing_but_itself(self, ctx: LocalContext) -> None:
        table, frame = journeys(ctx)
        params = SplitParams(table=table, strategy="entity", by="hcp")
        home = {hcp: name for name, part in parts(ctx, split(params, ctx)).items() for hcp in part["hcp"].unique()}
        grown = pd.concat([frame.sample(frac=1, random_state=3), frame.assign(hcp="new-" + frame["hcp"])])
        out = split(SplitParams(table=ctx.table(grown), strategy="entity", by="hcp"), ctx)
        for name, part in parts(ctx, out).items():
            assert {home[hcp] for hcp in part["hcp"] if hcp in home} == {name}

    def test_another_seed_gives_another_split_and_the_same_seed_the_same(self, ctx: LocalContext) -> None:
        table, _ = journeys(ctx)
        for strategy, by in (("entity", "hcp"), ("random", None)):
            one, again, other = (
                split(SplitParams.model_validate({"table": table, "strategy": strategy, "by": by, "seed": seed}), ctx)
                for seed in (1, 1, 2)
            )
            assert one == again
            assert one.train.digest != other.train.digest

    def test_parts_by_time_do_not_overlap_even_in_one_moment(self, ctx: LocalContext) -> None:
        table, _ = journeys(ctx)
        out = split(SplitParams(table=table, strategy="time", by="at"), ctx)
        got = parts(ctx, out)
        assert got["train"]["at"].max() < got["validation"]["at"].min()
        assert got["validation"]["at"].max() < got["test"]["at"].min()
        assert out.parts["train"].last == str(got["train"]["at"].max())

    def test_a_part_that_would_be_empty_is_an_error(self, ctx: LocalContext) -> None:
        table = ctx.table(pd.DataFrame({"at": [1, 1, 1, 1, 2]}))
        with pytest.raises(StepError, match="would be empty: 5 rows"):
            split(SplitParams(table=table, strategy="time", by="at"), ctx)

    @pytest.mark.parametrize("strategy", ["entity", "time"])
    def test_rows_without_an_entity_or_a_time_are_an_error(self, ctx: LocalContext, strategy: str) -> None:
        table = ctx.table(pd.DataFrame({"k": [1.0, None, 3.0]}))
        with pytest.raises(StepError) as caught:
            split(SplitParams.model_validate({"table": table, "strategy": strategy, "by": "k"}), ctx)
        assert caught.value.code == "missing-values"

    def test_text_is_no_time(self, ctx: LocalContext) -> None:
        table, _ = journeys(ctx)
        with pytest.raises(StepError, match="no order in time"):
            split(SplitParams(table=table, strategy="time", by="hcp"), ctx)

    def test_fractions_must_add_up_to_one(self, ctx: LocalContext) -> None:
        table, _ = journeys(ctx)
        for broken in (
            {"strategy": "random", "fractions": {"train": 0.6, "validation": 0.3, "test": 0.3}},
            {"strategy": "random", "by": "hcp"},
            {"strategy": "entity"},
        ):
            with pytest.raises(ValidationError):
                SplitParams.model_validate({"table": table, **broken})


class TestSelect:
    def test_rows_and_columns_are_kept_in_order(self, ctx: LocalContext) -> None:
        table, frame = journeys(ctx)
        out = select(
            SelectParams.model_validate(
                {
                    "table": table,
                    "columns": ["x", "hcp"],
                    "where": [{"column": "x", "op": "ge", "value": 590}],
                    "rows": 4,
                }
            ),
            ctx,
        )
        assert ctx.frame(out.table).equals(frame.loc[590:593, ["x", "hcp"]].reset_index(drop=True))
        assert out.dropped == len(frame) - 4

    def test_a_sample_is_seeded_and_keeps_the_order_of_rows(self, ctx: LocalContext) -> None:
        table, _ = journeys(ctx)
        one, again, other = (
            select(SelectParams(table=table, rows=50, sample=True, exclude=("at",), seed=seed), ctx).table
            for seed in (1, 1, 2)
        )
        assert one == again
        assert one.digest != other.digest
        assert one.names == ("hcp", "x")
        assert ctx.frame(one)["x"].is_monotonic_increasing

    def test_nothing_left_is_an_error(self, ctx: LocalContext) -> None:
        table, _ = journeys(ctx)
        with pytest.raises(StepError, match="no row or column is left"):
            select(SelectParams.model_validate({"table": table, "where": [{"column": "x", "op": "is_null"}]}), ctx)
