"""A list of mappings becomes a mapping, and all other text stays."""

from __future__ import annotations

import pytest

from e2i.spec import document, edit
from e2i.spec.operations import Replace

TEXT = """name: n
steps:
  # first
  - id: a
    uses: debug.echo   # says it
    # inside
    with:
      - value: |
          two
          lines
      - other: {x: 1}
  - uses: debug.echo
    id: b

  # last
  - id: c
    needs: [a]
outputs: {x: 1}
"""
STEPS = """name: n
steps:
  # first
  a:
    uses: debug.echo   # says it
    # inside
    with:
      - value: |
          two
          lines
      - other: {x: 1}
  b:
    uses: debug.echo

  # last
  c:
    needs: [a]
outputs: {x: 1}
"""


def patched(text: str, path: str, value: object) -> str | None:
    found, problems = document.read(text, "s.yaml")
    assert found is not None and problems == []
    return edit.patch(found, [Replace(path=path, value=value)])


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_items_with_ids_become_entries(newline: str) -> None:
    found, _ = document.read(TEXT, "s.yaml")
    assert found is not None
    meant = {item["id"]: {key: value for key, value in item.items() if key != "id"} for item in found.value(("steps",))}
    assert patched(TEXT.replace("\n", newline), "/steps", meant) == STEPS.replace("\n", newline)


def test_items_become_entries_of_one_mapping() -> None:
    text = "with:\n  - value: |\n      two\n      lines\n  # more\n  - other:\n      x: 1\n"
    meant = {"value": "two\nlines\n", "other": {"x": 1}}
    assert patched(text, "/with", meant) == "with:\n  value: |\n    two\n    lines\n  # more\n  other:\n    x: 1\n"


def test_a_list_in_brackets_is_replaced_as_a_whole() -> None:
    assert patched("with: [{a: 1}, {b: 2}]\n", "/with", {"a": 1, "b": 2}) == "with: {a: 1, b: 2}\n"
