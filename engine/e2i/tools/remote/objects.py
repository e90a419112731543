"""Take and put objects of S3 and Google Cloud Storage through Arrow's clients. In: a location, a key. Out: a file."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from e2i.errors import StepError
from e2i.resilience import connections
from e2i.tools.remote import Location
from e2i.tools.remote.addresses import resolved
from e2i.tools.remote.https import CHUNK, copy


class ObjectLocation:
    """Implements ``connector.Store``."""

    def __init__(self, location: Location, connecting: float) -> None:
        self._location = location
        self._connecting = connecting

    def fetch(self, key: str, path: Path) -> None:
        with self._opened(key) as stream, path.open("wb") as file:
            copy(stream.read, file, self._location.max_bytes)

    def digest(self, key: str) -> str | None:
        """Return the SHA-256 of an object's content; None when there is none."""
        hashed = hashlib.sha256()
        try:
            with self._opened(key) as stream:
                while chunk := stream.read(CHUNK):
                    hashed.update(chunk)
        except StepError as error:
            if error.code == "no-such-file":
                return None
            raise
        return f"sha256:{hashed.hexdigest()}"

    def put(self, path: Path, key: str) -> None:
        """Put a file. It appears whole or not at all: the store shows an object when it is complete."""
        about = {"Content-Type": "application/octet-stream"}
        try:
            with path.open("rb") as file, self._system.open_output_stream(self._path(key), metadata=about) as stream:
                while chunk := file.read(CHUNK):
                    stream.write(chunk)
        except OSError as error:
            if isinstance(error, FileNotFoundError) or "NO_SUCH_BUCKET" in str(error):
                raise StepError(f"there is no bucket {self._location.shown}", code="no-such-file") from error
            raise

    def abandon(self) -> None:
        if self._endpoint:
            connections.cut(self._endpoint)

    def _opened(self, key: str) -> Any:
        try:
            return self._system.open_input_stream(self._path(key))
        except FileNotFoundError as error:
            raise StepError(f"there is no file {key} in {self._location.shown}", code="no-such-file") from error

    def _path(self, key: str) -> str:
        return f"{self._location.root.strip('/')}/{key}"

    @property
    def _endpoint(self) -> tuple[str, int] | None:
        if not self._location.endpoint:
            return None
        parts = urlsplit(self._location.endpoint)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    @cached_property
    def _system(self) -> Any:
        """The client. Raises Refused for an endpoint with a private address."""
        from pyarrow import fs

        location = self._location
        if self._endpoint:
            resolved(*self._endpoint, private=location.private)
        endpoint = {} if location.endpoint is None else {
            "endpoint_override": urlsplit(location.endpoint).netloc, "scheme": urlsplit(location.endpoint).scheme
        }  # fmt: skip
        if location.kind == "gcs":
            return fs.GcsFileSystem(
                anonymous=location.anonymous, retry_time_limit=timedelta(seconds=self._connecting), **endpoint
            )
        secret = location.secret_key
        return fs.S3FileSystem(
            access_key=location.access_key,
            secret_key=secret and secret.get_secret_value(),
            anonymous=location.anonymous,
            region=location.region,
            connect_timeout=self._connecting,
            request_timeout=location.timeout,
            **endpoint,
        )
