"""The connection of an engine to a dask.distributed cluster. The only module that knows Dask's client.

In: calls as bytes. Out: reports about them and ends of their tasks, from the client's threads through a queue.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import DecodeError, Struct, ValidationError

from e2i.cluster import messages, node
from e2i.cluster.arrivals import Arrivals, Reported, TaskOver
from e2i.cluster.faults import ClusterGone
from e2i.machines import Dask, Tls
from e2i.spec import durations

ANSWER = 10.0
"""Seconds that the scheduler may take to answer a question."""


class NodeFacts(Struct, frozen=True):
    """What the scheduler knows of a node."""

    address: str
    name: str
    slots: int
    """Number of calls that it executes at a time."""
    memory: int
    """Memory that its calls may use together, in bytes; 0: no limit."""
    resources: Mapping[str, float]
    """What it declares with ``--resources``."""


class Connection:
    """An open connection to one scheduler."""

    def __init__(self, settings: Dask, root: Path, arrivals: Arrivals) -> None:
        """``root``: the folder that the paths of certificates are relative to. Raises ClusterGone, and BadSettings."""
        self.address = settings.address
        self._arrivals = arrivals
        self._client = _open(settings, root)
        self.topic = str(self._client.id)
        """The scheduler forgets the reports of this topic an hour after the client has gone."""
        self._futures: dict[str, Any] = {}
        self._asked: Future[Any] | None = None
        self._client.subscribe_topic(self.topic, self._receive)

    def is_open(self) -> bool:
        """Returns whether the scheduler is connected. Calls that were submitted before a gap are lost."""
        return bool(self._client.status == "running")

    def submit(
        self, setup: bytes, assignments: Mapping[str, bytes], nodes: Collection[str], resources: Mapping[str, float]
    ) -> None:
        """Submits calls, by token, to whichever of the nodes; none named: to any. Together they cost less.

        ``resources``: amounts that each call takes from what its node declares.
        """
        tokens = list(assignments)
        futures = self._client.map(
            node.execute,
            tokens,
            [setup] * len(tokens),
            list(assignments.values()),
            key=tokens,
            pure=False,
            workers=list(nodes) or None,
            resources=dict(resources) or None,
        )
        for token, future in zip(tokens, futures, strict=True):
            self._futures[token] = future
            future.add_done_callback(partial(self._note_end, token))

    def release(self, token: str) -> None:
        """Ends a call that is not wanted any more, wherever it is; forgets one that has ended."""
        future = self._futures.pop(token, None)
        if future is not None:
            future.release()

    def nodes(self) -> list[NodeFacts]:
        """Returns the nodes now. Raises ClusterGone when the scheduler does not answer."""
        try:
            return _facts(self._client.sync(self._identity, callback_timeout=ANSWER))
        except (OSError, TimeoutError) as error:
            raise _silent(self.address, error) from error

    def latest_nodes(self) -> list[NodeFacts] | None:
        """Asks for the nodes without waiting. Returns the answer once it is there, or None."""
        if self._asked is None:
            self._asked = asyncio.run_coroutine_threadsafe(self._identity(), self._client.loop.asyncio_loop)
        if not self._asked.done():
            return None
        asked, self._asked = self._asked, None
        return None if asked.exception() else _facts(asked.result())

    def describe(self) -> Mapping[str, Mapping[str, str] | Exception]:
        """Returns the versions of each node by its address; an exception where e2i is missing."""
        found: Mapping[str, Mapping[str, str] | Exception] = self._client.run(node.describe, on_error="return")
        return found

    def close(self) -> None:
        """Closes the connection. The cluster ends all calls that have not ended."""
        self._futures.clear()
        self._client.close(timeout=ANSWER)

    def _note_end(self, token: str, done: Any) -> None:
        self._arrivals.put(TaskOver(token, done.status, _problem(done)))

    async def _identity(self) -> Any:
        return await asyncio.wait_for(self._client.scheduler.identity(n_workers=-1), ANSWER)

    def _receive(self, event: tuple[float, Any]) -> None:
        """Takes a report in the client's thread. Dask publishes events of its own under the topic too."""
        content = event[1]
        if isinstance(content, bytes):
            try:
                self._arrivals.put(Reported(*messages.read_report(content)))
            except (ValueError, DecodeError, ValidationError, TypeError):
                logging.getLogger(__name__).debug("a report of another version was ignored")


def security(tls: Tls, root: Path) -> Any:
    """Returns Dask's settings of encryption. Raises BadSettings for a file that cannot be read or used."""
    from distributed.security import Security

    ca, cert, key = (_readable(root / getattr(tls, name), name) for name in ("ca", "cert", "key"))
    _require_certificates(ca, cert, key)
    return Security(require_encryption=True, tls_ca_file=ca, tls_client_cert=cert, tls_client_key=key)


def _open(settings: Dask, root: Path) -> Any:
    from e2i.errors import ToolUnavailable

    settings.check()
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise ToolUnavailable(
            "dask", "dask.distributed is not installed", code="tool-missing", hint='pip install "e2i[dask]"'
        ) from error
    _silence()
    found = security(settings.tls, root)
    timeout = durations.parse(settings.wait)
    try:
        return Client(settings.address, security=found, timeout=timeout, set_as_default=False, name="e2i")
    except (OSError, TimeoutError) as error:
        raise _silent(settings.address, error) from error


def _silence() -> None:
    """Prints nothing of Dask's own: what it would say, the run reports itself. Several of its loggers have a level."""
    for name in [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "distributed"]:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _silent(address: str, error: BaseException) -> ClusterGone:
    why = next((text for text in (str(error).strip().splitlines() or [""]) if text), type(error).__name__)
    message = f"the cluster at {address} does not answer: {why[:300]}"
    if "certificate" in why.lower():
        return ClusterGone(
            message, hint="use ca, cert and key of this cluster; `e2i cluster up` makes new ones each time"
        )
    return ClusterGone(message)


def _readable(path: Path, key: str) -> str:
    from e2i.errors import BadSettings

    try:
        path.read_bytes()
    except OSError as error:
        raise BadSettings(
            f"executor: tls: {key}: {path} cannot be read: {error.strerror}",
            hint="`e2i cluster up` writes certificates for a local cluster; docs/cluster.md",
        ) from error
    return str(path)


def _require_certificates(ca: str, cert: str, key: str) -> None:
    """Raises BadSettings for files that are not certificates, and for a key that is not the certificate's."""
    import ssl

    from e2i.errors import BadSettings

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    named = f"ca: {ca}"
    try:
        context.load_verify_locations(ca)
        named = f"cert, key: {cert} and {key}"
        context.load_cert_chain(cert, key, password=_no_password)
    except ssl.SSLError as error:
        raise BadSettings(
            f"executor: tls: {named} cannot be used: {error.reason or error}",
            hint="ca and cert are certificates, key is the private key of cert, all in PEM format, without a password",
        ) from error


def _no_password() -> str:
    """Returns none: OpenSSL would ask for it on the terminal."""
    return ""


def _facts(identity: Any) -> list[NodeFacts]:
    return [
        NodeFacts(
            address,
            str(found.get("name", address)),
            int(found.get("nthreads", 1)),
            int(found.get("memory_limit") or 0),
            dict(found.get("resources") or {}),
        )
        for address, found in sorted(identity.get("workers", {}).items())
    ]


def _problem(future: Any) -> str:
    """Returns why a task failed."""
    error = future._state.exception if future.status == "error" else None
    return "" if error is None else f"{type(error).__name__}: {error}"[:500]
