"""Run the actions of ``remote``. In: parameters and the step's context. Out: stored files, and objects elsewhere."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from e2i.catalog.artifacts import File
from e2i.errors import StepError
from e2i.tools.data import writing
from e2i.tools.remote import GetOutputs, GetParams, PutOutputs, PutParams
from e2i.tools.remote.connector import Remote

if TYPE_CHECKING:
    from e2i.catalog.context import StepContext


def get(params: GetParams, ctx: StepContext) -> GetOutputs:
    """Take a file. Raises StepError when there is none, or when it has another digest than the spec says."""
    path = ctx.scratch / "taken"
    ctx.connect(Remote).fetch(params.location, params.key, path)
    found = _digest(path)
    if params.digest not in (None, found):
        raise StepError(
            f"{params.key} has the digest {found}, not {params.digest}",
            code="digest-mismatch",
            hint="check why the file changed before you change `digest`",
        )
    size = path.stat().st_size
    return GetOutputs(file=ctx.keep(path, File, name=params.key.rpartition("/")[2], bytes=size))


def put(params: PutParams, ctx: StepContext) -> PutOutputs:
    """Put a file, unless it is there with the same content. Raises StepError when other content is there."""
    made, remote = ctx.scratch / "put", ctx.connect(Remote)
    stored = params.file or params.report or params.model
    assert stored is not None  # the parameters have one
    writing.artifact(ctx.open(stored), made)
    digest = _digest(made)
    before = remote.digest(params.location, params.key)
    if before not in (None, digest) and params.mode == "fail":
        raise StepError(
            f"there is a file {params.key} with other content",
            code="file-exists",
            hint="set `mode: replace`, or put it under another key",
        )
    if before != digest:
        remote.put(params.location, made, params.key)
        if remote.digest(params.location, params.key) != digest:
            raise StepError(f"{params.key} was changed by somebody else while it was put", code="file-exists")
    return PutOutputs(key=params.key, digest=digest, bytes=made.stat().st_size)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
