from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from e2i.cli.main import e2i

WRONG = """\
version: 1
name: x  # mine
steps:
  a: {uses: debug.ecko}
  b:
    uses: 'debug.sleep'
    with: {second: 1}
"""
RIGHT = WRONG.replace("ecko", "echo").replace("second:", "seconds:")
HALF = WRONG + "  c: {uses: debug.echo, needs: [nobody_at_all]}\n"


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.yaml"
    path.write_text(WRONG, "utf-8")
    return path


def fix(*arguments: str) -> Result:
    return CliRunner().invoke(e2i, ["fix", *arguments])


def test_without_write_the_change_is_shown_and_nothing_is_written(spec: Path) -> None:
    result = fix("x.yaml")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:3] == ["--- a/x.yaml", "+++ b/x.yaml", "@@ -1,7 +1,7 @@"]
    assert [line for line in result.stdout.splitlines()[3:] if line[0] in "+-"] == [
        "-  a: {uses: debug.ecko}",
        "+  a: {uses: debug.echo}",
        "-    with: {second: 1}",
        "+    with: {seconds: 1}",
    ]
    assert result.stderr.count("fixed x.yaml:") == 2
    assert "--write" in result.stderr
    assert spec.read_text() == WRONG
    assert list(spec.parent.iterdir()) == [spec]


def test_with_write_the_file_is_fixed_and_keeps_its_mode(spec: Path) -> None:
    spec.chmod(0o640)
    result = fix("x.yaml", "--write")
    assert (result.exit_code, result.stdout) == (0, "")
    assert spec.read_text() == RIGHT
    assert spec.stat().st_mode & 0o777 == 0o640
    assert list(spec.parent.iterdir()) == [spec]
    again = fix("x.yaml", "--write")
    assert (again.exit_code, again.stderr) == (0, "nothing to fix\n")


def test_what_is_left_is_shown_as_it_is_in_the_fixed_text(spec: Path) -> None:
    spec.write_text(HALF.replace("version: 1\n", ""), "utf-8")
    result = fix("x.yaml")
    assert result.exit_code == 2
    assert "x.yaml:8:33: error: there is no step" in result.stderr
    assert "    8 |   c: {uses: debug.echo, needs: [nobody_at_all]}" in result.stderr


def test_a_document_tells_programs_everything(spec: Path) -> None:
    spec.write_text(HALF, "utf-8")
    result = fix("x.yaml", "--json", "--write")
    assert result.exit_code == 2
    document = json.loads(result.stdout)
    assert (document["schema_version"], document["valid"], document["written"]) == (1, False, True)
    assert [problem["code"] for problem in document["applied"]] == ["unknown-action", "unknown-action-parameter"]
    assert [problem["code"] for problem in document["problems"]] == ["unknown-step"]
    assert document["text"] == spec.read_text()
    assert document["diff"].startswith("--- a/x.yaml\n")


def test_line_ends_and_the_byte_order_mark_stay(spec: Path) -> None:
    spec.write_bytes(b"\xef\xbb\xbf" + WRONG.replace("\n", "\r\n").encode())
    assert fix("x.yaml", "--write").exit_code == 0
    assert spec.read_bytes() == b"\xef\xbb\xbf" + RIGHT.replace("\n", "\r\n").encode()


def test_a_link_stays_a_link(spec: Path) -> None:
    link = spec.parent / "link.yaml"
    link.symlink_to(spec)
    assert fix("link.yaml", "--write").exit_code == 0
    assert link.is_symlink()
    assert spec.read_text() == RIGHT


def test_a_file_that_is_no_text_is_left_alone(spec: Path) -> None:
    spec.write_bytes("name: café\n".encode("latin-1"))
    result = fix("x.yaml", "--write")
    assert result.exit_code == 2
    assert "[not-utf8]" in result.stderr
    assert spec.read_bytes() == "name: café\n".encode("latin-1")


def test_a_file_that_is_not_there_is_bad_input(spec: Path) -> None:
    result = fix("y.yaml")
    assert result.exit_code == 2
    assert "[no-such-spec]" in result.stderr


INCLUDES = "version: 1\nname: y  # whole\nsteps:\n  p: {uses: ./parts/p.yaml}\n"
PART = """\
version: 1
name: p
steps:
  a: {uses: debug.echo, with: {value: ${{ run.id }}, valeu: 1}}  # cannot be read
  b: {uses: ./deeper.yaml}
"""
DEEPER = "version: 1\nname: d\nsteps:\n  a: {uses: debug.ecko}\n"


@pytest.fixture
def parts(spec: Path) -> Path:
    """A valid spec that includes specs with problems."""
    folder = spec.parent / "parts"
    folder.mkdir()
    spec.write_text(INCLUDES, "utf-8")
    (folder / "p.yaml").write_bytes(b"\xef\xbb\xbf" + PART.replace("\n", "\r\n").replace(", valeu: 1", "").encode())
    (folder / "deeper.yaml").write_text(DEEPER, "utf-8")
    return folder


def test_included_specs_are_fixed_each_in_its_own_file(parts: Path) -> None:
    before = parts.parent.joinpath("x.yaml").stat().st_ino
    result = fix("x.yaml", "--write")
    assert (result.exit_code, result.stdout) == (0, "")
    fixed = PART.replace("${{ run.id }}", '"${{ run.id }}"').replace(", valeu: 1", "")
    assert (parts / "p.yaml").read_bytes() == b"\xef\xbb\xbf" + fixed.replace("\n", "\r\n").encode()
    assert (parts / "deeper.yaml").read_text() == DEEPER.replace("ecko", "echo")
    assert parts.parent.joinpath("x.yaml").stat().st_ino == before, "a file without a fault is not written"
    assert sorted(path.name for path in parts.iterdir()) == ["deeper.yaml", "p.yaml"]
    assert "fixed parts/deeper.yaml:4:13: unknown action" in result.stderr


def test_without_write_each_included_spec_has_its_own_diff(parts: Path) -> None:
    result = fix("x.yaml", "--json")
    document = json.loads(result.stdout)
    heads = [line for line in document["diff"].splitlines() if line.startswith("--- ")]
    assert heads == ["--- a/parts/deeper.yaml", "--- a/parts/p.yaml"]
    assert sorted(document["included"]) == ["parts/deeper.yaml", "parts/p.yaml"]
    assert (document["text"], document["written"]) == (INCLUDES, False)
    assert {problem["file"] for problem in document["applied"]} == set(document["included"])
    assert (parts / "deeper.yaml").read_text() == DEEPER


def test_what_is_left_in_an_included_spec_is_shown_as_it_is_now(parts: Path) -> None:
    (parts / "p.yaml").write_text(PART, "utf-8")
    result = fix("x.yaml")
    assert result.exit_code == 2
    assert 'parts/p.yaml:4:56: error: debug.echo has no parameter "valeu"' in result.stderr
    assert '   4 |   a: {uses: debug.echo, with: {value: "${{ run.id }}", valeu: 1}}' in result.stderr


def test_an_included_spec_outside_the_workspace_is_never_written(
    parts: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "deeper.yaml").write_text(DEEPER, "utf-8")
    (parts / "deeper.yaml").unlink()
    (parts / "deeper.yaml").symlink_to(outside / "deeper.yaml")
    refused = fix("x.yaml", "--write")
    assert refused.exit_code == 2
    assert "leads through a link outside the workspace" in refused.stderr
    (parts.parent / "config").mkdir()
    (parts.parent / "config" / "policy.yaml").write_text(f'human: {{roots: [".", {outside}]}}\n')
    allowed = fix("x.yaml", "--write")  # may be read, and is no file of this workspace
    assert (allowed.exit_code, "unknown-action" in allowed.stderr) == (2, True), allowed.output
    assert (outside / "deeper.yaml").read_text() == DEEPER


def test_two_names_of_one_included_spec_are_one_file(parts: Path) -> None:
    (parts / "other.yaml").symlink_to("deeper.yaml")
    (parts.parent / "x.yaml").write_text(INCLUDES + "  q: {uses: ./parts/other.yaml}\n", "utf-8")
    assert fix("x.yaml", "--write").exit_code == 0
    assert (parts / "other.yaml").is_symlink()
    assert (parts / "deeper.yaml").read_text() == DEEPER.replace("ecko", "echo")


def test_what_a_policy_does_not_allow_an_agent_is_refused(spec: Path) -> None:
    spec.write_text(RIGHT + "  c: {uses: python.call, with: {file: a.py, function: f}}\n", "utf-8")
    (spec.parent / "a.py").write_text("def f():\n    return 1\n")
    assert fix("x.yaml").exit_code == 0
    refused = fix("x.yaml", "--origin", "agent")
    assert refused.exit_code == 3, refused.output


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_named(spec: Path) -> None:
    spec.parent.chmod(0o555)
    try:
        result = fix("x.yaml", "--write")
    finally:
        spec.parent.chmod(0o755)
    assert result.exit_code == 2
    assert "cannot write" in result.stderr
