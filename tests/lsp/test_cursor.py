"""The cursor in texts that can be read, and in texts that are cut off where the cursor is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from e2i.cli.main import e2i
from e2i.lsp import completion, definition, hover, knowledge
from e2i.lsp.cursor import PLACEHOLDER, find
from e2i.lsp.documents import Documents
from e2i.lsp.outline import scan
from e2i.lsp.place import Place, is_spec
from e2i.spec import document
from e2i.spec.positions import Spot, locate

ROOT = Path(__file__).parents[2]
SPECS = [
    path
    for folder in (ROOT / "specs", ROOT / "tests" / "golden" / "good")
    for path in sorted(folder.glob("*.yaml"))
    if not path.name.endswith(".test.yaml") and document.read(path.read_text(), "")[0] is not None
]
Keys = tuple[str | int, ...]


def scalars(spot: Spot, path: Keys = ()) -> Iterator[tuple[Keys, Spot]]:
    for key, inner in (spot.children or {}).items():
        yield from scalars(inner, (*path, key))
    if not spot.children:
        yield path, spot


def as_first(path: Keys) -> Keys:
    """Where a text is cut off, the number of an item is not known."""
    return tuple(key if isinstance(key, str) else 0 for key in path)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_key_and_value_is_found_in_the_whole_text_and_where_it_is_cut_off(path: Path) -> None:
    text = path.read_text()
    top = locate(text)
    assert top is not None
    for where, spot in scalars(top):
        written = text[spot.start : spot.end]
        if "\n" in written.strip() or "#" in written or spot.end - spot.start < 3:
            continue
        middle = spot.start + 2
        whole, cut = find(text, middle), find(text[:middle], middle)
        assert whole and not whole.is_key and whole.path == where, (where, whole)
        assert cut and as_first(cut.path) == as_first(where), (where, cut)
        if spot.key_end > spot.key_start:
            key = find(text, spot.key_start + 1)
            assert key and key.is_key and key.path == (*where[:-1], PLACEHOLDER), (where, key)
    steps = document.read(text, "")[0]
    assert steps is not None
    found = {name: entry.uses for name, entry in scan(text).names("steps").items()}
    assert found == {name: step["uses"] for name, step in steps.data["steps"].items()}


@pytest.mark.parametrize(
    ("text", "path", "word", "expression"),
    [
        ("ste¦", (PLACEHOLDER,), "ste", None),
        ("steps:\n  a: {uses: debug.e¦", ("steps", "a", "uses"), "debug.e", None),
        ("steps:\n  a:\n    with: {value: [1, {b: ¦", ("steps", "a", "with", "value", 1, "b"), "", None),
        ("steps:\n  a:\n    with: {value: '${{ steps.¦", ("steps", "a", "with", "value"), "", " steps."),
        ("steps:\n  a:\n    with:\n      x: [a\n      y¦", ("steps", "a", "with", PLACEHOLDER), "y", None),
        ("steps:\n  a:\n    with:\n    - x: 1\n      y¦", ("steps", "a", "with", 0, PLACEHOLDER), "y", None),
        ("steps:\n  a:\n    with: {value: &name [1, {b: ¦", ("steps", "a", "with", "value", 1, "b"), "", None),
        ("steps:\n  a: # note ¦", None, "", None),
        ("outputs:\n  x: a ${{ p | ro¦ }}", ("outputs", "x"), "ro", " p | ro"),
        ("steps:\n  q:\n    with:\n      query: SELECT a, b¦\n", ("steps", "q", "with", "query"), "b", None),
    ],
)
def test_what_is_being_written_is_known(text: str, path: Keys | None, word: str, expression: str | None) -> None:
    found = find(text.replace("¦", ""), text.index("¦"))
    assert (found and (found.path, found.word, found.expression)) == (path and (path, word, expression))


def test_the_documented_settings_of_editors_start_the_server() -> None:
    page = (ROOT / "docs" / "editors.md").read_text()
    code, zed = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL))
    assert [code["glspc.server.command"], *code["glspc.server.commandArguments"]] == ["e2i", "lsp"]
    binary = zed["lsp"]["yaml-language-server"]["binary"]
    assert [binary["path"], *binary["arguments"]] == ["e2i", "lsp"]
    assert 'cmd = { "e2i", "lsp" }' in page
    assert CliRunner().invoke(e2i, ["lsp", "--help"]).exit_code == 0


def test_specs_are_told_from_other_files() -> None:
    assert is_spec(Path("/p/a.yaml"), "version: 1\nsteps:\n") and is_spec(Path("/p/specs/a.yml"), "")
    assert is_spec(Path("/p/a.yaml"), "# yaml-language-server: $schema=../schemas/pipeline.v1.json\n")
    for name, text in (("a.test.yaml", "steps:\n"), ("a.json", "steps:"), ("compose.yaml", "services:\n  steps: 1\n")):
        assert not is_spec(Path("/p") / name, text)


@pytest.fixture(scope="module")
def known() -> knowledge.Knowledge:
    documents = Documents(Place())
    path = ROOT / "specs" / "flight_delays.yaml"
    opened = documents.opened(path, path.read_text())
    assert opened is not None
    return documents.check(opened)[0]


@settings(max_examples=25)
@given(data=st.data())
def test_no_text_and_no_position_makes_an_answer_fail(known: knowledge.Knowledge, data: st.DataObject) -> None:
    text = known.text
    for _ in range(data.draw(st.integers(0, 3))):
        start = data.draw(st.integers(0, len(text)))
        put = data.draw(
            st.sampled_from(["", "{", "[", '"', "'", "${{ ", "}}", "- ", ": ", "\n", "\t", "#", "steps.", "|"])
        )
        text = text[:start] + put + text[start + data.draw(st.integers(0, 30)) :]
    offset = data.draw(st.integers(0, len(text)))
    typed = known.with_text(text)
    if (cursor := knowledge.cursor(typed, offset)) is not None:
        completion.complete(typed, cursor)
    hover.at(typed, offset)
    definition.at(typed, offset)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "line", ["x" * 2_000_000, "${{ " * 400_000, "a: {" * 400_000, "{ uses:" * 300_000, "'" * 2_000_000]
)
def test_very_long_lines_do_not_hold_the_editor_up(line: str) -> None:
    """A pattern that begins at each character and looks for the end of the line would take hours."""
    text = f'version: 1\nname: a\nsteps:\n  a: {{uses: debug.echo, with: {{value: "{line}"}}}}\n'
    offset = len(text) // 2
    assert find(text, offset) is None
    assert list(scan(text).steps) == ["a"]
    start, end = hover.word(text, offset)
    assert end - start <= 400
