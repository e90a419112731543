"""Where a mistake was made, when the parser gave up only later."""

from __future__ import annotations

import pytest

from e2i.spec import error_source


@pytest.mark.parametrize(
    ("text", "gave_up", "found"),
    [
        ('a: {x: "1, y: "2"}', 15, 7),
        ("a: ['1, '2']", 9, 4),
        ('a: "1" b', 7, None),  # its own quote: what follows is the mistake
        ("a: {x: 1, y: 2", 14, None),
    ],
)
def test_a_quote_is_closed_by_another(text: str, gave_up: int, found: int | None) -> None:
    assert error_source.quote(text, gave_up) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('a: ["one, "two"]\n', 4),
        ("a: ['one, 'two']\n", 4),
        ('a: ["one", "two]\n', None),
        ('a: "x"\nb: "y\n', None),
    ],
)
def test_a_quote_is_closed_by_another_on_the_line_of_one_that_is_never_closed(text: str, found: int | None) -> None:
    assert error_source.quote_before(text, text.rindex('"' if '"' in text else "'")) == found


def test_a_bracket_is_never_closed_when_the_text_goes_on_below_it() -> None:
    text = "a:\n  b: [1,\n    2\n  c: 3\n"
    assert error_source.bracket(text, text.index("["), text.index(": 3")) == text.index("[")
    assert error_source.bracket(text, text.index("["), text.index("2")) is None


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("key", True),
        ("  key value", True),
        ("- key value", True),
        ("key:value", True),
        ("uses:debug.echo", True),
        ("key: value", False),
        ("key:", False),
        ('"key"', False),
        ("# a comment", False),
    ],
)
def test_a_line_lacks_its_colon(line: str, found: bool) -> None:
    text = f"{line}\nnext: 1\n"
    assert (error_source.colon(text, text.index(": 1", len(line))) is not None) is found
