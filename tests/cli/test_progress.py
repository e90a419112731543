"""Sentences about what did not go well."""

from __future__ import annotations

import pytest

from e2i.cli.progress import Lines, elsewhere
from e2i.execution.events import ToolDegraded
from e2i.store.history import WaitingElsewhere
from printed import parse


@pytest.mark.parametrize(
    ("profile", "tracker", "command"),
    [
        ("ops", "http://old/api (project e2i)", "e2i sync --profile ops --to http://old/api"),
        (None, "http://old/api (project e2i)", "e2i sync --to http://old/api"),
        ("ops", "the embedded tracker of the store", "e2i sync --profile ops"),
    ],
)
def test_entries_for_another_address_have_one_command_that_delivers_them(
    profile: str | None, tracker: str, command: str
) -> None:
    text = elsewhere(WaitingElsewhere(tool="opik", waiting=4, tracker=tracker, profile=profile))
    assert text == f"4 entries waiting for {tracker}: {command}"
    parse(*command.split()[1:])


def test_a_shared_store_that_is_down_refuses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Lines().emit(ToolDegraded("r", 1.0, tool="shared store", refused=5, problem="it does not answer"))
    shown = capsys.readouterr()
    assert "shared store: 5 results not shared with other machines: it does not answer" in shown.out + shown.err
