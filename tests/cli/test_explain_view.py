from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from e2i.check import codes
from e2i.cli.main import e2i


def explain(*arguments: str) -> Result:
    return CliRunner().invoke(e2i, ["explain", *arguments])


def test_without_a_code_all_are_listed() -> None:
    result = explain()
    assert result.exit_code == 0
    listed = [line.split()[0] for line in result.stdout.splitlines() if line[:2] == "  "]
    assert listed == [
        code.code for group in codes.GROUPS.values() for code in sorted(group, key=lambda code: code.code)
    ]
    assert [line for line in result.stdout.splitlines() if line in codes.GROUPS] == list(codes.GROUPS)


def test_a_code_that_no_spec_can_show_is_explained_with_its_cause() -> None:
    said = explain("quality-failed").stdout
    assert [part.partition(":")[0] for part in said.split("\n\n")[::2]] == ["quality-failed", "For example"]
    assert "What to do: Open the data docs" in said


@pytest.mark.parametrize("code", ["cycle", "[cycle]"])
def test_a_code_is_explained_with_an_example_and_its_fix(code: str) -> None:
    result = explain(code)
    assert result.exit_code == 0
    for part in (
        "cycle: Steps that wait for each other",
        "What to do: ",
        "\nWrong\n    steps:\n",
        "\nRight\n    steps:\n",
    ):
        assert part in result.stdout


def test_the_document_has_the_same() -> None:
    (found,) = json.loads(explain("cycle", "--json").stdout)["codes"]
    assert found.keys() == {"code", "group", "title", "why", "fix", "bad", "good", "example"}
    assert len(json.loads(explain("--json").stdout)["codes"]) == len(codes.CODES)


def test_a_mistyped_code_is_bad_input_with_a_suggestion() -> None:
    result = explain("cylce")
    assert (result.exit_code, result.stdout) == (2, "")
    assert 'did you mean "cycle"?' in result.stderr
