"""A character of a value, in the scalar of YAML that the value was written as."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2i.spec import document, inside

STYLES = {
    "literal": "q: |\n  select a,\n\n    nope from t\n",
    "literal with an indicator": "q: |2-\n   select nope\n",
    "folded": "q: >-\n  select a,\n  nope\n  from t\n\n",
    "double": 'q: "select \'a\\n\', \\"x\\", \\u00e9, \\\n    nope"\n',
    "single": "q: 'select ''a'',\n  nope'\n",
    "plain": "q: select nope from t # nope\n",
    "plain on two lines": "q: select a,\n  nope from t # comment\n",
    "in a list": "a: {q: [select nope from t, 1]}\n",
    "with an anchor": "q: &x |\n   select nope\n",
}


@pytest.mark.parametrize("style", STYLES)
def test_a_word_is_found_in_every_style(style: str) -> None:
    found, _ = document.read(STYLES[style], "s.yaml")
    assert found is not None
    path = ("a", "q", 0) if "a" in found.data else ("q",)
    place = found.location_in(path, found.value(path).index("nope"))
    assert found.line(place.line)[place.column - 1 :].startswith("nope")


@given(st.text("ab \n'\"\\é", min_size=1), st.data())
def test_quoted_text_leads_to_the_same_character(value: str, data: st.DataObject) -> None:
    import json

    at = data.draw(st.integers(0, len(value) - 1))
    written = json.dumps(value)
    found = inside.offset(written, value, at)
    character = value[at:].lstrip()[:1]
    if found is not None and character:
        assert json.loads(f'"{written[found]}"' if written[found] != "\\" else f'"{written[found : found + 2]}"'
                          if written[found + 1] != "u" else f'"{written[found : found + 6]}"') == character  # fmt: skip


def test_a_text_that_is_written_differently_has_no_place() -> None:
    assert inside.offset("other", "select nope", 7) is None
