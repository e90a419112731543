"""Read the bodies of the requests of Opik's SDK, which compresses the longer ones."""

from __future__ import annotations

import gzip
import json
from typing import Any


def read_body(content: bytes, encoding: str | None) -> Any:
    """Return the JSON of a request's body, gzipped or not; None when there is none."""
    if encoding == "gzip":
        content = gzip.decompress(content)
    return json.loads(content) if content else None
