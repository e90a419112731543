"""Fixes of texts that cannot be read, through ``check.fixing``, which makes sure that the fixed text reads."""

from __future__ import annotations

import pytest

from e2i.check.fixing import fix_text
from e2i.spec import document
from e2i.spec.problems import Problem


def fixed(text: str) -> str:
    def check(text: str) -> list[Problem]:
        return document.read(text, "spec.yaml")[1]

    return fix_text(text, "spec.yaml", check).text


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("a: {t: ${{ steps.a.v }}, n: [${{ params.x }}, 2]}", 'a: {t: "${{ steps.a.v }}", n: ["${{ params.x }}", 2]}'),
        ("a: {t: pre-${{ a.b }}-post, n: 1}", 'a: {t: "pre-${{ a.b }}-post", n: 1}'),
        ("a: {\n  t: ${{ a.b }},  # why\n  n: 1}", 'a: {\n  t: "${{ a.b }}",  # why\n  n: 1}'),
        ("a: {b: ${{ {\"k\": 1} }}, c: '${{ x }}'}", "a: {b: '${{ {\"k\": 1} }}', c: '${{ x }}'}"),
        ("a: {s: 'it''s, ${{ q }}', e: ${{ params.x }}}", "a: {s: 'it''s, ${{ q }}', e: \"${{ params.x }}\"}"),
        ("a: ${{ x == 'b: c' }}  # why", "a: \"${{ x == 'b: c' }}\"  # why"),
        ("a: ${{ x ~ ' # y' }}", "a: \"${{ x ~ ' # y' }}\""),
        ("a: {b: ${{ x }}}\nc: [${{ y }}]", 'a: {b: "${{ x }}"}\nc: ["${{ y }}"]'),
        ("a:\n  with:{b: 1}\n  c: 2", "a:\n  with: {b: 1}\n  c: 2"),
        ("a:\n  with:{b: 1,\n    c: 2}", "a:\n  with: {b: 1,\n    c: 2}"),
        ("a: {b: 1, with:{c: [1]}}", "a: {b: 1, with: {c: [1]}}"),
        ("a:\n  - b:[c: 1]\n  - d", "a:\n  - b: [c: 1]\n  - d"),
    ],
)
def test_expressions_get_the_quotes_that_they_need(wrong: str, right: str) -> None:
    assert fixed(wrong + "\n") == right + "\n"
    windows = wrong.replace("\n", "\r\n") + "\r\n"
    assert fixed(windows) == right.replace("\n", "\r\n") + "\r\n"


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("a: ${{ steps.a.value }", "a: ${{ steps.a.value }}"),
        ("a: ${{ params.x", "a: ${{ params.x }}"),
        ("a: {{ steps.a.value }}", 'a: "${{ steps.a.value }}"'),
        ("1: a", '"1": a'),
        ("a: {true: 2}", 'a: {"true": 2}'),
        ("a:\n\tb: 1\n\tc:\n\t\td: 2", "a:\n  b: 1\n  c:\n    d: 2"),
        ("a: {b: 1, c: 2, b: 1}", "a: {b: 1, c: 2}"),
        ("a:\n  e: [1,2]\n  f: 1\n  e: [1, 2]  # twice\nb: 1", "a:\n  e: [1,2]\n  f: 1\nb: 1"),
    ],
)
def test_what_has_one_mend_is_mended(wrong: str, right: str) -> None:
    assert fixed(wrong + "\n") == right + "\n"


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2\n",
        "a: &x 1\na: &x 1\nb: *x\n",
        "a:\n  b: 1\n\tc: 2\n",
        "a: ${{ 1 +\n",
        "a: {b: 1\n",
        "a: 'never closed\n",
        "a: !tag x\n",
        "<<: {a: 1}\n",
        "a: {{ anything }}\n",
    ],
)
def test_what_could_be_mended_in_two_ways_is_left_alone(text: str) -> None:
    assert fixed(text) == text
