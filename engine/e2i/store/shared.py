"""Share results between stores: what one machine has finished, another one need not repeat.

In: a folder on a network drive or in an object store, by its URL. Out: results by fingerprint and their artifacts, each
verified by its digest. Everything has a deadline, and no error there fails a run.

``URL/v1/TRUST/results/FINGERPRINT.json`` is one result, plain data with a checksum; ``…/objects/SHA256`` is a file;
``…/folders/SHA256.json`` lists a folder's files. All names come from content, so writers cannot disagree.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from e2i.documents import Count, Element, JsonObject, OutputValues, plain, read
from e2i.errors import ToolUnavailable
from e2i.machines import Shared
from e2i.regular import folder_mode, open_to_group
from e2i.resilience.breaker import Breaker, Policy
from e2i.resilience.guard import Guard
from e2i.store import listing
from e2i.store.artifacts import ArtifactStore, MissingArtifact
from e2i.store.digests import digest_of, files_of
from e2i.store.history import digests_of
from e2i.store.rows import Result

NAME = "shared store"
FORMAT = 1
RATE = 1_000_000
"""Bytes a second that a transfer must reach, on top of the deadline."""
RENAMING = {"file", "local", "sftp", "ssh", "smb", "hdfs", "webhdfs"}
"""Protocols whose files are visible while they are written. There a file is renamed when it is complete."""


class SharedState(Element, frozen=True, kw_only=True):
    """The store through which results are shared."""

    url: str
    trust: Annotated[str, Meta(description="The trust domain of runs of a human.")]
    reachable: bool
    writable: bool
    results: Annotated[Count | None, Meta(description="Number of results; None: counting took too long.")]
    problem: str | None


class SharedStore:
    """One shared store in one trust domain. Other domains are not visible."""

    def __init__(self, settings: Shared, trust: str) -> None:
        self._settings = settings
        self._base = f"v{FORMAT}/{settings.trust or trust}"
        self._guard = Guard(
            NAME,
            Breaker(NAME, policy=Policy(failures=2)),  # a run waits for each call: two missed deadlines are enough
            deadline=settings.deadline,
            classify=lambda error: not isinstance(error, FileNotFoundError),  # each protocol has its own errors
            extra="shared",
        )
        self._opened: tuple[Any, str] | None = None
        self.problem: str | None = None
        """The latest problem."""

    def result(self, fingerprint: str) -> Result | None:
        """Returns the result of that fingerprint; None when there is none, or when the store does not answer."""
        path = f"results/{fingerprint.removeprefix('sha256:')}.json"
        content = self._ask(self._read, path)
        if content is None:
            return None
        try:
            document = json.loads(content)
            checksum = document.pop("checksum")
            if checksum == _checksum(document) and document["fingerprint"] == fingerprint:
                return read(document, Result)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass
        self._discard(path)
        return None

    def fetch(self, digest: str, into: ArtifactStore) -> bool:
        """Copies an artifact into a store. Returns whether it is there now, with the bytes of its digest."""
        if into.has(digest):
            return True
        parent = into.root / "tmp"
        parent.mkdir(mode=folder_mode(into.root), exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="shared-", dir=parent) as folder:
            open_to_group(Path(folder))
            target = Path(folder, "content")
            hexadecimal = digest.removeprefix("sha256:")
            listed = self._ask(self._read, f"folders/{hexadecimal}.json")
            if listed is None:
                complete = self._fetch_file(hexadecimal, target)
            else:
                files = listing.read(listed, digest)
                if files is None:
                    self._discard(f"folders/{hexadecimal}.json")
                    return False
                fetched = [self._fetch_file(one, target / name) for name, one in files]  # all: to find all corruption
                complete = all(fetched)
            if complete:
                into.put(target, digest)
        return complete

    def push(self, result: Result, store: ArtifactStore) -> bool:
        """Writes a result and its artifacts, the result last. Returns whether all of it is there now."""
        try:
            for digest in digests_of(result):
                if not self.push_artifact(digest, store.path(digest)):
                    return False
        except (MissingArtifact, OSError) as error:
            self.problem = str(error)
            return False
        document = plain(result)
        content = _json({**document, "checksum": _checksum(document)})
        return self._put(f"results/{result.fingerprint.removeprefix('sha256:')}.json", content)

    def push_artifact(self, digest: str, path: Path) -> bool:
        """Writes a file, or a folder, of that digest. Returns whether it is there now."""
        hexadecimal = digest.removeprefix("sha256:")
        if not path.is_dir():
            return self._put(f"objects/{hexadecimal}", path)
        files = files_of(path)
        listed = _json([list(file) for file in files])
        if listing.read(listed, digest) is None:
            self.problem = f"artifact {digest} has file names that some file systems do not support"
            return False
        pushed = all(self._put(f"objects/{one}", path / name) for name, one in files)
        return pushed and self._put(f"folders/{hexadecimal}.json", listed)

    def is_reachable(self) -> bool:
        """Returns whether the store answers."""
        return self._ask(self._answers) is not None

    def state(self, url: str, trust: str) -> SharedState:
        """Asks whether the store answers and accepts a file, and counts its results. Writes a file and removes it.

        ``url`` and ``trust`` name the store in the answer.
        """
        probe = f"probe-{os.urandom(8).hex()}"
        reachable = self.is_reachable()
        writable = reachable and self._ask(self._write, probe, b"") is not None
        if writable:
            self._ask(self._remove, probe)
        results = self._ask(self._count) if reachable else None
        return SharedState(
            url=url, trust=trust, reachable=reachable, writable=writable, results=results, problem=self.problem
        )

    def _fetch_file(self, hexadecimal: str, target: Path) -> bool:
        path = f"objects/{hexadecimal}"
        size = self._ask(self._size, path)
        if size is None:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        if self._ask(self._download, path, target, deadline=self._settings.deadline + size / RATE) is None:
            return False
        if digest_of(target) != f"sha256:{hexadecimal}":
            self._discard(path)
            return False
        return True

    def _put(self, path: str, content: bytes | Path) -> bool:
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        return self._ask(self._write, path, content, deadline=self._settings.deadline + size / RATE) is not None

    def _ask(self, function: Callable[..., Any], *args: Any, deadline: float | None = None) -> Any:
        """Calls the shared store. Returns None when the file does not exist, or when the store does not answer."""
        try:
            return self._guard.call(function, *args, deadline=deadline)
        except FileNotFoundError as error:
            if function == self._write:  # the parent folder cannot be created
                self.problem = f"nothing can be written: {error}"
            return None
        except ToolUnavailable as error:
            if error.code != "circuit-open" or self.problem is None:
                self.problem = error.message
            return None

    def _discard(self, path: str) -> None:
        """Removes a file whose content does not match its name, so that it can be written again."""
        self.problem = f"{path} was corrupt and not used"
        self._ask(self._remove, path)

    # Called by the guard, in threads of its own

    def _answers(self) -> bool:
        system, base = self._system()
        system.exists(base)
        return True

    def _count(self) -> int:
        """Returns the number of results; 0 while there is no folder for them."""
        system, base = self._system()
        try:
            return len(system.ls(f"{base}/results", detail=False))
        except FileNotFoundError:
            return 0

    def _read(self, path: str) -> bytes:
        system, base = self._system()
        content: bytes = system.cat_file(f"{base}/{path}")
        return content

    def _size(self, path: str) -> int:
        system, base = self._system()
        return int(system.info(f"{base}/{path}")["size"])

    def _download(self, path: str, target: Path) -> bool:
        system, base = self._system()
        with system.open(f"{base}/{path}", "rb") as source, target.open("wb") as file:
            while block := source.read(1 << 20):
                file.write(block)
        return True

    def _write(self, path: str, content: bytes | Path) -> bool:
        """Writes the file unless it exists."""
        system, base = self._system()
        address = f"{base}/{path}"
        if system.exists(address):
            return True
        renames = not RENAMING.isdisjoint((system.protocol,) if isinstance(system.protocol, str) else system.protocol)
        if renames:
            system.makedirs(address.rpartition("/")[0], exist_ok=True)
        staged = f"{address}.{os.getpid()}-{os.urandom(4).hex()}" if renames else address
        with system.open(staged, "wb") as target:
            if isinstance(content, bytes):
                target.write(content)
            else:
                with content.open("rb") as source:
                    while block := source.read(1 << 20):
                        target.write(block)
        if renames:
            system.mv(staged, address)
        return True

    def _remove(self, path: str) -> bool:
        system, base = self._system()
        system.rm_file(f"{base}/{path}")
        return True

    def _system(self) -> tuple[Any, str]:
        """Returns the file system and the folder in it; opened once."""
        if self._opened is None:
            system, base = _open(self._settings)
            self._opened = system, f"{base.rstrip('/')}/{self._base}"
        return self._opened


class SharedResults:
    """The history of a store, backed by a shared one. Implements ``e2i.planning.build.History``."""

    def __init__(self, local: Any, shared: SharedStore, take: Callable[[Result], bool]) -> None:
        """``take`` is called with a shared result before it is used, and returns whether it is accepted."""
        self._local = local
        self._shared = shared
        self._take = take
        self._absent: set[str] = set()

    def outputs(self, fingerprint: str) -> OutputValues | None:
        found: OutputValues | None = self._local.outputs(fingerprint)
        if found is not None or fingerprint in self._absent:
            return found
        result = self._shared.result(fingerprint)
        if result is not None and self._take(result):
            return result.outputs
        self._absent.add(fingerprint)
        return None

    def __getattr__(self, name: str) -> Any:
        """Delegates everything else to the local store."""
        return getattr(self._local, name)


def _open(settings: Shared) -> tuple[Any, str]:
    """Returns the file system of a URL, and the path in it. S3 is accessed through Arrow, which every table needs
    anyway.
    """
    import fsspec

    kind, colon, rest = settings.url.partition("://")
    if colon and kind in ("s3", "s3a"):
        from fsspec.implementations.arrow import ArrowFSWrapper
        from pyarrow.fs import S3FileSystem

        return ArrowFSWrapper(S3FileSystem(**settings.options)), rest
    system, base = fsspec.url_to_fs(settings.url, **settings.options)
    return system, str(base)


def _json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _checksum(document: JsonObject) -> str:
    return hashlib.sha256(_json(document)).hexdigest()
