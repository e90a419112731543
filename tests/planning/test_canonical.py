"""One text for equal data, whatever holds it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from msgspec import UNSET, Struct, field

from e2i.planning.canonical import canonical, digest, fields


class Pair(Struct, kw_only=True):
    late: Any = field(name="with")
    early: Any = UNSET


def test_canonical_text_is_sorted_and_only_of_plain_data() -> None:
    assert canonical({"b": (1,), "a": {2, 1}}) == b'{"a":[1,2],"b":[1]}'
    texts = {
        canonical({"a": [value], "b": None}) for value in (None, math.nan, math.inf, -math.inf, 0.0, -0.0, 0, False)
    }
    assert len(texts) == 8, "each is another value"
    assert canonical({"a": "\x7f\xf0", "b": None, "c": 2**70}) == canonical({"c": 2**70, "b": None, "a": "\x7f\xf0"})
    with pytest.raises(TypeError, match="not plain data"):
        canonical(object())


@pytest.mark.parametrize("value", [1, "a", None, math.nan, 2**70, {"b": (1,), "a": {2, 1}}, {1: 2}], ids=str)
def test_a_struct_has_the_text_of_its_fields(value: Any) -> None:
    assert fields(Pair(late=value)) == {"with": value}
    assert canonical([Pair(late=value)]) == canonical([{"with": value}])
    assert digest(Pair(late=1, early=Pair(late=value))) == digest({"early": {"with": value}, "with": 1})
