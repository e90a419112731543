"""Write a table as a folder of Parquet files, one a partition. In: a table, keys. Out: files, and a manifest.

A folder has versions, of which its manifest names one. A new version is written beside the old one; then the manifest
is replaced. So a reader of the manifest finds one version or the other, and a death leaves the old one.

The folders of versions begin with an underscore: a reader that knows nothing of the manifest finds nothing, and does
not read two versions as one table.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from msgspec import Struct

from e2i.errors import StepError
from e2i.tools.data import partitions, writing

if TYPE_CHECKING:
    import pyarrow as pa

    from e2i.catalog.context import StepContext

MANIFEST = "manifest.json"
MOST_PARTITIONS = 10_000


class Part(Struct, frozen=True):
    """One file of a folder: its partition, such as ``year=2024``, and its content."""

    partition: str
    digest: str
    bytes: int
    rows: int


def write(
    table: pa.Table, path: str, keys: Sequence[str], mode: str, compression: str, ctx: StepContext
) -> tuple[str, int]:
    """Write the table as a version of the folder; return the manifest's digest and the bytes of all files.

    Raises StepError when the folder has another content and may not be replaced, or has a partition already.
    """
    made = {part.partition: (part, file) for part, file in _parts(table, keys, compression, ctx.scratch)}
    before = _manifest(path, ctx)
    files: dict[str, Any] = {}
    if before is not None and mode == "append_partition":
        if before["partition_by"] != list(keys):
            raise StepError(f"{path} is partitioned by {', '.join(before['partition_by'])}", code="file-exists")
        files = dict(before["files"])
    version = "_" + _digest(json.dumps([[p.partition, p.digest] for p, _ in made.values()]).encode())[7:23]
    for part, _ in made.values():
        name = next((name for name, known in files.items() if known["partition"] == part.partition), None)
        if name is not None and files[name]["digest"] != part.digest:
            raise StepError(
                f"{path} has the partition {part.partition or 'of all rows'} already, with other content",
                code="file-exists",
                hint="leave its rows out, or write all partitions with `mode: replace`",
            )
        name = name or "/".join(filter(None, (version, part.partition, "part-0.parquet")))
        files[name] = {"partition": part.partition, "digest": part.digest, "bytes": part.bytes, "rows": part.rows}
    document = {
        "schema_version": 1,
        "format": "parquet",
        "partition_by": list(keys),
        "files": dict(sorted(files.items())),
    }
    text = json.dumps(document, indent=1).encode()
    if before is not None and before != document and mode == "fail":
        raise StepError(
            f"the folder {path} exists, with other content",
            code="file-exists",
            hint="set `mode: replace` or another path",
        )
    for name, known in files.items():
        new = made.get(known["partition"])
        if new is not None and ctx.placed(f"{path}/{name}") != known["digest"]:
            ctx.place(new[1], f"{path}/{name}")
    manifest = ctx.scratch / MANIFEST
    manifest.write_bytes(text)
    if ctx.placed(f"{path}/{MANIFEST}") != _digest(text):
        ctx.place(manifest, f"{path}/{MANIFEST}")
    return _digest(text), sum(known["bytes"] for known in files.values())


def _manifest(path: str, ctx: StepContext) -> dict[str, Any] | None:
    """Return the manifest of a folder; None when there is none. Raises StepError for one of another program."""
    content = ctx.placed_content(f"{path}/{MANIFEST}")
    if content is None:
        return None
    try:
        document: dict[str, Any] = json.loads(content)
        if document["schema_version"] == 1 and isinstance(document["files"], dict) and "partition_by" in document:
            return document
    except (ValueError, KeyError, TypeError):
        pass
    raise StepError(f"{path}/{MANIFEST} was not written by data.write", code="file-exists", hint="use another folder")


def _parts(table: pa.Table, keys: Sequence[str], compression: str, scratch: Path) -> Iterator[tuple[Part, Path]]:
    """Yield the files of the partitions, in the order of their names. The rows of each keep their order."""
    import pyarrow as pa

    rows = table.append_column("", pa.array(range(table.num_rows), pa.int64()))
    groups = (
        rows.select([*keys, ""]).group_by(list(keys), use_threads=False).aggregate([("", "list")]) if keys else None
    )
    if groups is not None and groups.num_rows > MOST_PARTITIONS:
        raise StepError(f"{groups.num_rows:,} partitions are more than {MOST_PARTITIONS:,}", code="too-many-files")
    content = table.drop_columns(list(keys))
    if not content.num_columns:
        raise StepError("no column is left beside those of `partition_by`", code="bad-table")
    found = [("", None)] if groups is None else [(_folder(row, keys), row["_list"]) for row in groups.to_pylist()]
    for index, (name, positions) in enumerate(sorted(found, key=lambda item: item[0])):
        file = scratch / f"part-{index}.parquet"
        part = content if positions is None else content.take(pa.array(sorted(positions)))
        writing.table(part, file, "parquet", compression)
        data = file.read_bytes()
        yield Part(name, _digest(data), len(data), part.num_rows), file


def _folder(row: Mapping[str, Any], keys: Sequence[str]) -> str:
    """Return the folder of a partition."""
    return "/".join(
        f"{quote(key, safe=' ')}={partitions.MISSING if row[key] is None else quote(str(row[key]), safe=' ')}"
        for key in keys
    )


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
