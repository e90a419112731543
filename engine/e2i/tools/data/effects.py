"""Check that the files of finished ``data.write`` steps still have the content that was written."""

from __future__ import annotations

import json

from e2i.catalog.context import Look
from e2i.tools.data import WriteOutputs, WriteParams


def write(params: WriteParams, outputs: WriteOutputs, look: Look) -> str | None:
    """Return what is missing of the file; None when it has the content of the result."""
    if params.partition_by is not None:
        return _folder(params.path, outputs, look)
    found = look.placed(params.path)
    if found == outputs.file.digest:
        return None
    return f"the file {params.path} {'does not exist' if found is None else 'has other content'}"


def _folder(path: str, outputs: WriteOutputs, look: Look) -> str | None:
    """Return what is missing of a folder's version."""
    try:
        files = json.loads(look.placed_content(f"{path}/manifest.json") or b"{}").get("files", {})
    except ValueError:
        files = {}
    if not files:
        return f"the folder {path} has no manifest"
    if look.placed(f"{path}/manifest.json") != outputs.file.digest:
        return f"the folder {path} has another version"
    lost = next((name for name, known in files.items() if look.placed(f"{path}/{name}") != known["digest"]), None)
    return None if lost is None else f"the file {path}/{lost} is missing or has other content"
