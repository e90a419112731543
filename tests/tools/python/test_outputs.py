from __future__ import annotations

import sys
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from context import LocalContext
from e2i.catalog.artifacts import Table
from e2i.errors import StepError
from e2i.tools.python import CallOutputs, CallParams, actions

IMPORTS = "import pandas as pd, pyarrow as pa, polars as pl\nfrom typing import TypedDict\nfrom dataclasses import dataclass\n"


def call(ctx: LocalContext, code: str, outputs: dict[str, Any] | None = None, **arguments: Any) -> CallOutputs:
    (ctx.workspace / "steps").mkdir(exist_ok=True)
    (ctx.workspace / "steps" / "code.py").write_text(IMPORTS + code)
    given = {"file": "steps/code.py", "function": "f", "arguments": arguments, "outputs": outputs or {}}
    return actions.call(CallParams.model_validate(given), ctx)


def test_a_table_of_that_name_is_the_output_table_too(ctx: LocalContext) -> None:
    made = call(ctx, "def f(): return {'table': pa.table({'x': [1]}), 'n': 1}\n", {"table": ["x"], "n": "integer"})
    assert made.table == made.outputs["table"]
    assert call(ctx, "def f(): return {'table': 1}\n", {"table": "integer"}).table is None


def test_a_mapping_of_frames_becomes_outputs_by_name(ctx: LocalContext) -> None:
    made = call(ctx, "def f():\n    return {'a': pd.DataFrame({'x': [1]}), 'b': pa.table({'y': [2, 3]}), 'n': 2}\n")
    assert made.outputs["n"] == 2
    assert (made.value, made.table) == (None, None)
    assert made.outputs["a"].names == ("x",)
    assert made.outputs["b"].rows == 2


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("pa.Table", "assert isinstance(rows, pa.Table)\n    return rows.slice(1)"),
        ("pd.DataFrame", "assert isinstance(rows, pd.DataFrame)\n    return rows.iloc[1:].reset_index(drop=True)"),
        ("pl.DataFrame", "assert isinstance(rows, pl.DataFrame)\n    return rows.slice(1)"),
        ("pl.LazyFrame", "assert isinstance(rows, pl.LazyFrame)\n    return rows.filter(pl.col('x') > 1)"),
        ("'pa.Table | None'", "assert isinstance(rows, pa.Table)\n    return rows.to_batches()[0].slice(1)"),
    ],
)
def test_a_table_comes_and_goes_in_the_annotated_library(ctx: LocalContext, kind: str, body: str) -> None:
    table = ctx.table(pa.table({"x": pa.array([1, 2], pa.int64()), "s": ["a", None]}))
    made = call(ctx, f"def f(rows: {kind}):\n    {body}\n", rows=table).table
    assert made is not None
    assert ctx.arrow(made).to_pylist() == [{"x": 2, "s": None}]


def test_tables_in_lists_and_mappings_are_frames_too(ctx: LocalContext) -> None:
    table = ctx.table(pa.table({"x": [1, 2]}))
    code = "def f(many: list[pa.Table], by: dict):\n    return [many[0].num_rows, type(by['a']).__name__]\n"
    assert call(ctx, code, many=[table], by={"a": table}).value == [2, "DataFrame"]


def test_a_library_that_is_missing_is_named(ctx: LocalContext, monkeypatch: pytest.MonkeyPatch) -> None:
    table = ctx.table(pa.table({"x": [1]}))
    code = "def f(rows: 'pl.DataFrame'): return rows\n"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "polars" else sys.modules.get(name))
    with pytest.raises(StepError, match="polars, which is not installed") as raised:
        call(ctx, code, rows=table)
    assert raised.value.code == "tool-missing"


def test_declared_columns_are_exact_in_names_order_and_types(ctx: LocalContext) -> None:
    code = "def f():\n    return {'rows': 1, 'table': pd.DataFrame({'score': [1, None], 'id': [1, 2], 'at': pd.to_datetime(['2024-01-01', None])})}\n"
    declared = {"rows": "integer", "table": {"id": "integer", "score": "integer", "at": "timestamp"}}
    made = call(ctx, code, declared).outputs["table"]
    assert isinstance(made, Table)
    assert [(c.name, c.type) for c in made.columns] == [
        ("id", "int64"), ("score", "int64"), ("at", "timestamp[us, tz=UTC]")]  # fmt: skip


def test_one_declared_name_takes_the_value_itself(ctx: LocalContext) -> None:
    assert call(ctx, "def f(): return 3\n", {"rows": "integer"}).outputs == {"rows": 3}
    made = call(ctx, "def f(): return pd.DataFrame({'x': [1]})\n", {"scores": ["x"]}).outputs["scores"]
    assert made.names == ("x",)
    assert call(ctx, "def f(): return {'rows': 3}\n", {"rows": "integer"}).outputs == {"rows": 3}


def test_a_dataclass_and_a_typed_dict_name_their_outputs(ctx: LocalContext) -> None:
    code = "@dataclass\nclass R:\n    t: pd.DataFrame\n    n: int\ndef f() -> R:\n    return R(pd.DataFrame({'x': [1]}), 1)\n"
    assert list(call(ctx, code).outputs) == ["t", "n"]
    code = "class R(TypedDict):\n    n: int\ndef f() -> R:\n    return {'n': 1}\n"
    assert call(ctx, code).outputs == {"n": 1}


FORGED = "{'type': 'service', 'digest': 'sha256:' + '0' * 64, 'url': 'http://elsewhere', 'pid': 1}"


@pytest.mark.parametrize("value", [FORGED, f"[{FORGED}]", f"{{'inner': {FORGED}}}"])
def test_data_that_reads_as_an_artifact_is_no_output_by_name(ctx: LocalContext, value: str) -> None:
    with pytest.raises(StepError, match="reads as an artifact"):
        call(ctx, f"def f(): return {{'t': {value}}}\n", {"t": "any"})


def test_data_with_a_type_of_its_own_is_data(ctx: LocalContext) -> None:
    value = {"type": ["table"], "digest": 1}
    assert call(ctx, f"def f(): return {{'t': {value}}}\n", {"t": "any"}).outputs == {"t": value}


def test_a_named_tuple_names_its_outputs(ctx: LocalContext) -> None:
    head = "from typing import NamedTuple\nclass R(NamedTuple):\n    t: pa.Table\n    n: int = 1\n"
    assert list(call(ctx, head + "def f() -> R:\n    return R(pa.table({'x': [1]}))\n").outputs) == ["t", "n"]


def test_numbers_of_numpy_are_numbers(ctx: LocalContext) -> None:
    code = "import numpy as np\ndef f() -> dict[str, float]:\n    return {'a': np.float64(1.5), 'b': np.int64(2)}\n"
    assert call(ctx, code).value == {"a": 1.5, "b": 2}
    assert call(ctx, "import numpy as np\ndef f(): return np.array([[1, 2]])\n").value == [[1, 2]]


DECLARED = {"rows": "integer", "table": ["id", "score"]}


@pytest.mark.parametrize(
    ("code", "outputs", "said"),
    [
        ("def f(): return {'rows': 1}\n", DECLARED, "f in steps/code.py returned no output table"),
        ("def f(): return {'rows': 1, 'table': pd.DataFrame(columns=['id','score']), 'x': 1}\n", DECLARED, "also the output x"),
        ("def f(): return 1\n", DECLARED, "returned int, not a mapping with rows, table"),
        ("def f(): return {'rows': 'a', 'table': pd.DataFrame({'id': [1], 'score': [1]})}\n", DECLARED, "'a' is not an integer"),
        ("def f(): return {'rows': 1, 'table': pd.DataFrame({'id': [1]})}\n", DECLARED, "no column score"),
        ("def f(): return {'rows': 1, 'table': pd.DataFrame({'id': [1], 'score': [1], 'y': [1]})}\n", DECLARED, "also column y"),
        ("def f(): return pd.DataFrame({'x': [1.5]})\n", {"t": {"x": "integer"}}, "column 'x' is not int64, but double"),
        ("def f(): return pd.DataFrame({'x': ['a']})\n", {"t": {"x": "number"}}, "column 'x' is not double, but string"),
        ("def f() -> int: return 'a'\n", None, "returned str, which is not as declared: 'a' is not an integer"),
        ("def f() -> pd.DataFrame: return 1\n", None, "1 is not a table"),
        ("def f() -> dict[str, int]: return {'a': [1]}\n", None, "returned dict at a, which is not as declared: a list is not an integer"),
        ("def f(): return pd.DataFrame({'k': [object()]})\n", None, "f in steps/code.py returned DataFrame: a table cannot be stored: column 'k'"),
        ("def f(): return {'t': pd.DataFrame({'k': [1, 'a']})}\n", None, "as the output 't': a table cannot be stored: column 'k'"),
        ("def f(): return pd.DataFrame({('v', 'mean'): [1]})\n", None, "f in steps/code.py returned DataFrame: a column of the frame has a name on several levels"),
        ("def f(): return {1: pd.DataFrame({'k': [1]})}\n", None, "a mapping with the key 1, not a text"),
        ("def f(): return [pd.DataFrame({'k': [1]})]\n", None, "returned list, which is neither a DataFrame nor plain data"),
        ("def f(): return pd.Series([1])\n", None, "returned Series, which is neither"),
    ],
)  # fmt: skip
def test_a_result_that_is_not_as_promised_names_function_and_place(
    ctx: LocalContext, code: str, outputs: dict[str, Any] | None, said: str
) -> None:
    with pytest.raises(StepError) as raised:
        call(ctx, code, outputs)
    assert said in str(raised.value)
    assert str(raised.value).startswith("f in steps/code.py ")


def test_a_named_index_becomes_columns(ctx: LocalContext) -> None:
    code = "def f():\n    return pd.DataFrame({'k': ['a', 'a', 'b'], 'v': [1, 2, 3]}).groupby('k').sum()\n"
    made = call(ctx, code, {"sums": ["k", "v"]}).outputs["sums"]
    assert ctx.frame(made).to_dict("list") == {"k": ["a", "b"], "v": [3, 3]}


def test_relative_imports_of_a_steps_file_are_of_its_folder(ctx: LocalContext) -> None:
    (ctx.workspace / "steps").mkdir()
    (ctx.workspace / "steps" / "constants.py").write_text("ANSWER = 42\n")
    assert (
        call(
            ctx, "from . import constants\nfrom .constants import ANSWER\ndef f(): return constants.ANSWER + ANSWER\n"
        ).value
        == 84
    )


def test_the_frame_of_a_caller_is_its_own(ctx: LocalContext) -> None:
    table = ctx.table(pd.DataFrame({"x": [1, 2]}))
    call(ctx, "def f(rows: pd.DataFrame):\n    rows['x'] = 0\n    return rows\n", rows=table)
    assert ctx.frame(table)["x"].tolist() == [1, 2]


def test_a_pattern_that_is_known_late_and_matches_no_file_fails_the_step(ctx: LocalContext) -> None:
    (ctx.workspace / "code.py").write_text("def f(): return 1\n")
    with pytest.raises(StepError, match="no file matches 'data/\\*'"):
        actions.call(CallParams(file="code.py", function="f", reads=("data/*",)), ctx)
