"""Where a name leads."""

from __future__ import annotations

import pytest

from e2i.spec.references import ROOTS, Reference, Scope, root
from e2i.spec.values import ExpressionError, Secret


def test_the_names_in_scope_are_these() -> None:
    assert ROOTS == ("params", "steps", "matrix", "env", "secrets", "run")
    assert [root(name) for name in ROOTS] == list(ROOTS)


def test_an_unknown_name_is_shown_where_it_stands_as_a_word() -> None:
    with pytest.raises(ExpressionError) as caught:
        root("step", "steps.a + step.b")
    assert (caught.value.offset, caught.value.hint) == (10, 'did you mean "steps"?')


def test_a_reference_leads_through_mappings_and_lists() -> None:
    assert Reference("steps", ("a", "b", -1)).look_up(Scope(steps={"a": {"b": [1, 2]}})) == 2


def test_a_secret_never_leads_to_its_value() -> None:
    assert Reference("secrets", ("X",)).look_up(Scope()) == Secret("X")


@pytest.mark.parametrize(
    "reference", [Reference("steps"), Reference("env", (0,)), Reference("secrets"), Reference("secrets", ("a", "b"))]
)
def test_some_roots_must_be_named_one_by_one(reference: Reference) -> None:
    with pytest.raises(ExpressionError):
        reference.check(alone=True)
