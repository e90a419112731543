from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from e2i.spec.validation import NO_FORM, Path, mistakes
from e2i.spec.wording import wording


class Leaf(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int
    name: str = ""


class Other(BaseModel):
    model_config = ConfigDict(extra="forbid")

    first: str
    second: str
    third: str


class Tree(BaseModel):
    model_config = ConfigDict(extra="forbid")

    leaf: Leaf | Other | None = None
    leaves: list[Leaf] | dict[str, Leaf | Other] | None = None
    many: Annotated[tuple[Leaf, ...], Field(min_length=1)] | None = None
    word: str | list[str] | None = None


def found(data: dict[str, Any], unsure: tuple[Path, ...] = ()) -> list[tuple[str, Path]]:
    with pytest.raises(ValidationError) as raised:
        Tree.model_validate(data)
    details = mistakes(raised.value, data, lambda path, kind: path in unsure)
    return [(detail["type"], detail["loc"]) for detail in details]


def test_only_the_form_with_the_fewest_errors_is_reported() -> None:
    assert found({"leaf": {"size": "many"}}) == [("int_parsing", ("leaf", "size"))]
    assert found({"leaf": {"first": "a", "second": "b"}}) == [("missing", ("leaf", "third"))]


def test_forms_inside_forms_have_paths_of_the_data() -> None:
    assert found({"leaves": {"a": {"size": 1}, "b": {"size": 1, "nmae": "x"}}}) == [
        ("extra_forbidden", ("leaves", "b", "nmae"))
    ]
    assert found({"leaves": [{"size": 1}, {"size": "x"}]}) == [("int_parsing", ("leaves", 1, "size"))]


def test_a_value_of_no_form_is_one_mistake_in_plain_words() -> None:
    assert found({"word": 3}) == [(NO_FORM, ("word",))]
    with pytest.raises(ValidationError) as raised:
        Tree.model_validate({"word": 3})
    (detail,) = mistakes(raised.value, {"word": 3})
    assert wording(detail, ("word",)) == '"word" should be text or a list, not 3'


def test_a_list_is_not_too_short_because_its_items_are_wrong() -> None:
    assert found({"many": [{}]}) == [("missing", ("many", 0, "size"))]
    assert found({"many": []}) == [("too_short", ("many",))]


def test_a_form_whose_errors_may_come_from_unknown_values_may_be_right() -> None:
    assert found({"leaf": {"size": None}}, unsure=(("leaf", "size"),)) == []
    assert found({"leaves": {"a": {"size": None}, "b": {"size": "x"}}}, unsure=(("leaves", "a", "size"),)) == [
        ("int_parsing", ("leaves", "b", "size"))
    ]
