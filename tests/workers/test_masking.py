from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import urllib.parse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2i.workers import masking
from e2i.workers.executor import Failure
from e2i.workers.masking import Masker

SECRET = "canary/+&value-1234567"
PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqh\nkiG9w0BAQEFAASCB\nshort\n-----END KEY-----"


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(b"x:" + SECRET.encode()).decode(),
        base64.b64encode(b"user:" + SECRET.encode() + b"!").decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
        urllib.parse.quote(SECRET, safe=""),
        urllib.parse.quote(SECRET, safe="").lower(),
        urllib.parse.quote_plus(SECRET),
        json.dumps({"a": SECRET}),
        repr(SECRET.encode()),
        SECRET[::-1],
        base64.b64encode(SECRET[::-1].encode()).decode(),
        SECRET[::-1].encode().hex(),
    ],
)
def test_every_form_is_masked(form: str) -> None:
    shown = Masker([SECRET]).text(f"before {form} after")
    assert "***" in shown
    for part in (
        SECRET[:12],
        SECRET[::-1][:12],
        base64.b64encode(SECRET.encode()).decode()[4:20],
        SECRET.encode().hex()[:16],
    ):
        assert part not in shown


def test_each_long_line_of_a_secret_is_masked() -> None:
    masker = Masker([PEM])
    assert masker.text(PEM) == "***"
    assert [masker.text(line) for line in PEM.splitlines()] == ["***", "***", "***", "short", "***"]
    assert masker.text(json.dumps(PEM)) == '"***"'


def test_data_failures_and_keys_are_masked() -> None:
    masker = Masker([SECRET])
    assert masker.data({SECRET: [f"a {SECRET}", 7, None, (SECRET,)]}) == {"***": ["a ***", 7, None, ("***",)]}
    failure = Failure("code", f"{SECRET} was wrong", details={"trace": [SECRET]}, lost=True)
    assert masker.data(failure) == Failure("code", "*** was wrong", details={"trace": ["***"]}, lost=True)
    assert masker.data(None) is None


def test_a_short_secret_is_masked_as_a_word_and_a_shorter_one_as_a_whole() -> None:
    masker = Masker(["12ab", "7"])
    assert [masker.text(text) for text in ("pin 12ab!", "x12abf0", "7", "17", "7 of 7")] == [
        "pin ***!",
        "x12abf0",
        "***",
        "17",
        "7 of 7",
    ]


def test_the_longer_of_two_secrets_is_masked_whole() -> None:
    assert Masker(["password", "password-longer"]).text("password-longer") == "***"


def test_without_secrets_nothing_changes() -> None:
    assert not Masker([])
    assert Masker(["", ""]).data({"a": ["b"]}) == {"a": ["b"]}


class Pieces(io.RawIOBase):
    """Gives its pieces one by one, as a pipe does."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = [piece for piece in pieces if piece]

    def read1(self, size: int = -1) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([SECRET, "text ", "canary/", "\n", "é"]), max_size=12), st.integers(1, 9))
def test_a_stream_is_masked_wherever_it_is_cut(texts: list[str], size: int) -> None:
    data = "".join(texts).encode()
    target = io.BytesIO()
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    Masker([SECRET]).stream(Pieces(pieces), target)  # type: ignore[arg-type]  # all that it asks of a stream
    assert target.getvalue().decode() == "".join(texts).replace(SECRET, "***")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16"])
def test_a_stream_in_utf_16_is_masked(encoding: str) -> None:
    target = io.BytesIO()
    Masker([SECRET]).stream(io.BufferedReader(io.BytesIO(f"before {SECRET} after".encode(encoding))), target)
    written = target.getvalue()
    assert b"***" in written
    assert SECRET.encode("utf-16-le").rstrip(b"\0") not in written


def test_the_filter_is_a_program_of_its_own() -> None:
    given = json.dumps([SECRET]).encode() + b"\nsays " + SECRET.encode() + b"\xff\n"
    ended = subprocess.run(
        [sys.executable, "-I", "-S", masking.__file__], input=given, capture_output=True, timeout=30, check=True
    )
    assert ended.stdout == b"says ***\xff\n"
