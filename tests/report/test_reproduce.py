"""Commands that do a run again: what a shell and ``-p`` make of them is what the run had."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2i.cli.options import parameters
from e2i.report import reproduce
from e2i.spec.params import CommandLineValue
from report.past import SPEC, past_run

VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.text(st.characters(codec="ascii", exclude_categories=["Cc"]))
)


@given(st.dictionaries(st.sampled_from(["a", "b"]), VALUES | st.lists(VALUES, max_size=3)))
def test_parameters_are_read_back_as_they_were(params: dict[str, Any]) -> None:
    command = reproduce.commands(past_run(params=params).run, finished=True)[0][1]
    found = parameters(shlex.split(command)[3::2])
    assert {
        name: value.value if isinstance(value, CommandLineValue) else value for name, value in found.items()
    } == params


@pytest.mark.parametrize("text", ["no", "1e3", "null", "a: b", "", "# x", "[1", "2026-11-22", "it's"])
def test_texts_that_look_like_something_else_stay_texts(text: str) -> None:
    command = reproduce.commands(past_run(params={"a": text}).run, finished=True)[0][1]
    assert parameters(shlex.split(command)[3:]) == {"a": text}


def test_a_run_that_did_not_finish_can_be_resumed() -> None:
    commands = dict(reproduce.commands(past_run(profile="dev").run, finished=False))
    assert commands["resume this run"] == "e2i-run specs/demo.yaml --resume 20261122-000000-abcdef"
    assert "--profile dev" in commands["run it again; finished steps are reused"]


def test_a_spec_that_was_no_file_is_to_be_saved_first() -> None:
    purpose, command = reproduce.commands(past_run(file="<text>").run, finished=True)[0]
    assert "saved as demo.yaml" in purpose
    assert command.startswith("e2i-run demo.yaml")


@given(st.text())
def test_the_pieces_of_a_text_are_the_text(text: str) -> None:
    assert "".join(piece for _, piece in reproduce.pieces(text)) == text


def test_keys_comments_and_expressions_are_distinguished() -> None:
    found = list(reproduce.pieces(SPEC + "# end\n"))
    assert {"name", "steps"} <= {piece.strip() for kind, piece in found if kind == "key"}
    assert ("expression", "${{ params.n > 2 }}") in found
    assert ("comment", "# end") in found
