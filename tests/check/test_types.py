"""What annotations allow, what fits where, and what is inside."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from e2i.catalog.artifacts import Model, Table
from e2i.catalog.columns import KnownKeys, KnownTable
from e2i.catalog.registry import BUILT_IN
from e2i.check import types
from e2i.check.types import Types
from e2i.spec.values import Secret
from e2i.tools.model.params.choosing import Combination, Trained


class Named(BaseModel):
    """A mapping with one key that must be there."""

    name: str
    size: int = 1


@pytest.mark.parametrize(
    ("annotation", "described"),
    [
        (str, "a string"),
        (datetime, "a string"),
        (int | None, "an integer"),
        (Annotated[float, Field(gt=0)], "a number"),
        (bool | str, "a boolean or a string"),
        (Literal["a", 1], "a string or an integer"),
        (list[float], "a list of number"),
        (tuple[Annotated[str, Field(min_length=1)], ...], "a list of string"),
        (dict[str, Table], "a mapping"),
        (Named, "a mapping"),
        (Table, "a table"),
        (Any, "any value"),
        (None, "any value"),
        (type(None), "null"),
    ],
)
def test_annotations_are_described(annotation: Any, described: str) -> None:
    assert types.describe(types.of(annotation)) == described


@pytest.mark.parametrize(
    ("given", "taken", "accepts"),
    [
        (int, float, True),
        (float, int, False),
        (bool, int, False),
        (str, int, False),
        (float | None, int | None, True),  # both may be null
        (Any, Table, True),
        (Table, Any, True),
        (Table, Model, False),
        (Table, dict[str, Any], False),
        (list[float], list[str], False),
        (list[int], list[float], True),
        (list[float], dict[str, float], False),
        (dict[str, float], dict[str, float | None], True),
        (dict[str, float], dict[str, str], False),
        (dict[str, float], Named, False),  # no number is a name
        (dict[str, str], Named, True),
        (Trained, Combination, False),  # it has no outputs
        (list[Table], list[Combination | Trained | Model], False),
        (tuple[Model, ...], list[Combination | Trained | Model] | dict[str, Model], True),
    ],
)
def test_what_fits_where(given: Any, taken: Any, accepts: bool) -> None:
    assert types.accepts(types.of(given), types.of(taken)) is accepts


def test_plain_values_are_known_down_to_their_members() -> None:
    value = types.of_value({"names": ["a", 1], "rows": 3, "key": Secret("K")})
    assert types.inside(value, "rows") == types.INTEGER
    assert types.at(value, ("names", 0)) == types.STRING
    assert types.at(value, ("names", -1)) == types.INTEGER
    assert types.inside(value, "key") == types.STRING
    assert types.inside(value, "other") is None
    assert types.inside(types.at(value, ("names",)), 2) is None


def test_an_artifact_has_the_fields_of_its_document() -> None:
    table = types.of(Table)
    assert types.inside(table, "rows") == types.INTEGER
    assert types.at(table, ("columns", 0, "name")) == types.STRING
    assert types.inside(table, "colums") is None
    assert types.members(table) == ["columns", "digest", "rows", "type"]


def test_a_member_of_several_kinds_is_any_of_theirs() -> None:
    either: Types = types.union((types.of(dict[str, int]), types.of(list[str])))
    assert types.inside(either, "x") == types.INTEGER
    assert types.inside(either, 0) == types.STRING


def test_known_keys_close_a_mapping_and_may_each_be_missing() -> None:
    metrics = types.with_known(types.of(dict[str, float]), KnownKeys(("roc_auc", "f1")))
    assert types.inside(metrics, "f1") == types.NUMBER
    assert types.inside(metrics, "f2") is None
    assert types.accepts(metrics, types.of(dict[str, float]))


def test_what_is_known_of_a_table_goes_with_it() -> None:
    table = types.with_known(types.of(Table), KnownTable({"a": "double"}))
    assert table[0].known == KnownTable({"a": "double"})
    assert types.accepts(table, types.of(Table))


def test_every_parameter_and_output_of_every_action_is_of_a_known_kind() -> None:
    for name in BUILT_IN.names():
        found = BUILT_IN.action(name)
        assert found is not None
        for model in (found.params, found.outputs):
            for field, given in types.of_model(model).inside.items():
                if types.can_be(given, "any") and all(type_.name == "any" for type_ in given):
                    assert (name, field) in {
                        ("data.write", "value"),
                        ("debug.echo", "value"),
                        ("debug.sleep", "value"),
                        ("python.call", "value"),
                        ("feast.materialize", "start"),
                        ("feast.materialize", "end"),
                    }
