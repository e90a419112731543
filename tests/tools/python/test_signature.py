from __future__ import annotations

import contextlib
import time

import pytest

from e2i.catalog.shapes import describe
from e2i.tools.python import promise
from e2i.tools.python.signature import NoFunctionError, Signature, read

HEAD = """
from __future__ import annotations
import collections.abc
import dataclasses, typing as t
from dataclasses import dataclass
from typing import *
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, Optional, TypedDict, Union
import numpy as np, pandas as pd, pyarrow as pa
import pyarrow
from pandas import DataFrame as Frame
if TYPE_CHECKING:
    import polars as pl
"""


def signature(code: str, head: str = HEAD.replace("from typing import *\n", "")) -> Signature:
    found = read(f"{head}\n{code}".encode(), "f")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        ("int", "an integer"),
        ("'int'", "an integer"),
        ("int | None", "an integer or null"),
        ("Optional[str]", "a string or null"),
        ("t.Union[float, bool]", "a number or a boolean"),
        ("list[str]", "a list of string"),
        ("collections.abc.Sequence[int]", "a list of integer"),
        ("tuple[int, ...]", "a list of integer"),
        ("tuple[int, str]", "a list"),
        ("dict[str, int]", "a mapping"),
        ("Annotated[int, 'least']", "an integer"),
        ("Literal['mean', 'max']", "'mean' or 'max'"),
        ("pd.DataFrame", "a table"),
        ("Frame", "a table"),
        ("pyarrow.Table", "a table"),
        ("pl.LazyFrame", "a table"),
        ("np.ndarray", "any value"),
        ("Unheard[of]", "any value"),
        ("1 +", "any value"),
    ],
)
def test_annotations_are_read_as_they_stand(annotation: str, said: str) -> None:
    text = annotation if annotation != "1 +" else "'1 +'"
    assert describe(signature(f"def f(x: {text}): ...").parameters["x"].shapes) == said


@pytest.mark.parametrize(
    ("annotation", "library"),
    [
        ("pd.DataFrame", "pandas"),
        ("Frame | None", "pandas"),
        ("pa.Table", "pyarrow"),
        ("'pyarrow.Table'", "pyarrow"),
        ("pl.DataFrame", "polars"),
        ("Optional[pl.LazyFrame]", "polars lazy"),
    ],
)
def test_a_frame_is_of_the_library_that_the_file_imports(annotation: str, library: str) -> None:
    assert signature(f"def f(x: {annotation}): ...").parameters["x"].shapes[0].library == library


def test_parameters_are_those_that_can_be_passed_by_name() -> None:
    found = signature("def f(a, /, b, c=1, *rest, d, e=2, **more): ...")
    assert {name: one.required for name, one in found.parameters.items()} == {
        "b": True, "c": False, "d": True, "e": False}  # fmt: skip
    assert (found.by_position, found.open) == (("a",), True)


@pytest.mark.parametrize(
    "code",
    [
        "@cache\ndef f(x): ...",
        "f = functools.partial(g, 1)",
        "from other import f",
        "from other import *",
        "def f(): ...\ndef f(x): ...",
        "def f(): ...\nf = wrap(f)",
        "if fast:\n    def f(x): ...\nelse:\n    def f(y): ...",
        "globals()['f'] = print",
        "exec(text)",
        "for f in functions: pass",
        "try:\n    import g as f\nexcept ImportError: pass",
        "class f: ...",
        "with opened() as f: pass",
        "def define():\n    global f\n    f = print",
        "(f := print)",
    ],
)
def test_a_function_that_the_text_alone_does_not_show_is_not_guessed(code: str) -> None:
    assert read(code.encode(), "f") is None


@pytest.mark.parametrize("code", ["", "def g(): ...", "class A:\n    def f(self): ...", "def g():\n    f = 1"])
def test_a_function_that_is_certainly_missing_is_told(code: str) -> None:
    with pytest.raises(NoFunctionError):
        read(code.encode(), "f")


ENTRIES = """
class Sizes(TypedDict, total=False):
    large: int
class Made(TypedDict):
    train: pd.DataFrame
    rows: int
    note: NotRequired[str]
    sizes: Sizes
@dataclass(frozen=True)
class Data:
    train: pa.Table
    rows: int = 0
class Other:
    train: pd.DataFrame
class Derived(Made):
    more: int
"""


def test_a_typed_dict_or_dataclass_names_the_outputs() -> None:
    made = signature(f"{ENTRIES}\ndef f() -> Made: ...").entries
    assert made is not None
    assert list(made.inside) == ["train", "rows", "note", "sizes"]
    assert made.optional == {"note"}
    assert made.inside["sizes"][0].optional == {"large"}
    data = signature(f"{ENTRIES}\ndef f() -> 'Data': ...").entries
    assert data is not None and list(data.inside) == ["train", "rows"] and not data.optional
    assert signature(f"{ENTRIES}\ndef f() -> Other: ...").entries is None
    assert signature(f"{ENTRIES}\ndef f() -> Derived: ...").entries is None


@pytest.mark.parametrize(
    ("returned", "value", "table", "named"),
    [
        ("int", "an integer", "null", False),
        ("pd.DataFrame", "null", "a table", False),
        ("pd.DataFrame | None", "null", "a table or null", False),
        ("int | pa.Table", "an integer or null", "a table or null", False),
        ("dict[str, int]", "a mapping", "null", False),
        ("dict[str, pd.DataFrame]", "null", "a table or null", True),
        ("tuple[int, str]", "a list", "null", False),
    ],
)
def test_an_annotation_promises_outputs(returned: str, value: str, table: str, named: bool) -> None:
    found = promise.of({}, signature(f"def f() -> {returned}: ..."))
    assert found is not None
    assert (describe(found.value), describe(found.table), found.named) == (value, table, named)


@pytest.mark.parametrize("returned", ["Any", "dict", "dict[str, Any]", "dict[str, int | pd.DataFrame]", "object"])
def test_an_annotation_that_leaves_it_open_promises_nothing(returned: str) -> None:
    assert promise.of({}, signature(f"def f() -> {returned}: ...")) is None


def test_a_default_of_none_takes_null() -> None:
    found = signature("def f(a: int = None, *, b: str = None, c: int = 1): ...").parameters
    assert {name: describe(one.shapes) for name, one in found.items()} == {
        "a": "an integer or null", "b": "a string or null", "c": "an integer"}  # fmt: skip


@pytest.mark.parametrize(
    "code",
    [
        "def f(x: " + "(" * 150 + "int" + ")" * 150 + "): ...",
        "def f(x: " + ".".join(["a"] * 5_000) + "): ...",
        "def f(x: " + " | ".join(["int"] * 3_000) + "): ...",
        "x = \0\ndef f(): ...",
        "".join(f"class C{n}(TypedDict):\n" + "".join(f"    f{i}: C{n + 1}\n" for i in range(10)) for n in range(20))
        + "def f(x: C0): ...",
    ],
)
def test_code_of_any_depth_is_read_in_bounded_time(code: str) -> None:
    began = time.process_time()
    with contextlib.suppress(SyntaxError):
        read(("from typing import TypedDict\n" + code).encode(), "f")
    assert time.process_time() - began < 5


def test_recursive_classes_end() -> None:
    code = "class Node(TypedDict):\n    next: 'Node'\ndef f() -> Node: ..."
    assert signature(code).entries is not None
