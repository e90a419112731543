from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2i.spec import document, edit
from e2i.spec.document import Document
from e2i.spec.operations import Add, Move, Operation, Remove, Replace
from e2i.spec.writing import written

TEXT = """\
# what this is for
name: x   # keep me
steps:
  a:   # the first
    uses: 'debug.ecko'
    wiht: {value: "${{ params.x }}", other: [1,2]}
    retry: 3 # times
  b:
    uses: &action debug.echo

    with:
      value: |
        text ${{ steps.c.value }}
        more
    needs:
      - a
      - q  # why
    cache:
  l:
    - k: 1
      m: 2
  é: {"quoted": yes}
"""


def read(text: str) -> Document:
    found, problems = document.read(text, "spec.yaml")
    assert found is not None, problems
    return found


def replace(path: str, value: Any) -> Operation:
    return Replace(path=path, value=value)


def move(source: str, path: str) -> Operation:
    return Move(source=source, path=path)


CHANGES = {
    "a scalar keeps its quotes": (
        replace("/steps/a/uses", "debug.echo"),
        "    uses: 'debug.ecko'\n",
        "    uses: 'debug.echo'\n",
    ),
    "a scalar keeps its anchor": (
        replace("/steps/b/uses", "debug.fail"),
        "    uses: &action debug.echo\n",
        "    uses: &action debug.fail\n",
    ),
    "a scalar becomes a mapping": (
        replace("/steps/a/retry", {"attempts": 3}),
        "    retry: 3 # times\n",
        "    retry: {attempts: 3} # times\n",
    ),
    "a null that is not written gets a value": (replace("/steps/b/cache", True), "    cache:\n", "    cache: true\n"),
    "of a text block only the word changes": (
        replace("/steps/b/with/value", "text ${{ steps.a.value }}\nmore\n"),
        "        text ${{ steps.c.value }}\n",
        "        text ${{ steps.a.value }}\n",
    ),
    "a key is renamed": (
        move("/steps/a/wiht", "/steps/a/with"),
        "    wiht: {value:",
        "    with: {value:",
    ),
    "a quoted key is renamed in its quotes": (move("/steps/é/quoted", "/steps/é/x y"), '"quoted": yes', '"x y": yes'),
    "an entry of braces is removed": (
        Remove(path="/steps/a/wiht/value"),
        '{value: "${{ params.x }}", other: [1,2]}',
        "{other: [1,2]}",
    ),
    "the last entry of braces is removed": (
        Remove(path="/steps/a/wiht/other"),
        '{value: "${{ params.x }}", other: [1,2]}',
        '{value: "${{ params.x }}"}',
    ),
    "an item of brackets is removed": (Remove(path="/steps/a/wiht/other/0"), "[1,2]", "[2]"),
    "an item is removed with its line": (Remove(path="/steps/b/needs/1"), "      - q  # why\n", ""),
    "an entry is removed with its lines": (
        Remove(path="/steps/b/needs"),
        "    needs:\n      - a\n      - q  # why\n",
        "",
    ),
    "the first entry of a list's item is removed": (
        Remove(path="/steps/l/0/k"),
        "    - k: 1\n      m: 2\n",
        "    - m: 2\n",
    ),
    "the only entry leaves empty braces": (
        Remove(path="/steps/é/quoted"),
        '{"quoted": yes}',
        "{}",
    ),
    "a new entry at the top comes first": (
        Add(path="/version", value=1),
        "name: x",
        "version: 1\nname: x",
    ),
    "a new entry comes last": (
        Add(path="/steps/a/cache", value=False),
        "    retry: 3 # times\n",
        "    retry: 3 # times\n    cache: false\n",
    ),
    "a new entry in braces": (
        Add(path="/steps/a/wiht/n", value=None),
        "other: [1,2]}",
        "other: [1,2], n: null}",
    ),
    "a new entry in a list's item": (
        Add(path="/steps/l/0/n", value=[1, "a: b"]),
        "      m: 2\n",
        '      m: 2\n      n: [1, "a: b"]\n',
    ),
    "an item is added to a list": (
        Add(path="/steps/b/needs/-", value="c d"),
        "      - q  # why\n",
        "      - q  # why\n      - c d\n",
    ),
    "an item is added in brackets": (Add(path="/steps/a/wiht/other/-", value=3), "[1,2]", "[1,2, 3]"),
    "an entry moves to another mapping": (
        move("/steps/b/cache", "/steps/b/with/cache"),
        "        more\n    needs:\n      - a\n      - q  # why\n    cache:\n",
        "        more\n      cache: null\n    needs:\n      - a\n      - q  # why\n",
    ),
}


@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["unix", "windows"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_an_operation_changes_only_what_it_names(change: tuple[Operation, str, str], line_end: str) -> None:
    operation, before, after = change
    assert TEXT.count(before) == 1
    text, before, after = (instance.replace("\n", line_end) for instance in (TEXT, before, after))
    assert edit.patch(read(text), [operation]) == text.replace(before, after)


def test_operations_in_different_places_are_made_at_once() -> None:
    changed = edit.patch(read(TEXT), [replace("/steps/a/uses", "debug.echo"), move("/steps/a/wiht", "/steps/a/with")])
    assert changed == TEXT.replace("ecko", "echo").replace("wiht", "with")


@pytest.mark.parametrize(
    "operations",
    [
        [replace("/steps/nowhere", 1)],
        [replace("", {})],
        [Remove(path="/steps/b/needs/7")],
        [Add(path="/steps/b/needs/0", value="x")],
        [Add(path="/steps/b/uses/x", value="x")],
        [move("/steps/a/wiht", "/steps/a/uses")],
        [replace("/steps/a", {}), replace("/steps/a/uses", "x")],
    ],
    ids=str,
)
def test_what_cannot_be_applied_exactly_is_not(operations: list[Operation]) -> None:
    assert edit.patch(read(TEXT), operations) is None


def test_items_are_added_in_the_order_given() -> None:
    add = [Add(path="/x/-", value=name) for name in ("z", "y")]
    assert edit.patch(read("x: [a]\n"), add) == "x: [a, z, y]\n"
    assert edit.patch(read("x:\n- a"), add[:1]) == "x:\n- a\n- z"


def test_what_an_alias_shares_is_changed_where_it_is_written() -> None:
    text = "base: &base {a: 1}\none: *base\n"
    assert edit.patch(read(text), [replace("/one/a", 2)]) == "base: &base {a: 2}\none: *base\n"


def test_an_alias_of_a_single_value_is_replaced_alone() -> None:
    assert edit.patch(read("a: &a x\nb: *a\n"), [replace("/b", "y")]) == "a: &a x\nb: y\n"
    assert edit.patch(read("a: &a x\nb: *a\n"), [replace("/a", "y")]) is None


NAMES = st.text("abcdefghij", min_size=1, max_size=4)
DATA = st.dictionaries(
    NAMES,
    st.recursive(
        st.integers(0, 99) | st.sampled_from(["x", "a: b", "# c", "", "it's", "${{ params.x }}", "true"]),
        lambda below: st.lists(below, max_size=3) | st.dictionaries(NAMES, below, max_size=3),
    ),
    min_size=1,
    max_size=4,
)


def block(value: Any, indent: int = 0) -> str:
    """The value in block style, with a comment behind each line."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        return "".join(f"\n{pad}{key}:{block(item, indent + 1)}" for key, item in value.items())
    if isinstance(value, list) and value:
        return "".join(f"\n{pad}-{block(item, indent + 1)}" for item in value)
    return f" {written(value, flow=False)}  # comment"


@given(DATA, st.data())
def test_any_operation_on_any_document_is_exact_or_refused(data: dict[str, Any], draw: st.DataObject) -> None:
    text = draw.draw(st.sampled_from([block(data).lstrip("\n") + "\n", written(data)]))
    paths = [path for path in every(data, "") if path]
    path = draw.draw(st.sampled_from(paths))
    value = draw.draw(st.sampled_from([1, "new", "a: b", None, {"k": [1]}]))
    operation = draw.draw(st.sampled_from([Replace(path=path, value=value), Remove(path=path)]))
    changed = edit.patch(read(text), [operation])
    if changed is None:
        return
    read(changed)
    gone = set(text.splitlines()) - set(changed.splitlines())
    assert len(gone) <= len(block(data).splitlines())


def every(value: Any, path: str) -> list[str]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in items for found in every(item, f"{path}/{key}"))]
