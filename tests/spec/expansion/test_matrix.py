from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2i.spec.expansion import matrix
from e2i.spec.expansion.matrix import BadMatrixError, Combinations


def combinations(written: dict[str, Any]) -> Combinations:
    return matrix.expand(written, lambda name, value: value, is_open=lambda value: False)


def values(written: dict[str, Any]) -> list[dict[str, Any]]:
    return [combination.values for combination in combinations(written).combinations]


def test_exclude_leaves_out_every_combination_that_has_all_of_its_values() -> None:
    assert values({"x": [1, 2], "y": [1, 2], "exclude": [{"x": 1, "y": 2}, {"y": 1}]}) == [{"x": 2, "y": 2}]


def test_true_is_not_one() -> None:
    assert values({"x": [1, True], "exclude": [{"x": True}]}) == [{"x": 1}]


def test_include_extends_the_cells_it_agrees_with_and_is_a_cell_of_its_own_otherwise() -> None:
    found = values({"x": [1, 2], "include": [{"x": 2, "deep": True}, {"x": 3, "deep": 0}, {"all": "yes"}]})
    assert found == [{"x": 1, "all": "yes"}, {"x": 2, "deep": True, "all": "yes"}, {"x": 3, "deep": 0}]


def test_an_included_cell_is_not_extended_by_the_next() -> None:
    found = values({"x": [1], "include": [{"x": 2, "a": 1}, {"x": 2, "b": 2}]})
    assert found == [{"x": 1}, {"x": 2, "a": 1}, {"x": 2, "b": 2}]


def test_a_matrix_of_included_cells_alone_is_a_list_of_them() -> None:
    assert values({"include": [{"a": 1, "b": 2}, {"a": 3}]}) == [{"a": 1, "b": 2}, {"a": 3}]


def test_added_values_do_not_change_what_a_cell_is_called_or_paired_by() -> None:
    combination = combinations({"x": [1], "include": [{"x": 1, "deep": True}]}).combinations[0]
    assert (combination.label, combination.names) == ("1", ("x",))


def test_an_exclude_that_leaves_nothing_out_is_named() -> None:
    assert combinations({"x": [1], "exclude": [{"x": 2}]}).unused == [("exclude", 0)]


@pytest.mark.parametrize(
    ("written", "said", "path"),
    [
        ({"x": [1], "exclude": [{"z": 1}]}, 'no name "z"', ("exclude", 0, "z")),
        ({"x": [1], "exclude": [{"x": 1}]}, "no combination is left", ("exclude",)),
        ({"x": [1], "include": []}, "list of mappings", ("include",)),
        ({"x": [1], "include": [1]}, "must be a mapping", ("include", 0)),
        ({"x": [1], "include": [{"a b": 1}]}, "not a name", ("include", 0, "a b")),
        ({"x": [1], "include": [{"exclude": 1}]}, "not a name", ("include", 0, "exclude")),
        ({"x": list(range(40)), "y": list(range(40))}, "1,600 combinations", ()),
        ({"x": list(range(1000)), "include": [{"x": -1}]}, "1,001 combinations", ()),
    ],
)
def test_what_cannot_be_taken_apart_says_where(written: dict[str, Any], said: str, path: tuple[Any, ...]) -> None:
    with pytest.raises(BadMatrixError, match=said) as caught:
        combinations(written)
    assert caught.value.path == path


@given(
    st.dictionaries(
        st.sampled_from("abc"), st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True), min_size=1
    )
)
def test_without_exclude_and_include_every_combination_is_there_once(axes: dict[str, list[int]]) -> None:
    found = values(axes)
    assert len({tuple(sorted(combination.items())) for combination in found}) == len(found)
    expected = 1
    for axis in axes.values():
        expected *= len(axis)
    assert len(found) == expected
