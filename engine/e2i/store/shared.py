"""Results that several stores have in common: what one machine has finished, another one need not do again.

In: a folder on a network drive or in an object store, by its URL. Out: results by fingerprint and the artifacts that
they name, each verified by its digest. Everything has a deadline, and nothing that goes wrong there fails a run.

``URL/v1/TRUST/results/FINGERPRINT.json`` is one result, plain data under a checksum; ``…/objects/SHA256`` is a file;
``…/folders/SHA256.json`` lists a folder's files. All names come from content, so writers cannot disagree.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from e2i.errors import ToolUnavailable
from e2i.resilience.breaker import Breaker, Policy
from e2i.resilience.guard import Guard
from e2i.settings import Shared
from e2i.store.artifacts import ArtifactStore, MissingArtifact
from e2i.store.digests import digest_of, files_of, folder_digest
from e2i.store.history import stored_digests

NAME = "shared store"
FORMAT = 1
RATE = 1_000_000
"""Bytes a second that a transfer is given time for, on top of the deadline."""
RENAMING = {"file", "local", "sftp", "ssh", "smb", "hdfs", "webhdfs"}
"""Kinds of file systems that show a file while it is written: there it gets its name when it is complete."""
HEXADECIMAL = re.compile("[0-9a-f]{64}")
RESULT = ("fingerprint", "static_key", "uses", "components", "outputs", "telemetry", "run", "created_ms")


class SharedStore:
    """One place, in one domain of trust: what is written in another one is not seen."""

    def __init__(self, settings: Shared, trust: str) -> None:
        self._settings = settings
        self._base = f"v{FORMAT}/{settings.trust or trust}"
        self._guard = Guard(
            NAME,
            Breaker(NAME, policy=Policy(failures=2)),  # a run waits for it: two missed deadlines are enough
            deadline=settings.deadline,
            classify=lambda error: not isinstance(error, FileNotFoundError),  # each kind has errors of its own
            extra="shared",
        )
        self._opened: tuple[Any, str] | None = None
        self.problem: str | None = None
        """What went wrong last."""

    def result(self, fingerprint: str) -> dict[str, Any] | None:
        """The result of that fingerprint; None when there is none, or no way to know."""
        path = f"results/{fingerprint.removeprefix('sha256:')}.json"
        content = self._ask(self._read, path)
        if content is None:
            return None
        try:
            document = json.loads(content)
            checksum = document.pop("checksum")
            if checksum == _checksum(document) and document["fingerprint"] == fingerprint:
                return {name: document[name] for name in RESULT}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass
        self._spoilt(path)
        return None

    def fetch(self, digest: str, into: ArtifactStore) -> bool:
        """Brings an artifact into a store; whether it is there now, with the bytes of its digest."""
        if into.has(digest):
            return True
        above = into.root / "tmp"
        above.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="shared-", dir=above) as folder:
            target = Path(folder, "content")
            hexadecimal = digest.removeprefix("sha256:")
            listing = self._ask(self._read, f"folders/{hexadecimal}.json")
            if listing is None:
                complete = self._fetch_file(hexadecimal, target)
            else:
                files = _listed(listing, digest)
                if files is None:
                    self._spoilt(f"folders/{hexadecimal}.json")
                    return False
                fetched = [self._fetch_file(one, target / name) for name, one in files]  # all: to find all corruption
                complete = all(fetched)
            if complete:
                into.put(target, digest)
        return complete

    def push(self, result: Mapping[str, Any], store: ArtifactStore) -> bool:
        """Gives away a result and its artifacts, the result last; whether all of it is there now."""
        try:
            for digest in sorted(set(stored_digests([result["outputs"], result["telemetry"]]))):
                if not self._push_artifact(digest, store.path(digest)):
                    return False
        except (MissingArtifact, OSError) as error:
            self.problem = str(error)
            return False
        document = {name: result[name] for name in RESULT}
        content = _json({**document, "checksum": _checksum(document)})
        return self._give(f"results/{result['fingerprint'].removeprefix('sha256:')}.json", content)

    def state(self) -> dict[str, Any]:
        """Whether it answers, whether a file can be written there, how many results it holds, and what went wrong."""
        probe = f"probe-{os.urandom(8).hex()}"
        reachable = self._ask(self._answers) is not None
        writable = reachable and self._ask(self._write, probe, b"") is not None
        if writable:
            self._ask(self._remove, probe)
        results = self._ask(self._count) if reachable else None
        return {"reachable": reachable, "writable": writable, "results": results, "problem": self.problem}

    def _push_artifact(self, digest: str, path: Path) -> bool:
        hexadecimal = digest.removeprefix("sha256:")
        if not path.is_dir():
            return self._give(f"objects/{hexadecimal}", path)
        files = files_of(path)
        listing = _json([list(file) for file in files])
        if _listed(listing, digest) is None:
            self.problem = f"artifact {digest} has names that not every file system can hold"
            return False
        given = all(self._give(f"objects/{one}", path / name) for name, one in files)
        return given and self._give(f"folders/{hexadecimal}.json", listing)

    def _fetch_file(self, hexadecimal: str, target: Path) -> bool:
        path = f"objects/{hexadecimal}"
        size = self._ask(self._size, path)
        if size is None:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        if self._ask(self._download, path, target, deadline=self._settings.deadline + size / RATE) is None:
            return False
        if digest_of(target) != f"sha256:{hexadecimal}":
            self._spoilt(path)
            return False
        return True

    def _give(self, path: str, content: bytes | Path) -> bool:
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        return self._ask(self._write, path, content, deadline=self._settings.deadline + size / RATE) is not None

    def _ask(self, function: Callable[..., Any], *args: Any, deadline: float | None = None) -> Any:
        """The answer of the place; None when there is no such thing there, or when it does not answer."""
        try:
            return self._guard.call(function, *args, deadline=deadline)
        except FileNotFoundError as error:
            if function == self._write:  # the folder above cannot be made
                self.problem = f"nothing can be written there: {error}"
            return None
        except ToolUnavailable as error:
            if error.code != "circuit-open" or self.problem is None:
                self.problem = error.message
            return None

    def _spoilt(self, path: str) -> None:
        """Takes away what is not what its name says, so that it can be put there again."""
        self.problem = f"{path} was corrupt there, and was not used"
        self._ask(self._remove, path)

    # What the guard calls, in threads of its own

    def _answers(self) -> bool:
        system, base = self._system()
        system.exists(base)
        return True

    def _count(self) -> int:
        """How many results there are; none when there is no folder for them yet."""
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
        """Puts it there unless it is there."""
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
        """The file system and the folder in it; opened once."""
        if self._opened is None:
            system, base = _open(self._settings.url, dict(self._settings.options))
            self._opened = system, f"{base.rstrip('/')}/{self._base}"
        return self._opened


class SharedResults:
    """The history of a store, and behind it that of a shared one. Implements ``e2i.planning.build.History``."""

    def __init__(self, local: Any, shared: SharedStore, take: Callable[[Mapping[str, Any]], bool]) -> None:
        """``take`` is called with a result before it counts, and says whether it does."""
        self._local = local
        self._shared = shared
        self._take = take
        self._absent: set[str] = set()

    def outputs(self, fingerprint: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._local.outputs(fingerprint)
        if found is not None or fingerprint in self._absent:
            return found
        result = self._shared.result(fingerprint)
        if result is not None and self._take(result):
            outputs: dict[str, Any] = result["outputs"]
            return outputs
        self._absent.add(fingerprint)
        return None

    def __getattr__(self, name: str) -> Any:
        """All else is the local store's to say."""
        return getattr(self._local, name)


def _open(url: str, options: dict[str, Any]) -> tuple[Any, str]:
    """The file system that a URL names, and the path in it. S3 is spoken by Arrow, which every table needs anyway."""
    import fsspec

    kind, colon, rest = url.partition("://")
    if colon and kind in ("s3", "s3a"):
        from fsspec.implementations.arrow import ArrowFSWrapper
        from pyarrow.fs import S3FileSystem

        return ArrowFSWrapper(S3FileSystem(**options)), rest
    system, base = fsspec.url_to_fs(url, **options)
    return system, str(base)


def _listed(content: bytes, digest: str) -> list[tuple[str, str]] | None:
    """A folder's files by its list; None when that is not the folder's, or has names that lead elsewhere."""
    try:
        files = [(str(name), str(one)) for name, one in json.loads(content)]
    except (ValueError, TypeError, RecursionError):
        return None
    if folder_digest(files) != digest or not all(_is_safe(name) and HEXADECIMAL.fullmatch(one) for name, one in files):
        return None
    folded = {name.casefold() for name, _ in files}
    return files if len(folded) == len(files) else None


def _is_safe(name: str) -> bool:
    """Whether a relative name stays below its folder, wherever it is unpacked."""
    parts = name.split("/")
    ordinary = all(part and len(part.encode()) <= 255 and not part.endswith((".", " ")) for part in parts)
    return ordinary and len(name) <= 1_000 and name.isprintable() and "\\" not in name and ":" not in name


def _json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _checksum(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(_json(document)).hexdigest()
