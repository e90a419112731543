"""Moves inputs and results of calls through the storage that the engine and the nodes share.

In: digests. Out: the same bytes on the other side; every file is verified by its digest when it arrives.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path

from e2i.cluster.faults import ClusterGone
from e2i.errors import E2IError
from e2i.store.artifacts import ArtifactStore
from e2i.store.shared import SharedStore
from e2i.workspace import paths
from e2i.workspace.paths import Roots

LOOKS = 4
"""Number of looks for an artifact that a node has stored: a network drive may show a new file late."""
PAUSE = 0.5
"""Seconds between them."""
CHUNK = 1 << 20


class Sent(Enum):
    """What became of the inputs of a call."""

    ALL = "all"
    CHANGED = "changed"
    """A workspace file is not the planned one any more."""


class Exchange:
    """The engine's side of the storage. All methods may be called by several threads."""

    def __init__(self, storage: SharedStore, artifacts: ArtifactStore, roots: Roots) -> None:
        self._storage = storage
        self._artifacts = artifacts
        self._roots = roots
        self._there: set[str] = set()
        """Digests of what the storage is known to have."""
        self._lock = threading.Lock()

    def lacks(self, digests: Iterable[str]) -> bool:
        """Returns whether anything of it may have to be sent."""
        with self._lock:
            return not self._there.issuperset(digests)

    def send(self, artifacts: Iterable[str], files: Mapping[str, str | None]) -> Sent:
        """Stores the inputs of a call. Raises ClusterGone when the storage does not take them, and MissingArtifact."""
        for digest in artifacts:
            self._push(digest, self._artifacts.path(digest))
        for name, planned in files.items():
            if planned is not None and self.lacks([planned]) and not self._send_file(name, planned):
                return Sent.CHANGED
        return Sent.ALL

    def receive(self, digests: Iterable[str]) -> str | None:
        """Fetches results into the engine's store. Returns the digest of what is not in the storage with these bytes.

        Raises ClusterGone when the storage does not answer.
        """
        for digest in digests:
            for look in range(LOOKS):
                if self._storage.fetch(digest, self._artifacts):
                    break
                if not self._storage.is_reachable():
                    raise self._gone()
                if look == LOOKS - 1:
                    return digest
                time.sleep(PAUSE)
            with self._lock:
                self._there.add(digest)
        return None

    def _send_file(self, name: str, planned: str) -> bool:
        """Stores a workspace file. Returns False when it is missing, or not the planned one."""
        try:
            descriptor = paths.open_file(self._roots, name)
        except (E2IError, OSError):
            return False
        with os.fdopen(descriptor, "rb") as file:
            if f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" != planned:
                return False
            self._push(planned, Path(f"/proc/self/fd/{file.fileno()}"))
        return True

    def _push(self, digest: str, path: Path) -> None:
        if not self.lacks([digest]):
            return
        if not self._storage.push_artifact(digest, path):
            raise self._gone()
        with self._lock:
            self._there.add(digest)

    def _gone(self) -> ClusterGone:
        return ClusterGone(f"the storage of the cluster cannot be used: {self._storage.problem or 'no answer'}")
