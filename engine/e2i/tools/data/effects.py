"""Check that the files of finished ``data.write`` steps still have the content that was written."""

from __future__ import annotations

from e2i.catalog.context import Look
from e2i.tools.data import WriteOutputs, WriteParams


def write(params: WriteParams, outputs: WriteOutputs, look: Look) -> str | None:
    """Return what is missing of the file; None when it has the content of the result."""
    found = look.placed(params.path)
    if found == outputs.file.digest:
        return None
    return f"the file {params.path} {'does not exist' if found is None else 'has other content'}"
