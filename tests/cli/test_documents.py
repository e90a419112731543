from __future__ import annotations

import json

import pytest

from e2i.cli import documents


@pytest.mark.parametrize("text", ["\x1b[2J", "\x9b2J", "\x7f", "a\u202eb", "\ud800", "\u2066", "\ufeff"])
def test_nothing_that_could_steer_a_terminal_is_left(text: str) -> None:
    written = documents.dumps({"a": text})
    assert written.isprintable()
    written.encode("utf-8")
    assert json.loads(written) == {"a": text}


def test_other_text_stays_readable() -> None:
    assert documents.dumps({"a": "é → 漢"}) == '{"a": "é → 漢"}'
