"""Take a file by HTTPS, from the operator's server only, within limits. In: a location, a key. Out: a file."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urljoin, urlsplit

from e2i.errors import AuthenticationFailed, StepError, ToolUnavailable
from e2i.resilience.handles import Handle
from e2i.resilience.transient import pause_of
from e2i.tools.remote import Location
from e2i.tools.remote.addresses import resolved

CHUNK = 1 << 20
REDIRECTS = 5
"""Redirects that are followed, all to the same server."""
DENIED = (401, 403, 407)


class HttpsLocation:
    """Implements ``connector.Store`` for reading."""

    def __init__(self, location: Location, connecting: float) -> None:
        self._location = location
        self._connecting = connecting
        self._open: Handle | None = None

    def fetch(self, key: str, path: Path) -> None:
        url = f"{self._location.root.rstrip('/')}/{quote(key)}"
        for _ in range(REDIRECTS + 1):
            moved = self._fetch_once(url, path)
            if moved is None:
                return
            url = self._followed(url, moved)
        raise StepError(f"{key} is redirected more than {REDIRECTS} times", code="bad-redirect")

    def abandon(self) -> None:
        if self._open is not None:
            self._open.end()

    def _fetch_once(self, url: str, path: Path) -> str | None:
        """Write the file; or return the address that the server redirects to."""
        parts = urlsplit(url)
        token = self._location.token
        headers = {"Accept-Encoding": "identity", "User-Agent": "e2i"}
        headers |= {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        with self._connected(url) as connection:
            connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""), headers=headers)
            response = connection.getresponse()
            if response.status in (301, 302, 303, 307, 308):
                return response.getheader("Location") or ""
            _require_content(response, self._location, parts.path)
            with path.open("wb") as file:
                copied = copy(response.read, file, self._location.max_bytes)
            length = response.getheader("Content-Length")
            if length is not None and length.isdigit() and int(length) != copied:
                raise ConnectionError(f"the connection ended after {copied} of {length} bytes")
        return None

    def _followed(self, url: str, moved: str) -> str:
        to = urljoin(url, moved)
        before, after = urlsplit(self._location.root), urlsplit(to)
        if (before.scheme, before.netloc) != (after.scheme, after.netloc):
            raise StepError(
                f"{before.netloc} redirects to another server, {after.scheme}://{after.hostname}",
                code="bad-redirect",
                hint="have the operator name that server as a location",
            )
        return to

    @contextmanager
    def _connected(self, url: str) -> Iterator[http.client.HTTPConnection]:
        parts = urlsplit(url)
        host, secure = parts.hostname or "", parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        addresses = resolved(host, port, private=self._location.private)
        connection = http.client.HTTPConnection(host, port, timeout=self._location.timeout)
        connection.default_port = 443 if secure else 80  # no port in the header Host where it is the usual one
        try:
            connection.sock = self._socket(addresses, port, host if secure else None)
            yield connection
        finally:
            connection.close()
            if (handle := self._open) is not None:
                self._open = None
                handle.close()

    def _socket(self, addresses: list[str], port: int, named: str | None) -> socket.socket:
        """Return a connection to the first address that accepts one, encrypted for the host ``named``."""
        for last, address in enumerate(addresses, 1 - len(addresses)):
            try:
                plain = socket.create_connection((address, port), self._connecting)
                break
            except OSError:
                if not last:
                    raise
        self._open = Handle(plain)
        if named is None:
            return plain
        return ssl.create_default_context().wrap_socket(plain, server_hostname=named)


def copy(read: Callable[[int], bytes], file: BinaryIO, most: int) -> int:
    """Copy a stream; return its size. Raises StepError for one of more than ``most`` bytes."""
    copied = 0
    while chunk := read(CHUNK):
        copied += len(chunk)
        if copied > most:
            raise too_large(most)
        file.write(chunk)
    return copied


def too_large(most: int) -> StepError:
    return StepError(
        f"the file has more than {most:,} bytes",
        code="download-too-large",
        hint="the operator sets `max_bytes` of the location",
    )


def _require_content(response: http.client.HTTPResponse, location: Location, path: str) -> None:
    """Raise the error that a status means, if it is one."""
    status = response.status
    if status == 200:
        length = response.getheader("Content-Length") or ""
        if length.isdigit() and int(length) > location.max_bytes:
            raise too_large(location.max_bytes)
        coding = (response.getheader("Content-Encoding") or "identity").strip().lower()
        if coding != "identity" and not (path.endswith(".gz") and coding in ("gzip", "x-gzip")):
            message = f"{location.host} sends {path} encoded as {coding}, although it was asked for the file as it is"
            raise StepError(message, code="remote-refused", hint="have the server send it without Content-Encoding")
    elif status in DENIED:
        raise AuthenticationFailed("remote", f"{location.host} refuses the credentials: HTTP {status} for {path}")
    elif status == 429 or status >= 500:
        wanted = pause_of(status, dict(response.getheaders()))
        raise ToolUnavailable("remote", f"{location.host} answers HTTP {status} for {path}", retry_after=wanted)
    elif status in (404, 410):
        raise StepError(f"there is no file {path} at {location.host}", code="no-such-file")
    else:
        raise StepError(f"{location.host} answers HTTP {status} for {path}", code="remote-refused")
