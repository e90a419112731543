"""The public YAML test suite: what is valid is read as the suite reads it or refused, and nothing is read otherwise.

Refused on purpose: tags, several documents, tabs as indentation, keys that are no texts, two equal keys.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2i.spec.document import read_value

SUITE = json.loads((Path(__file__).parent / "yaml_test_suite.json").read_text("utf-8"))["cases"]
ACCEPTED = {
    "9C9N": "lines in brackets that are not indented", "Y79Y/3": "a tab in brackets", "DK95/1": "a tab in quotes",
    "QB6E": "lines in quotes that are not indented", "9JBA": "]#", "CVW2": ",#", "SU5Z": 'a comment after " without a space',
    "X4QW": "a comment after > without a space", "G5U8": "[-, -]", "YJV2": "[-]", "S98Z": "an empty text with more spaces than its end",
}  # fmt: skip
"""Invalid cases that libyaml, and so e2i, reads: each as everybody would."""


DIFFERENT = {"L24T/1": "a block text whose last line has more spaces and no newline keeps no newline"}
"""Valid cases that are read otherwise."""


def values(text: str) -> Iterator[Any]:
    """Yields the JSON values of a text, one for each YAML document."""
    decoder, rest = json.JSONDecoder(), text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        yield value
        rest = rest[end:].strip()


def test_valid_yaml_is_read_as_the_suite_says_or_refused() -> None:
    equal, wrong = 0, []
    for case in SUITE:
        if "json" not in case:
            continue
        found, problems = read_value(case["yaml"], "s.yaml")
        wanted = list(values(case["json"])) or [None]
        if not problems and wanted != [found]:
            wrong.append((case["id"], found, wanted))
        equal += not problems
    assert [name for name, *_ in wrong] == list(DIFFERENT), wrong
    assert equal >= 160


def test_invalid_yaml_is_refused_but_for_known_cases() -> None:
    invalid = [case for case in SUITE if case.get("invalid")]
    accepted = {case["id"] for case in invalid if not read_value(case["yaml"], "s.yaml")[1]}
    assert accepted == ACCEPTED.keys() and len(invalid) >= 90


@pytest.mark.parametrize(
    ("text", "at", "what"),
    [
        ("a: { ?foo: bar }", (1, 7), 'a "?" begins this text inside brackets'),
        ("a: [?x]", (1, 6), 'a "?" begins this text inside brackets'),
        ('a: [1, ?"x"]', (1, 9), 'a "?" begins this text inside brackets'),
        ("b: ö\na: &an:chor value", (2, 4), 'the name of an anchor, "an", is followed by ":"'),
    ],
)
def test_text_that_is_read_otherwise_is_refused(text: str, at: tuple[int, int], what: str) -> None:
    _, (problem,) = read_value(text, "s.yaml")
    assert (problem.location.line, problem.location.column) == at and problem.message == what
    assert problem.code == "yaml-syntax"


@pytest.mark.parametrize(
    "text", ["a: [b?c, '?x', \"?x\"]", "a: {? b : c}", "a: [&x 1, *x]", "a: '&b:c'", "a: b, ?c", "a: x&b:c"]
)
def test_text_that_only_looks_so_is_read(text: str) -> None:
    assert not read_value(text, "s.yaml")[1]
