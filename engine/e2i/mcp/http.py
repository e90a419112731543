"""Serve MCP over HTTP on this machine, to clients that know a token.

In: an address of this machine, the file of the token. Out: a server until it is interrupted.
"""

from __future__ import annotations

import hmac
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2i import regular
from e2i.errors import BadInput, Refused
from e2i.mcp import server
from e2i.mcp.place import Place

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost", "::1")
SHORTEST = 32
"""Least characters of a token."""


def address(text: str) -> tuple[str, int]:
    """Returns host and port of ``HOST:PORT``. Raises BadInput for a host that is not this machine."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if host not in HOSTS or not port.isdigit() or not 0 < int(port) < 65_536:
        raise BadInput(
            f"--http {text!r} is not an address of this machine", code="bad-option", hint="write 127.0.0.1:PORT"
        )
    return host, int(port)


def token(path: Path) -> str:
    """Returns the token in a file that only its owner may read. Raises BadInput, Refused."""
    try:
        mode, text = path.stat().st_mode, regular.read(path, 4096).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read the token file {path}: {error}", code="bad-option") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Refused(f"others may read the token file {path}", code="bad-token", hint=f"chmod 600 {path}")
    if len(text) < SHORTEST or any(letter.isspace() for letter in text):
        raise Refused(
            f"the token in {path} has fewer than {SHORTEST} characters, or spaces",
            code="bad-token",
            hint=f"python -c 'import secrets; print(secrets.token_urlsafe())' > {path}",
        )
    return text


def serve(place: Place, host: str, port: int, secret: str, *, read_only: bool = False) -> None:
    """Serves ``http://HOST:PORT/mcp`` until the process is interrupted."""
    import uvicorn
    from mcp.server.transport_security import TransportSecuritySettings

    shown = f"[{host}]" if ":" in host else host
    names = [f"{shown}:{port}", f"localhost:{port}"]
    security = TransportSecuritySettings(allowed_hosts=names, allowed_origins=[f"http://{name}" for name in names])
    app = server.build(place, read_only=read_only).streamable_http_app(host=host, transport_security=security)
    config = uvicorn.Config(Guarded(app, secret), host=host, port=port, log_level="warning", access_log=False)
    uvicorn.Server(config).run()


class Guarded:
    """An application whose requests must have the token as ``Authorization: Bearer``."""

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self._app = app
        self._expected = f"Bearer {secret}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_allowed(scope["headers"]):
            headers = [(b"content-type", b"text/plain"), (b"www-authenticate", b"Bearer")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": b"a token is needed\n"})
            return
        await self._app(scope, receive, send)

    def _is_allowed(self, headers: Any) -> bool:
        given = [value for name, value in headers if name == b"authorization"]
        return len(given) == 1 and hmac.compare_digest(given[0], self._expected)
