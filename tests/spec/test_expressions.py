"""The language of ``${{ … }}``: what it means, what it refers to, what it refuses."""

from __future__ import annotations

import subprocess
import sys
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2i.spec import expressions
from e2i.spec.references import Reference, Scope
from e2i.spec.values import ExpressionError, Secret

SCOPE = Scope(
    params={
        "n": 20,
        "x": 0.5,
        "yes": True,
        "nothing": None,
        "text": "abc",
        "list": [3, 1, 2],
        "map": {"k": "v", "two words": 2, "items": 7},
    },
    steps={"load": {"table": {"type": "table", "columns": ["a", "b"]}, "rows": 5}, "items": {"keys": 1}},
    matrix={"fold": 2},
    env={"REGION": "eu"},
    run={"id": "r1"},
)


def value(text: str, scope: Scope | None = None) -> Any:
    return expressions.evaluate(expressions.parse(text), SCOPE if scope is None else scope)


def error(text: str) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        value(text)
    assert 0 <= caught.value.offset <= len(text)
    assert len(caught.value.message) < 300
    return caught.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${{ params.n }}", 20),
        ("${{params.n}}", 20),
        ("${{ params.n }}\n", 20),
        ("${{ params.list }}", [3, 1, 2]),
        ("${{ params.nothing }}", None),
        ("${{ steps.load.table.columns[1] }}", "b"),
        ("${{ steps['load'][\"rows\"] }}", 5),
        ("${{ params.map['two words'] }}", 2),
        ("${{ params.map.items }}", 7),
        ("${{ steps.items.keys }}", 1),
        ("${{ params.n * 2 > 30 and params.yes }}", True),
        ("${{ params.list | sort | first }}", 1),
        ("${{ params[params.text | replace('abc', 'n')] }}", 20),
        ("${{ {'a': {'b': [1, 2.5, none]}} }}", {"a": {"b": [1, 2.5, None]}}),
        ("${{ (1, 'x') }}", [1, "x"]),
        ("${{ 'low' if params.n < 10 else 'high' }}", "high"),
        ("${{ params.missing | default(7) }}", 7),
        ("${{ steps.gone.table.rows | default('none yet') }}", "none yet"),
        ("${{ params.nothing | default(7) }}", None),
        ("${{ params.nothing | default(7, true) }}", 7),
        ("${{ params.missing is defined or params.n is defined }}", True),
        ("${{ params.missing is undefined }}", True),
        ("${{ true }}", True),
        ("${{ '}}' ~ \"}}\" }}", "}}}}"),
    ],
)
def test_one_expression_keeps_its_native_type(text: str, expected: object) -> None:
    assert value(text) == expected
    assert type(value(text)) is type(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n=${{ params.n }}", "n=20"),
        (" ${{ params.n }}", " 20"),
        ("${{ params.n }}${{ params.x }}", "200.5"),
        ("${{ params.yes }} ${{ params.nothing }} ${{ 1e-7 }}", "true null 1e-07"),
        ("${{ params.list }} and ${{ params.map }}", '[3, 1, 2] and {"k": "v", "two words": 2, "items": 7}'),
        ("$${{ params.n }} is ${{ params.n }}", "${{ params.n }} is 20"),
        ("$$${{ x", "$${{ x"),
        ('{"json": {"a": 1}}', '{"json": {"a": 1}}'),
        ("{{ not ours }} $ { } }}", "{{ not ours }} $ { } }}"),
        ("{# kept #} ${{ 1 }}", "{# kept #} 1"),
        ("", ""),
    ],
)
def test_expressions_inside_text_become_text(text: str, expected: str) -> None:
    assert value(text) == expected


@pytest.mark.parametrize("inner", ["{{ 7*7 }}", "${{ 7*7 }}", "${{ params.n }}", "{% x %}"])
def test_a_result_is_never_evaluated_again(inner: str) -> None:
    assert value(f"${{{{ '{inner}' }}}}") == inner
    assert value(f"a ${{{{ '{inner}' }}}}") == f"a {inner}"
    assert value("${{ params.text }}", Scope(params={"text": inner})) == inner
    assert expressions.render({"a": "${{ params.text }}"}, Scope(params={"text": inner})) == {"a": inner}


def test_references_are_found_wherever_they_stand() -> None:
    template = expressions.parse("${{ params.n }} ${{ steps.load.table.columns[0] ~ matrix.fold ~ params.n }}")
    assert [reference.parts for reference in template.references] == [
        ("params", "n"),
        ("steps", "load", "table", "columns", 0),
        ("matrix", "fold"),
    ]
    assert str(template.references[1]) == "steps.load.table.columns[0]"
    assert template.whole is None


def test_a_whole_reference_is_told_from_a_formula() -> None:
    whole = expressions.parse("${{ steps.a.b }}").whole
    assert whole is not None
    assert whole.body == Reference("steps", ("a", "b"))
    formula = expressions.parse("${{ steps.a.b + 1 }}").whole
    assert formula is not None
    assert not isinstance(formula.body, Reference)
    assert formula.references == (Reference("steps", ("a", "b")),)


def test_references_that_may_be_missing_say_so() -> None:
    references = expressions.parse("${{ steps.a.b | default(params.n) if steps.c.d is defined else 1 }}").references
    assert {(str(reference), reference.optional) for reference in references} == {
        ("steps.a.b", True),
        ("params.n", False),
        ("steps.c.d", True),
    }


def test_plain_references_do_not_import_jinja() -> None:
    code = """
import sys
from e2i.spec import expressions
from e2i.spec.references import Scope
data, scope = ["${{ params.a }}", "x ${{ steps.b.c[0] }}"], Scope(params={"a": 1}, steps={"b": {"c": [2]}})
assert expressions.render(data, scope) == [1, "x 2"]
assert "jinja2" not in sys.modules
"""
    assert (
        subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, check=False).returncode
        == 0
    )


def test_a_secret_is_a_placeholder_that_shows_nothing() -> None:
    secret = value("${{ secrets.TOKEN }}", Scope())
    assert secret == Secret("TOKEN")
    assert f"{secret}" == "***"


@pytest.mark.parametrize(
    "text",
    [
        "Bearer ${{ secrets.TOKEN }}",
        "${{ secrets.TOKEN | upper }}",
        "${{ secrets.TOKEN.x }}",
        "${{ secrets }}",
        "${{ secrets[params.text] }}",
        "${{ [secrets.TOKEN] }}",
        "${{ secrets.TOKEN | default('') }}",
    ],
)
def test_a_secret_is_a_part_of_nothing(text: str) -> None:
    with pytest.raises(ExpressionError):
        expressions.parse(text)


@pytest.mark.parametrize(
    ("text", "message", "offset", "hint"),
    [
        ("${{ parms.n }}", 'unknown name "parms"', 4, 'did you mean "params"?'),
        ("a ${{ 1 + zzz }}", 'unknown name "zzz"', 10, "choose from: env, matrix, params, run, secrets, steps"),
        ("${{ steps.load.tabel }}", 'steps.load has no "tabel"', 4, 'did you mean "table"?'),
        ("${{ steps.laod.table + 1 }}", 'steps has no "laod"', 4, 'did you mean "load"?'),
        ("${{ params.list[9] }}", "params.list has 3 items, so no [9]", 4, None),
        ("${{ params.text.size }}", 'params.text is text, so it has no "size"', 4, None),
        ("ab ${{ params.n", 'this "${{" is never closed', 3, 'close it with "}}"'),
        ("${{ params.n }", 'a "}" that closes nothing', 13, 'ends with "}}"'),
        ("${{ 'abc }}", "a quote in the expression is never closed", 4, None),
        ("${{ }}", "the expression is empty", 0, None),
        ("${{ 1 2 }}", '"2" is unexpected here', 4, "one value"),
        ("${{ 1 + }}", "the expression cannot be read: unexpected 'end of the expression'", 4, None),
        ("${{ params.text | uper }}", 'unknown filter "uper"', 18, 'did you mean "upper"?'),
        ("${{ params.n is odd }}", 'unknown test "odd"', 16, None),
        ("${{ params.list[1:] }}", "slices are not supported", 4, "first and last"),
        ("${{ 1 if params.yes }}", '"if" needs an "else"', 4, None),
        ("${{ steps }}", '"steps" cannot be used as a whole', 4, "steps.NAME"),
        ("${{ steps[params.text].x }}", '"steps" cannot be used as a whole', 4, "steps.NAME"),
        ("${{ env }}", '"env" cannot be used as a whole', 4, "env.NAME"),
        ("${{ params.list | join(1, 2, 3) }}", 'the filter "join" does not take these arguments', 4, None),
        ("${{ params.list | join(sep=',') }}", 'the filter "join" does not take these arguments', 4, None),
        ("x ${{ params.text + 1 }}", '"+" does not work on text and a number', 6, None),
        ("${{ params.yes + 1 }}", '"+" does not work on true or false and a number', 4, None),
        ("${{ 1 / 0 }}", '"/" cannot be computed', 4, None),
        ("${{ {1: 2} }}", "the keys of a mapping must be quoted text", 4, None),
        ("a {% if x %}", "statements", 2, "{%"),
    ],
)
def test_an_error_says_what_where_and_what_to_do(text: str, message: str, offset: int, hint: str | None) -> None:
    found = error(text)
    assert found.message.startswith(message)
    assert found.offset == offset
    assert hint in (found.hint or "") if hint else True


HOSTILE = [
    "${{ lipsum.__globals__['os'].system('id') }}",
    "${{ 'x'|attr('__class__') }}",
    "${{ '{a.__class__}'.format_map({'a': 1}) }}",
    "${{ '%s' % params }}",
    "${{ '%1000000000d' % 1 }}",
    "${{ steps.train.outputs.__class__ }}",
    "${{ params.__class__.__mro__ }}",
    "${{ params['__class__'] }}",
    "${{ ''.__class__ }}",
    "${{ [].append }}",
    "${{ self }}",
    "${{ namespace }}",
    "${{ range(10) }}",
    "${{ cycler.__init__.__globals__ }}",
    "${{ params.map.pop('k') }}",
    "${{ params.get('n') }}",
    "${{ params.list | map(attribute='x') }}",
    "${{ params.list | join(*params.list) }}",
    "${{ params.list | join(**params.map) }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% macro f() %}${{ f() }}{% endmacro %}${{ f() }}",
    "{% set ns = namespace(s='a') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "${{ 1 }}{% raw %}",
    "${{ {% set x = 1 %} }}",
    "${{ {# x #} }}",
    "${{ x.pop() }}",
    "${{ '\\x1b[2J' }}",
    "${{ '\\ud800' }}",
    "${{ '\\u202e' }}",
    "${{ ('a'*2000000000)|length }}",
    "${{ 2000000000*'a' }}",
    "${{ [0]*2000000000 }}",
    "${{ lipsum(n=2000000) }}",
    "${{ (['a'*100000]*100000)|join }}",
    "${{ (['a'*1000]*99999)|join }}",
    "${{ [[[[0]*300]*300]*300]*300 }}",
    "${{ 2**(2**33) }}",
    "${{ 9223372036854775807 + 1 }}",
    "${{ 9**9**9**9 }}",
    "${{ (-8)**0.5 }}",
    "${{ 10.0**400 }}",
    "${{ 1e999 }}",
    "${{ 99999999999999999999 }}",
    "${{ ('a'*999999)|replace('a', 'b'*999999) }}",
    "${{ params.n | round(10000000) }}",
    "${{ params.x | round(3, 'up') }}",
    "${{ ('9'*5000) | int }}",
    "${{ '1e400' | int }}",
    "${{ " + "(" * 900 + "1" + ")" * 900 + " }}",
    "${{ " + "[" * 900 + "]" * 900 + " }}",
    "${{ " + "-" * 1900 + "1 }}",
    "${{ " + "not " * 480 + "true }}",
    "${{ " + "1+" * 900 + "1 }}",
    "${{ " + "[1]|first|" * 150 + "string }}",
    "${{ " + "1," * 900 + " }}",
    "${{ " + "x" * 3000 + " }}",
    "${{ params." + "x" * 3000 + " }}",
    "${{ '" + "x" * 3000 + "' }}",
    "${{ params" + ".x" * 500 + " + 1 }}",
    "${{ 1 }}" * 200,
    "${{" * 100_000,
    "${{ '" * 100_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:40])
def test_hostile_expressions_are_refused_fast_and_small(text: str) -> None:
    error("${{ params.n + 1 }}".replace("1", "''"))  # imports Jinja2 before the clock starts
    tracemalloc.start()
    start = time.process_time()
    found = error(text)
    seconds = time.process_time() - start
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 0.5  # 0.1 without tracemalloc, which slows everything down
    assert peak < 50_000_000
    assert "\n" not in found.message


@pytest.mark.parametrize(
    "text",
    [
        "${{ ([[0]*300]*300) == ([[0]*300]*300) }}",
        "${{ (['A'*1000]*900)|sort|unique|join|lower|upper|lower|upper|lower|upper|lower }}",
        "${{ (([0.5]*90000)|sort|sum) < 1 }}",
        "${{ " + " + ".join(["([0]*1900)"] * 15) + " }}",
        "${{ ('a'*900000)|replace('a', 'b')|replace('b', 'c') }}",
    ],
)
def test_the_costliest_expressions_that_pass_take_a_moment(text: str) -> None:
    value("${{ 1 + 1 }}")
    start = time.process_time()
    value(text)
    assert time.process_time() - start < 1


def test_attributes_of_objects_are_never_reached() -> None:
    class Model:
        secret = "canary"

    for text in ("${{ steps.a.model.secret }}", "${{ steps.a.model['secret'] }}", "${{ (steps.a.model).secret ~ '' }}"):
        with pytest.raises(ExpressionError):
            value(text, Scope(steps={"a": {"model": Model()}}))


def test_objects_pass_through_a_choice_untouched() -> None:
    artifact = object()
    scope = Scope(steps={"a": {"model": artifact}}, params={"use": True})
    assert value("${{ steps.a.model if params.use else none }}", scope) is artifact
    assert value("${{ steps.a.model }}", scope) is artifact


def test_a_large_value_passes_through_a_plain_reference() -> None:
    rows = list(range(300_000))
    assert value("${{ steps.a.rows }}", Scope(steps={"a": {"rows": rows}})) is rows


def test_a_root_that_the_scope_lacks_is_an_error() -> None:
    with pytest.raises(ExpressionError, match='"matrix" cannot be used here'):
        value("${{ matrix.fold }}", Scope(params={}))


def test_walk_finds_every_expression_and_what_is_wrong_with_the_bad_ones() -> None:
    data = {"a": ["x", "${{ params.n }}", {"b": "${{ nope }}"}], "c": 1, "d": "{% x %}", "e": "$${{ y }}"}
    found = dict(expressions.walk(data))
    assert list(found) == [("a", 1), ("a", 2, "b"), ("d",), ("e",)]
    assert isinstance(found["a", 2, "b"], ExpressionError)
    assert isinstance(found["d",], ExpressionError)


def test_render_evaluates_every_text_and_leaves_keys_alone() -> None:
    data = {"${{ x }}": "${{ params.n }}", "list": ("a", "n is ${{ params.n }}"), "n": 1, "none": None}
    assert expressions.render(data, SCOPE) == {"${{ x }}": 20, "list": ["a", "n is 20"], "n": 1, "none": None}


def test_the_scope_is_never_changed() -> None:
    before = repr(SCOPE)
    for text in (
        "${{ params.list | sort }}",
        "${{ params.list + [1] }}",
        "${{ params.list * 2 }}",
        "${{ params.map | keys }}",
    ):
        value(text)
    assert repr(SCOPE) == before


PIECES = st.sampled_from(
    [
        *[
            "${{",
            "}}",
            "$${{",
            "{%",
            "%}",
            "{",
            "}",
            "'",
            '"',
            "\\",
            "(",
            ")",
            "[",
            "]",
            ".",
            ",",
            ":",
            "|",
            "~",
            "*",
            "**",
            "-",
            "+",
            "/",
            "//",
            "%",
            "<",
            "==",
            "=",
            "!",
        ],
        *[
            " ",
            "\n",
            "params",
            "steps",
            "secrets",
            ".n",
            ".list",
            ".x",
            "1",
            "0",
            "1.5",
            "1e9",
            "9223372036854775807",
            "'a'",
            "true",
            "none",
            "if",
            "else",
            "and",
            "not",
            "in",
            "is",
        ],
        *[
            "default",
            "join",
            "length",
            "sort",
            "first",
            "int",
            "round",
            "defined",
            "loop",
            "__class__",
            "é",
            "\0",
            "\ud800",
        ],
    ]
)


@given(st.text(max_size=40) | st.lists(PIECES, max_size=20).map("".join) | st.lists(PIECES, max_size=12).map(" ".join))
def test_garbage_raises_nothing_but_an_expression_error(text: str) -> None:
    for candidate in (text, "${{" + text + "}}", "${{ " + text + " }}"):
        try:
            template = expressions.parse(candidate)
            expressions.evaluate(template, SCOPE)
        except ExpressionError as error:
            assert 0 <= error.offset <= len(candidate)
            assert error.message


@given(st.text(max_size=40))
def test_escaped_text_comes_out_as_it_was(text: str) -> None:
    if "{%" not in text:
        assert value(text.replace("${{", "$${{")) == text
