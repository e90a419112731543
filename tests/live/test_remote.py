"""An S3 server on this machine: files that are put are there once, read back, and verified by later runs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from context import LocalContext
from e2i.catalog.artifacts import File, Report
from e2i.errors import BadInput, Refused, StepError, ToolUnavailable
from e2i.settings import Settings
from e2i.tools.remote import GetParams, PutParams, actions, effects
from live.servers import ObjectStore

NUMBERS = count(1)


class Bucket:
    """A step context with one bucket."""

    def __init__(self, root: Path, s3: ObjectStore) -> None:
        self.s3 = s3
        self.name = s3.bucket(f"bucket-{next(NUMBERS)}")
        account = {"access_key": "tests", "secret_key": "tests-secret", "region": "us-east-1"}
        place = {"kind": "s3", "root": f"{self.name}/folder", "endpoint": s3.url, "private": True, **account}
        locations = {
            "here": {**place, "read_only": False},
            "reader": place,
            "public": {**place, "private": False},
            "nothing": {**place, "root": "no-such-bucket", "read_only": False},
        }
        self.ctx = LocalContext(root, settings=Settings(tools={"remote": {"deadline": 5, "locations": locations}}))

    def file(self, text: str) -> File:
        path = self.ctx.scratch / "made"
        path.write_text(text)
        return self.ctx.keep(path, File, name="made.txt", bytes=len(text))

    def put(self, text: str, location: str = "here", **params: Any) -> Any:
        given = PutParams(location=location, key="a/x.txt", file=self.file(text), **params)
        return given, actions.put(given, self.ctx)

    def content(self) -> str:
        found = self.s3.client().get_object(Bucket=self.name, Key="folder/a/x.txt")["Body"].read()
        return str(found.decode())


@pytest.fixture
def bucket(tmp_path: Path, s3: ObjectStore) -> Iterator[Bucket]:
    made = Bucket(tmp_path, s3)
    yield made
    made.ctx.close()


def test_a_file_is_put_taken_and_verified(bucket: Bucket) -> None:
    params, outputs = bucket.put("first")
    assert bucket.content() == "first" and effects.put(params, outputs, bucket.ctx) is None
    taken = actions.get(GetParams(location="reader", key="a/x.txt", digest=outputs.digest), bucket.ctx).file
    assert bucket.ctx.open(taken).read_text() == "first" and taken.name == "x.txt"
    with pytest.raises(StepError) as other:
        bucket.put("second")
    assert other.value.code == "file-exists" and bucket.content() == "first"
    bucket.put("second", mode="replace")
    assert bucket.content() == "second"
    assert "other content" in (effects.put(params, outputs, bucket.ctx) or "")
    bucket.s3.empty(bucket.name)
    assert "does not exist" in (effects.put(params, outputs, bucket.ctx) or "")


def test_equal_content_is_not_put_again(bucket: Bucket) -> None:
    bucket.put("same")
    before = bucket.s3.client().head_object(Bucket=bucket.name, Key="folder/a/x.txt")["LastModified"]
    bucket.s3.client().put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    bucket.put("same")
    bucket.put("same", mode="replace")
    assert len(bucket.s3.client().list_object_versions(Bucket=bucket.name)["Versions"]) == 1
    assert bucket.s3.client().head_object(Bucket=bucket.name, Key="folder/a/x.txt")["LastModified"] == before


def test_a_folder_becomes_an_archive(bucket: Bucket) -> None:
    folder = bucket.ctx.scratch / "report"
    folder.mkdir()
    (folder / "index.html").write_text("hello")
    report = bucket.ctx.keep(folder, Report, media_type="text/html", title="t", entry="index.html")
    outputs = [actions.put(PutParams(location="here", key="r.zip", report=report), bucket.ctx) for _ in range(2)]
    assert outputs[0] == outputs[1]


def test_what_may_not_be_done_is_refused(bucket: Bucket) -> None:
    with pytest.raises(BadInput, match="only for reading"):
        bucket.put("x", "reader")
    with pytest.raises(Refused) as private:
        actions.get(GetParams(location="public", key="a"), bucket.ctx)
    assert private.value.code == "private-address"
    with pytest.raises(StepError) as missing:
        actions.get(GetParams(location="reader", key="nothing"), bucket.ctx)
    assert missing.value.code == "no-such-file"
    with pytest.raises(StepError, match="no bucket"):
        bucket.put("x", "nothing")


def test_a_store_that_is_down_is_an_outage(tmp_path: Path, s3: ObjectStore) -> None:
    bucket = Bucket(tmp_path, s3)
    s3.kill()
    for number in range(6):
        with pytest.raises(ToolUnavailable) as down:
            bucket.put("x")
        assert (down.value.code == "circuit-open") == (number == 5)
    s3.start()
    bucket.ctx.close()
