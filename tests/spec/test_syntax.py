"""Syntax errors in words that a person can act on, the same from both of PyYAML's parsers."""

from __future__ import annotations

import pytest
import yaml

from e2i.spec import syntax

CASES = {
    "a: {path: ${{ x }}}": '1:12: expected "," or "}" here, for the "{" of line 1 … "${{ … }}"',
    "a: [${{ x }}]": '1:6: expected "," or "]" here, for the "[" of line 1 … "${{ … }}"',
    "a: ${{ {'k': 1} }}": '1:12: a ":" is not allowed here … "${{ … }}"',
    "a: hello: world": '1:9: a ":" is not allowed here … quote text that contains ": "',
    "a: 1\n  b: 2": '2:4: a ":" is not allowed here … check the indentation',
    "a:\n  b: 1\n c: 2": "3:2: this line is not an entry of the enclosing mapping … indent",
    'a: "b" c': "1:8: this line is not an entry of the enclosing mapping … inside the quotes",
    "- a\nb: 1": '2:1: this line is not an item of the enclosing list: a "- " was expected … equally',
    "a: - b": '1:4: a list item ("- ") cannot start here … a line of its own',
    "a: 1\nbcd\nc: 2": '2:1: a key without ":" … "key: value"',
    "x: 1\na: 'b\nc: 1": "2:4: the quote that opens here is never closed … ",
    "a: [1, 2\nb: 3": "1:4: the bracket or brace that opens here is never closed … close it",
    "a: {x: 1\nb: 3": "1:4: the bracket or brace that opens here is never closed … close it",
    "a: {x: 1\n  b: 3}": '2:4: expected "," or "}" here, for the "{" of line 1 … inside { } quote',
    "a:\n  b: {x: 1,\n      y: 2\nc: 3": "2:6: the bracket or brace that opens here is never closed … close it",
    'a: {x: "1, y: "2"}': "1:8: the quoted text that opens here is closed by the next quote … after the text",
    'a: {x: "1}\nb: "c"': "1:8: the quoted text that opens here is closed by the next quote … after the text",
    "a\nb: 1": '1:1: a key without ": " … "key: value"',
    "a:\n  b:1\n  c: 2": '2:3: a key without ": " … "key: value"',
    "a:\n  b x\n\n  c: 2": '2:3: a key without ": " … "key: value"',
    "a: @x": '1:4: a value cannot start with "@" … quote it',
    "a: *.csv": '1:4: "*" starts an alias … quote text that starts with "*"',
    "a: & b": '1:4: "&" starts an anchor … quote text that starts with "&"',
    "a: !e!foo b": '1:4: tags are not supported … quote text that starts with "!"',
    "  a: 1\nb: 2": "2:1: this line is indented less than the first one … first column",
    "%YAML 2.0\n---\na: 1": "1:1: this version of YAML is not read here … remove",
    "a: |x\n  b": '1:5: text cannot follow "|" or ">" … next line',
    "a: [1,,2]": "1:7: a value is missing here … ",
    "a:\n\t- 1": "2:1: a tab cannot indent a line … spaces",
}


@pytest.mark.parametrize("parser", [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)])
@pytest.mark.parametrize("text", CASES)
def test_a_syntax_error_says_where_what_and_what_to_do(text: str, parser: type[yaml.SafeLoader]) -> None:
    with pytest.raises(yaml.YAMLError) as caught:
        list(yaml.parse(text, Loader=parser))
    problem = syntax.explain(caught.value, text, "s.yaml")
    what, _, advice = CASES[text].partition(" … ")
    assert f"{problem.location.line}:{problem.location.column}: {problem.message}".startswith(what)
    assert advice in (problem.hint or "")


def test_an_unknown_escape_is_explained() -> None:
    with pytest.raises(yaml.YAMLError) as caught:
        list(yaml.parse('a: "C:\\dir"', Loader=yaml.SafeLoader))
    assert "single quotes" in str(syntax.explain(caught.value, 'a: "C:\\dir"', "s.yaml").hint)


def test_an_error_that_is_not_known_keeps_its_own_words() -> None:
    problem = syntax.explain(yaml.YAMLError("something\nnew"), "a", "s.yaml")
    assert str(problem) == "s.yaml:1:1: this is not YAML: something new [yaml-syntax]"
