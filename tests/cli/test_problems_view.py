from __future__ import annotations

from pathlib import Path

import click
import pytest

from e2i.cli import problems_view
from e2i.spec.problems import Location, Problem


def rendered(problem: Problem) -> list[str]:
    return click.unstyle(problems_view.render(problem)).splitlines()


def test_the_line_is_shown_with_a_caret_under_the_column(tmp_path: Path) -> None:
    spec = tmp_path / "x.yaml"
    spec.write_text("version: 1\nnmae: x\n")
    head, source, caret, hint = rendered(Problem("c", "wrong", Location(str(spec), 2, 1), "", 'did you mean "name"?'))
    assert head == f"{spec}:2:1: error: wrong [c]"
    assert source.index("n") == caret.index("^")
    assert hint.endswith('= did you mean "name"?')


def test_a_long_line_is_cut_around_the_column(tmp_path: Path) -> None:
    spec = tmp_path / "x.yaml"
    spec.write_text("x" * 5_000 + "Y" + "x" * 5_000)
    _, source, caret = rendered(Problem("c", "wrong", Location(str(spec), 1, 5_001), ""))
    assert len(source) < 130
    assert source[caret.index("^")] == "Y"


def test_a_place_that_is_not_there_has_no_source() -> None:
    assert len(rendered(Problem("c", "wrong", Location("<mapping>", 1, 1), ""))) == 1


def test_a_message_cannot_steer_the_terminal() -> None:
    assert problems_view.safe("a\x1b[2Jb\u202ec\rd") == "a\\x1b[2Jb\\u202ec\\rd"


def test_beyond_fifty_problems_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    problems_view.show([Problem("c", "wrong", Location("f", index, 1), "") for index in range(1, 61)])
    assert capsys.readouterr().err.splitlines()[-1] == "… and 10 more (--json lists them)"
