"""Parameters are described on one line: types, choices, bounds, defaults and nested forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from e2i.catalog import forms
from e2i.catalog.action import Action, Outputs, Params
from e2i.catalog.artifacts import Artifact, Table
from e2i.catalog.registry import BUILT_IN


class Range(BaseModel):
    """From ``low`` to ``high``."""

    model_config = ConfigDict(extra="forbid")

    low: Annotated[float, Field(description="Smallest value.")]
    high: Annotated[float, Field(gt=0, description="Largest value.")] = 1.0


class Choice(BaseModel):
    """One of a list."""

    values: Annotated[tuple[str, ...], Field(min_length=1, max_length=9, description="The values.")]


class Tree(BaseModel):
    """A tree."""

    name: str
    children: tuple[Tree, ...] = ()


class Given(Params):
    text: str
    count: Annotated[int, Field(ge=1, le=500)] = 20
    share: Annotated[float | None, Field(gt=0, lt=1)] = None
    op: Literal["eq", "ne"]
    mode: Literal["null", "fail", None] = "fail"
    names: tuple[str, ...] = ()
    types: Mapping[str, Literal["a", "b"]] = {}
    table: Table
    any_artifact: Artifact | None = None
    range: Range = Range(low=0.5)
    ranges: Mapping[str, Range | Choice] | None = None
    many: tuple[Range, ...] | str = "all"
    tree: Tree | None = None
    anything: Any = None
    long: str = "x" * 100


class Returned(Outputs):
    table: Table
    value: float | None


ACTION = Action("act", "Acts.", Given, Returned)


@pytest.fixture(scope="module")
def fields() -> dict[str, forms.Field]:
    return {field.name: field for field in forms.params(ACTION, BUILT_IN)}


@pytest.mark.parametrize(
    ("name", "summary"),
    [
        ("text", "string"),
        ("count", "integer = 20 (1 to 500)"),
        ("share", "number (> 0 and < 1)"),
        ("op", "eq|ne"),
        ("mode", '"null"|fail|null = fail'),
        ("names", "[string]"),
        ("types", "{string: a|b}"),
        ("table", "table"),
        ("any_artifact", "artifact"),
        ("range", "{low*, high} = {low: 0.5, high: 1.0}"),
        ("ranges", "{string: {low*, high}|{values*}}"),
        ("many", "[{low*, high}]|string = all"),
        ("tree", "{name*, children}"),
        ("anything", "any"),
    ],
)
def test_a_parameter_on_one_line(fields: dict[str, forms.Field], name: str, summary: str) -> None:
    assert fields[name].summary == summary


def test_nested_forms_are_described_key_by_key_and_once(fields: dict[str, forms.Field]) -> None:
    low, high = fields["ranges"].forms[0].fields
    assert (low.label, low.description, high.label, high.summary) == (
        "low*",
        "Smallest value.",
        "high",
        "number = 1.0 (> 0)",
    )
    assert [form.name for form in fields["ranges"].forms] == ["Range", "Choice"]
    assert fields["ranges"].forms[1].fields[0].summary == "[string] (1 to 9 items)"
    assert fields["range"].description == "From ``low`` to ``high``."
    assert [field.forms for field in fields["tree"].forms[0].fields] == [(), ()]
    assert fields["table"].forms == ()


def test_a_signature_has_types_choices_defaults_and_outputs() -> None:
    line = forms.signature("t.act", ACTION, BUILT_IN)
    assert line.startswith("t.act(text*: string, count=20, share: number, op*: eq|ne, ")
    assert f"long={'x' * 59}…" in line and line.endswith(" -> table, value")
    assert forms.signature("data.split", BUILT_IN.action("data.split"), BUILT_IN) == (  # type: ignore[arg-type]  # it is there
        "data.split(table*: table, strategy*: entity|time|random, by: string, "
        "fractions={train: 0.6, validation: 0.2, test: 0.2}, seed: integer) -> train, validation, test, parts"
    )


def test_outputs_are_always_there_so_none_is_marked() -> None:
    assert [(field.label, field.summary) for field in forms.outputs(ACTION)] == [
        ("table", "table"),
        ("value", "number|null"),
    ]


@pytest.mark.parametrize("uses", BUILT_IN.names())
def test_nothing_python_is_shown(uses: str) -> None:
    action = BUILT_IN.action(uses)
    assert action is not None
    shown = repr([field.summary for field in (*forms.params(action, BUILT_IN), *forms.outputs(action))])
    assert not {"()", "None", "True", "False", "Ellipsis", "function-after"} & set(shown.replace(",", " ").split())
