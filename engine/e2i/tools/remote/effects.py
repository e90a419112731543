"""Check that the files of finished ``remote.put`` steps still have the content that was put."""

from __future__ import annotations

from e2i.catalog.context import Look
from e2i.tools.remote import PutOutputs, PutParams


def put(params: PutParams, outputs: PutOutputs, look: Look) -> str | None:
    """Return what is missing of the file; None when it has the content of the result."""
    from e2i.tools.remote.connector import Remote

    found = look.connect(Remote).digest(params.location, params.key)
    if found == outputs.digest:
        return None
    return f"the file {params.key} {'does not exist' if found is None else 'has other content'}"
