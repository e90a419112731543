from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2i.store.verified import Verified

NAME = "ab" + "0" * 62


def test_the_last_note_counts_in_this_process_and_in_others(tmp_path: Path) -> None:
    one, other = Verified(tmp_path / "verified"), Verified(tmp_path / "verified")
    assert not other.knows(NAME, "s1")
    one.note(NAME, "s1")
    assert other.knows(NAME, "s1")
    one.note(NAME, "s2")
    assert other.knows(NAME, "s2")
    assert not Verified(tmp_path / "verified").knows(NAME, "s1")


def test_what_is_gone_is_forgotten(tmp_path: Path) -> None:
    verified = Verified(tmp_path / "verified")
    verified.note(NAME, "s1")
    verified.note("ab" + "1" * 62, "s2")
    verified.keep_only(lambda name: name == NAME)
    assert (tmp_path / "verified" / "ab").read_text() == f"{NAME} s1\n"
    assert verified.knows(NAME, "s1")


def test_where_nothing_can_be_written_nothing_is_remembered(tmp_path: Path) -> None:
    (tmp_path / "verified").write_text("no folder")
    Verified(tmp_path / "verified").note(NAME, "s1")
    assert not Verified(tmp_path / "verified").knows(NAME, "s1")


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_a_corrupt_memory_knows_nothing(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("verified")
    (folder / "ab").write_bytes(content)
    assert not Verified(folder).knows(NAME, "s1")
