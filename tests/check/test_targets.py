"""Files that steps write: which paths the policy allows, by origin, and that no two steps share one."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2i import api


def codes(root: Path, *steps: str, origin: str = "human") -> list[str]:
    (root / "specs").mkdir(exist_ok=True)
    text = "version: 1\nname: files\nsteps:\n" + "".join(
        f"  s{index}: {{uses: data.write, with: {step}}}\n" for index, step in enumerate(steps)
    )
    workspace = api.Workspace.open(root=root, environ={}, origin=origin)
    return [problem.code for problem in api.validate(text, workspace=workspace).problems]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("out/a.json", []), ("a.json", []), ("../a.json", ["policy-path"]), ("/tmp/a.json", ["policy-path"]), (".git/a.json", ["policy-path"]), ("config/policy.yaml", ["policy-path"]),
        ("link/a.json", ["policy-path"]), ("http://x/a.json", ["bad-path"]), ("out/", ["bad-path"]), ("x/../../a.json", ["policy-path"]),
    ],
)  # fmt: skip
def test_a_file_is_written_inside_the_workspace_only(tmp_path: Path, path: str, expected: list[str]) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    (root / "config").mkdir()
    assert codes(root, f'{{path: "{path}", value: 1}}') == expected


def test_agents_write_nothing_unless_the_operator_names_a_folder(tmp_path: Path) -> None:
    safe = "{path: out/a.json, value: 1, escape_formulas: true}"
    assert codes(tmp_path, safe, origin="agent") == ["policy-path"]
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "policy.yaml").write_text("agent: {write_roots: [out]}\n")
    assert codes(tmp_path, safe, origin="agent") == []
    assert codes(tmp_path, "{path: other/a.json, value: 1, escape_formulas: true}", origin="agent") == ["policy-path"]
    assert codes(tmp_path, "{path: out/a.json, value: 1}", origin="agent") == ["policy-privilege"]


def test_no_two_steps_write_one_file(tmp_path: Path) -> None:
    assert codes(
        tmp_path, "{path: a.json, value: 1}", "{path: ./b/../a.json, value: 2}", "{path: b.json, value: 3}"
    ) == ["written-twice"]
