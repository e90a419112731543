"""Where nodes stand, also in a text that is broken further on."""

from __future__ import annotations

from e2i.spec.positions import locate


def test_an_empty_text_has_no_places() -> None:
    assert locate("# nothing\n") is None


def test_what_stands_before_a_syntax_error_is_found() -> None:
    spot = locate("a: 1\nb: [2\n")
    assert spot is not None
    found, depth = spot.find(("a",))
    assert (found.line, found.column, depth) == (1, 4, 1)


def test_of_equal_keys_the_first_counts() -> None:
    spot = locate("a: 1\na: 2\n")
    assert spot is not None
    assert spot.find(("a",))[0].key_line == 1


def test_empty_values_and_keys_have_places() -> None:
    spot = locate("a:\n'': {b: }\n")
    assert spot is not None
    assert [(spot.find(path)[0].line, spot.find(path)[1]) for path in [("a",), ("",), ("", "b")]] == [
        (1, 1),
        (2, 1),
        (2, 2),
    ]
