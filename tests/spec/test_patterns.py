from __future__ import annotations

import time

import pytest

from e2i.spec import patterns


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("a|b", "a", True),
        ("a|b", "ab", False),
        ("[a-z]+", "abc", True),
        ("[a-z]+", "abc\n", False),
        ("", "", True),
        ("é.", "éü", True),
    ],
)
def test_the_whole_text_must_match(pattern: str, text: str, expected: bool) -> None:
    assert patterns.matches(pattern, text) is expected


@pytest.mark.parametrize("pattern", ["[", "(", "a(?=b)", r"(a)\1", "*"])
def test_what_cannot_be_used_is_explained(pattern: str) -> None:
    with pytest.raises(ValueError, match="not a supported regular expression"):
        patterns.matches(pattern, "a")


def test_no_pattern_takes_long() -> None:
    before = time.process_time()
    assert not patterns.matches("(a+)+$", "a" * 10_000 + "!")
    assert time.process_time() - before < 1
