"""The document of an approved plan is read as it was written, by this version and by earlier ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from e2i.documents import plain
from e2i.errors import BadInput, Refused
from e2i.planning import document

APPROVED = Path(__file__).with_name("approved.v1.json")
"""A plan with all keys that a document may have, written before documents were structs."""


def test_a_plan_that_was_approved_earlier_is_read_as_a_whole() -> None:
    found = document.parse(APPROVED.read_bytes())
    document.check(found)
    assert plain(found) == json.loads(APPROVED.read_text("utf-8"))


@pytest.mark.parametrize(("key", "value"), [("seed", 4), ("python", "2.7"), ("params", {"value": 2})])
def test_changed_inputs_are_refused(key: str, value: object) -> None:
    found = json.loads(APPROVED.read_text("utf-8"))
    found["steps"][0]["inputs"][key] = value
    with pytest.raises(Refused, match="its checksum does not match"):
        document.check(document.read(found))
    found["checksum"] = document.read(found).content_digest
    with pytest.raises(Refused, match="its digest does not match"):
        document.check(document.read(found))


@pytest.mark.parametrize("key", ["inputs", "options", "reason", "verdict", "needs"])
def test_a_document_with_more_or_fewer_keys_is_no_plan(key: str) -> None:
    for change in ({"more": 1}, {key: None}):
        found = json.loads(APPROVED.read_text("utf-8"))
        found["steps"][0] |= change
        with pytest.raises(BadInput, match="not a complete plan"):
            document.read(found)
