"""Each spec in ``bad/`` and what ``e2i validate`` says of it (``agent_*``: to an agent); each spec in ``good/`` and its plan for an empty store.

``UPDATE_GOLDEN=1 pytest tests/golden`` writes the expected texts anew; the difference is for git to show.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from e2i.cli.main import e2i

HERE = Path(__file__).parent
BAD = sorted((HERE / "bad").glob("*.yaml"))
GOOD = sorted((HERE / "good").glob("*.yaml"))


@pytest.mark.parametrize("spec", BAD, ids=lambda path: path.stem)
def test_a_bad_spec_is_explained(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(spec.parent.iterdir())
    origin = "agent" if spec.stem.startswith("agent_") else "human"
    result = _e2i(monkeypatch, spec.parent, "validate", spec.name, "--origin", origin)
    only_policy = all(
        code.startswith("policy-") for code in re.findall(r" error: .* \[([a-z0-9-]+)\]$", result.stderr, re.M)
    )
    if re.search(r": error: ", result.stderr):
        assert (result.exit_code, result.stdout) == (3 if only_policy else 2, ""), result.output
    else:  # a spec that has only warnings is valid
        assert (result.exit_code, result.stdout) == (0, f"{spec.name}: valid\n"), result.output
    assert sorted(spec.parent.iterdir()) == before
    _compare(spec.with_suffix(".out"), result.stderr)


@pytest.mark.parametrize("spec", GOOD, ids=lambda path: path.stem)
def test_a_good_spec_has_this_plan(spec: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert _e2i(monkeypatch, spec.parent, "validate", spec.name).stdout == f"{spec.name}: valid\n"
    result = _e2i(monkeypatch, spec.parent, "plan", spec.name, "--store", str(tmp_path / "store"))
    assert (result.exit_code, result.stderr) == (0, "")
    *reported, compared, places, digest = result.stdout.splitlines()
    assert compared == f"compared with the store {tmp_path / 'store'}"
    assert places == f"tools embedded in {tmp_path / 'store'}; profile default"
    assert digest.startswith("digest sha256:")
    diagram = _e2i(monkeypatch, spec.parent, "plan", spec.name, "--format", "mermaid")
    _compare(spec.with_suffix(".plan"), "\n".join(reported) + "\n\n" + diagram.stdout)


def test_no_expected_text_is_left_without_its_spec() -> None:
    texts = [
        path
        for folder in ("bad", "good")
        for path in (HERE / folder).iterdir()
        if path.is_file() and path.suffix != ".yaml"
    ]
    assert [path.name for path in texts if not path.with_suffix(".yaml").exists()] == []


def _e2i(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> Result:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("E2I_STORE", raising=False)
    return CliRunner().invoke(e2i, list(arguments))


def _compare(expected: Path, text: str) -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(text, "utf-8")
    assert text == expected.read_text("utf-8")
