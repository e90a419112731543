"""Test files in an editor: problems, completions and descriptions, with the columns of the tested spec."""

from __future__ import annotations

from pathlib import Path

import pytest
from lsprotocol import types as lsp

from editor import Editor, applied
from lsp.test_server import SPEC

CASES = """tests: ./tested.yaml
cases:
  hcps_are_apart:
    params: {rows: 3000}
    given:
      data:
        journeys: {rows: [{hcp_id: a}, {hcp_id: b}]}
    run: [split]
    expect:
      status: succeeded
      holds:
        - ${{ steps.split.train.rows > 0 }}
      disjoint: [{tables: [split.train, split.test], by: hcp_id}]
      tables:
        split.train:
          by: [hcp_id]
          rows: [{hcp_id: a}]
      snapshot: [split.train]
"""
FILE = "specs/tested.test.yaml"


@pytest.fixture
def tested(editor: Editor) -> Editor:
    editor.write("specs/tested.yaml", SPEC)
    editor.known(FILE, CASES)
    return editor


def changed(old: str, new: str) -> str:
    assert old in CASES, old
    return CASES.replace(old, new, 1)


def test_problems_of_test_files_appear_with_their_fix(tested: Editor) -> None:
    assert tested.problems(FILE, CASES) == []
    (found,) = tested.problems(FILE, text := changed("expect:", "expects:"))
    assert (found.code, found.range.start.line) == ("unknown-key", 8)
    fix = tested.actions(FILE, found.range)[0]
    assert isinstance(fix, lsp.CodeAction) and fix.edit and fix.edit.changes
    assert applied(text, list(fix.edit.changes[tested.uri(FILE)])) == CASES
    for old, new, code in (
        ("run: [split]", "run: [splitt]", "unknown-step"),
        ("split.train.rows > 0", "split.trian.rows > 0", "unknown-output"),
        ("{rows: 3000}", "{row: 3000}", "unknown-parameter"),
        ("./tested.yaml", "./nothing.yaml", "no-such-spec"),
        ("./tested.yaml", "../../nothing.yaml", "policy-path"),
        ("{hcp_id: b}]", "{hcp_id: b}", "yaml-syntax"),
    ):
        assert code in [one.code for one in tested.problems(FILE, changed(old, new))], (old, new)
    assert not tested.store.exists(), "nothing was run"


def test_a_test_file_is_checked_with_the_spec_that_is_not_saved(tested: Editor) -> None:
    tested.known("specs/tested.yaml", SPEC.replace("  split:", "  parts:").replace("steps.split", "steps.parts"))
    codes = {one.code for one in tested.problems(FILE, CASES + "#\n")}
    tested.known("specs/tested.yaml", SPEC)
    assert codes == {"unknown-step"} and tested.problems(FILE, CASES) == []


@pytest.mark.parametrize(
    ("old", "new", "labels"),
    [
        ("params: {rows: 3000}", "params: {¦}", ["rows"]),
        ("      data:\n", "      ¦\n      data:\n", ["data", "split", "train"]),
        ("        journeys:", "        ¦\n        journeys:", ["journeys", "history", "truth"]),
        ("run: [split]", "run: [spl¦]", ["split"]),
        ("run: [split]", "ru¦", ["run"]),
        ("status: succeeded", "status: ¦", ["succeeded", "failed"]),
        ("${{ steps.split.train.rows", "${{ steps.split.¦", ["train", "validation", "test", "parts"]),
        ("tables: [split.train,", "tables: [split.v¦,", ["split.validation"]),
        ("by: [hcp_id]", "by: [spec¦]", ["specialty"]),
        ("snapshot: [split.train]", "snapshot: [train.mod¦]", ["train.model"]),
        ("    run: [split]", "    ¦", ["description", "run", "fault"]),
    ],
)
def test_completions_know_the_steps_outputs_and_columns_of_the_spec(
    tested: Editor, old: str, new: str, labels: list[str]
) -> None:
    found = tested.labels(FILE, changed(old, new))
    assert set(labels) <= set(found), found
    assert "uses" not in found, "no keys of specs"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("run: [split]", "run: [sp¦lit]", "step `split`: `data.split`"),
        ("{rows: 3000}", "{ro¦ws: 3000}", "Journeys"),
        ("split.train.rows > 0", "split.tr¦ain.rows > 0", "hcp_id"),
        ("journeys: {", "jour¦neys: {", "hcp_id"),
        ("snapshot: [split.train]", "snapshot: [split.tr¦ain]", "hcp_id"),
        ("disjoint:", "dis¦joint:", "without a common value"),
    ],
)
def test_descriptions_are_those_of_the_spec(tested: Editor, old: str, new: str, said: str) -> None:
    assert said in tested.hover(FILE, changed(old, new))
    assert tested.definition(FILE, CASES.replace("sp", "s¦p", 1)) is None


def test_nothing_outside_of_the_workspace_is_shown(tested: Editor, tmp_path: Path) -> None:
    """A spec that a test file must not name is not read: neither its steps nor its text appear."""
    (tmp_path / "outside.yaml").write_text(SPEC.replace("train:", "secret_step:"), "utf-8")
    link = tested.root / "specs" / "linked.yaml"
    link.symlink_to(tmp_path / "outside.yaml")
    for name in (str(tmp_path / "outside.yaml"), "./linked.yaml"):
        text = CASES.replace("./tested.yaml", name)
        found = tested.problems("specs/other.test.yaml", text)
        assert [one.code for one in found] == ["policy-path"]
        assert "secret_step" not in tested.labels("specs/other.test.yaml", text.replace("run: [split]", "run: [¦]"))
    link.unlink()
