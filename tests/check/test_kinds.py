"""What annotations allow, what fits where, and what is inside."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from e2i.catalog import registry
from e2i.catalog.artifacts import Model, Table
from e2i.catalog.columns import KnownKeys, KnownTable
from e2i.check import kinds
from e2i.check.kinds import Kinds
from e2i.spec.expressions import Secret
from e2i.tools.model import Cell, Trained


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
    assert kinds.describe(kinds.of(annotation)) == described


@pytest.mark.parametrize(
    ("given", "taken", "fits"),
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
        (Trained, Cell, False),  # it has no outputs
        (list[Table], list[Cell | Trained | Model], False),
        (tuple[Model, ...], list[Cell | Trained | Model] | dict[str, Model], True),
    ],
)
def test_what_fits_where(given: Any, taken: Any, fits: bool) -> None:
    assert kinds.fits(kinds.of(given), kinds.of(taken)) is fits


def test_plain_values_are_known_down_to_their_members() -> None:
    value = kinds.of_value({"names": ["a", 1], "rows": 3, "key": Secret("K")})
    assert kinds.inside(value, "rows") == kinds.INTEGER
    assert kinds.at(value, ("names", 0)) == kinds.STRING
    assert kinds.at(value, ("names", -1)) == kinds.INTEGER
    assert kinds.inside(value, "key") == kinds.STRING
    assert kinds.inside(value, "other") is None
    assert kinds.inside(kinds.at(value, ("names",)), 2) is None


def test_an_artifact_has_the_fields_of_its_document() -> None:
    table = kinds.of(Table)
    assert kinds.inside(table, "rows") == kinds.INTEGER
    assert kinds.at(table, ("columns", 0, "name")) == kinds.STRING
    assert kinds.inside(table, "colums") is None
    assert kinds.members(table) == ["columns", "digest", "rows", "type"]


def test_a_member_of_several_kinds_is_any_of_theirs() -> None:
    either: Kinds = kinds.union((kinds.of(dict[str, int]), kinds.of(list[str])))
    assert kinds.inside(either, "x") == kinds.INTEGER
    assert kinds.inside(either, 0) == kinds.STRING


def test_known_keys_close_a_mapping_and_may_each_be_missing() -> None:
    metrics = kinds.with_known(kinds.of(dict[str, float]), KnownKeys(("roc_auc", "f1")))
    assert kinds.inside(metrics, "f1") == kinds.NUMBER
    assert kinds.inside(metrics, "f2") is None
    assert kinds.fits(metrics, kinds.of(dict[str, float]))


def test_what_is_known_of_a_table_goes_with_it() -> None:
    table = kinds.with_known(kinds.of(Table), KnownTable({"a": "double"}))
    assert table[0].known == KnownTable({"a": "double"})
    assert kinds.fits(table, kinds.of(Table))


def test_every_parameter_and_output_of_every_action_is_of_a_known_kind() -> None:
    for name in registry.names():
        found = registry.find(name)
        assert found is not None
        for model in (found[1].params, found[1].outputs):
            for field, given in kinds.of_model(model).inside.items():
                if kinds.may_be(given, "any") and all(kind.name == "any" for kind in given):
                    assert (name, field) in {
                        ("debug.echo", "value"),
                        ("debug.sleep", "value"),
                        ("python.call", "value"),
                        ("feast.materialize", "start"),
                        ("feast.materialize", "end"),
                    }
