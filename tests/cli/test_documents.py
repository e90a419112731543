from __future__ import annotations

import json

import pytest

from e2i.cli import documents
from e2i.documents import plain
from e2i.spec.operations import Remove
from e2i.spec.problems import Location, Problem, ProblemsDocument


@pytest.mark.parametrize("text", ["\x1b[2J", "\x9b2J", "\x7f", "a\u202eb", "\ud800", "\u2066", "\ufeff"])
def test_nothing_that_could_steer_a_terminal_is_left(text: str) -> None:
    written = documents.dumps({"a": text})
    assert written.isprintable()
    written.encode("utf-8")
    assert json.loads(written) == {"a": text}


def test_other_text_stays_readable() -> None:
    assert documents.dumps({"a": "é → 漢"}) == '{"a": "é → 漢"}'


@pytest.mark.parametrize("hint", ["plain", "\ud800"])
def test_documents_are_written_from_their_structs(hint: str) -> None:
    problem = Problem("bad", "wrong", Location("s.yaml", 1, 2), "/a", hint, fixes=(Remove(path="/a"),))
    document = ProblemsDocument.of([problem])
    assert json.loads(documents.dumps(document)) == json.loads(documents.dumps(document, indent=1)) == plain(document)
    assert plain(document)["problems"][0]["fixes"] == [{"op": "remove", "path": "/a"}]
