"""Google Cloud Storage by its JSON API: files that are put are there once, read back, and verified by later runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from context import LocalContext
from e2i.catalog.artifacts import File
from e2i.errors import AuthenticationFailed, BadInput, Refused, StepError, ToolUnavailable
from e2i.settings import Settings
from e2i.tools.remote import GetParams, PutParams, actions, effects
from live.google_storage import GoogleStorage

LARGE = bytes(range(256)) * 40_000
"""More than Arrow's client sends in one request."""


@pytest.fixture
def storage() -> Iterator[GoogleStorage]:
    made = GoogleStorage("data")
    yield made
    made.close()


@pytest.fixture
def here(tmp_path: Path, storage: GoogleStorage) -> Iterator[LocalContext]:
    place = {"kind": "gcs", "root": "data/folder", "endpoint": storage.url, "private": True, "anonymous": True}
    locations = {
        "here": {**place, "read_only": False},
        "reader": place,
        "public": {**place, "private": False},
        "nothing": {**place, "root": "no-such-bucket", "read_only": False},
    }
    ctx = LocalContext(tmp_path, settings=Settings(tools={"remote": {"deadline": 2, "locations": locations}}))
    yield ctx
    ctx.close()


def put(ctx: LocalContext, content: bytes, location: str = "here", **params: Any) -> Any:
    path = ctx.scratch / "made"
    path.write_bytes(content)
    file = ctx.keep(path, File, name="made.txt", bytes=len(content))
    given = PutParams(location=location, key="a/é x.txt", file=file, **params)
    return given, actions.put(given, ctx)


def test_a_file_is_put_taken_and_verified(here: LocalContext, storage: GoogleStorage) -> None:
    params, outputs = put(here, LARGE)
    assert storage.buckets["data"] == {"folder/a/é x.txt": LARGE}
    assert effects.put(params, outputs, here) is None
    taken = actions.get(GetParams(location="reader", key="a/é x.txt", digest=outputs.digest), here).file
    assert here.open(taken).read_bytes() == LARGE
    put(here, LARGE)
    put(here, LARGE, mode="replace")
    assert storage.puts == 1, "equal content is not put again"
    with pytest.raises(StepError) as other:
        put(here, b"second")
    assert other.value.code == "file-exists"
    put(here, b"second", mode="replace")
    assert storage.buckets["data"] == {"folder/a/é x.txt": b"second"}
    assert "other content" in (effects.put(params, outputs, here) or "")


def test_what_may_not_be_done_is_refused(here: LocalContext) -> None:
    with pytest.raises(BadInput, match="only for reading"):
        put(here, b"x", "reader")
    with pytest.raises(Refused) as private:
        actions.get(GetParams(location="public", key="a"), here)
    assert private.value.code == "private-address"
    with pytest.raises(StepError) as missing:
        actions.get(GetParams(location="reader", key="nothing"), here)
    assert missing.value.code == "no-such-file"
    with pytest.raises(StepError, match="no bucket"):
        put(here, b"x", "nothing")


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthenticationFailed), (403, AuthenticationFailed), (503, ToolUnavailable)]
)
def test_a_refused_account_is_no_outage(
    here: LocalContext, storage: GoogleStorage, status: int, kind: type[Exception]
) -> None:
    storage.status = status
    with pytest.raises(ToolUnavailable) as raised:
        put(here, b"x")
    assert type(raised.value) is kind
