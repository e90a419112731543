"""Decide which requests to a served model are answered. In: method, path and headers. Out: a refusal, or none.

Web pages cannot call a service through a user's browser: only requests to this machine's host names are answered, only
from the same site, and only with JSON. The router of an endpoint applies these rules to what it receives, and the
service in each Bento again. This file is copied unchanged into each Bento, and imports nothing of e2i.
"""

from __future__ import annotations

from collections.abc import Iterable

LOCAL = ("127.0.0.1", "localhost", "[::1]")
PROBES = ("/livez", "/readyz", "/healthz")
"""Paths that are answered for any host name: health checks."""


def refusal(
    method: str, path: str, headers: Iterable[tuple[bytes, bytes]], hosts: tuple[str, ...] = ()
) -> tuple[int, str] | None:
    """Return the status and the reason of a refused request; None for an accepted one.

    ``hosts`` are host names besides this machine's that are accepted, in lower case; ``*``: any.
    """
    given: dict[str, list[str]] = {}
    for name, value in headers:
        given.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1").strip().lower())
    if method in ("GET", "HEAD") and path in PROBES and "origin" not in given:
        return None
    named = given.get("host", [])
    if len(named) != 1 or not ("*" in hosts or _name(named[0]) in LOCAL + hosts):
        return 421, "unknown host name; set E2I_SERVICE_HOSTS in the service's environment to accept it"
    if any(origin not in (f"http://{named[0]}", f"https://{named[0]}") for origin in given.get("origin", [])):
        return 403, "requests from other sites are refused"
    if any(site not in ("same-origin", "none") for site in given.get("sec-fetch-site", [])):
        return 403, "requests from other sites are refused"
    if method not in ("GET", "HEAD"):
        kinds = [kind.partition(";")[0].strip() for kind in given.get("content-type", [])]
        if kinds != ["application/json"]:
            return 415, "the content type must be application/json"
    return None


def _name(host: str) -> str:
    """Return the host without its port."""
    name, _, port = host.rpartition(":")
    return name if name and port.isdigit() and not host.endswith("]") else host
