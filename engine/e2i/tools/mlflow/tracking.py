"""Open an MLflow client without global state. In: settings and a folder. Out: ``Tracking``.

Ensures everything that must be true before MLflow is first used in a process.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import sqlite3
from collections.abc import Mapping
from contextlib import AbstractContextManager, closing, suppress
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from e2i import startup
from e2i.errors import Refused, ToolUnavailable
from e2i.resilience import asking
from e2i.resilience.deadlines import in_time
from e2i.resilience.lock import exclusive
from e2i.resilience.postgres import select_one
from e2i.tools.mlflow import MLflowSettings, schema
from e2i.tools.mlflow.outages import translated
from e2i.tools.mlflow.plugins import load_header_providers

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROBE_SECONDS = 1.0
ANSWER_SECONDS = 3.0
PORTS = {"http": 80, "https": 443, "postgresql": 5432}


class Tracking(Struct, frozen=True):
    """An open MLflow: its client, the client's URI, and where new experiments store their files.

    ``artifacts`` is None when the server decides. ``home`` is the tool's folder in the store.
    """

    client: MlflowClient
    uri: str
    artifacts: str | None
    home: Path
    experiment_prefix: str
    tags: Mapping[str, str] = {}
    """The settings' tags of every run."""
    registry: str | None = None
    """The URI of a registry of its own."""
    inode: int | None = None
    """Identity of the SQLite file when it was opened."""

    @property
    def is_lost(self) -> bool:
        """Return True when the SQLite file was removed or replaced since: data written now would be lost."""
        return self.inode != _inode(self.uri)

    def check(self) -> None:
        """Raise ToolUnavailable when the database is lost."""
        if self.is_lost:
            raise ToolUnavailable(
                "mlflow",
                "the MLflow database was removed or replaced while it was in use",
                code="history-lost",
                hint="this run's telemetry is delivered again; earlier runs are in the previous file",
            )

    def settle(self) -> None:
        """Move the write-ahead log of a SQLite database into its file, unless another process uses it."""
        file = _sqlite_file(self.uri)
        if file is not None and not self.is_lost:
            with closing(sqlite3.connect(file, timeout=0)) as database, suppress(sqlite3.DatabaseError):
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @property
    def is_server(self) -> bool:
        return self.uri.startswith("http")

    def alone(self) -> AbstractContextManager[None]:
        """Serialize "look, then create" across processes: a step and the dispatcher may both find nothing."""
        return exclusive(self.home / "lock")


def open_tracking(settings: MLflowSettings, home: Path) -> Tracking:
    """Open MLflow. Raises ToolUnavailable within about a second when nothing listens at its address."""
    home.mkdir(parents=True, exist_ok=True)
    for address in filter(None, (settings.tracking_uri, settings.registry_uri)):
        _probe(address, min(ANSWER_SECONDS, settings.deadline))
    _prepare_process(settings)
    with translated():
        from mlflow import MlflowClient

        artifacts = home.resolve() / "artifacts"
        uri = address_of(settings, home)
        if any(address.startswith("http") for address in (uri, settings.registry_uri or "")):
            load_header_providers()
        if not uri.startswith("http"):
            from mlflow.store.db import utils

            startup.compute_once(utils, "_get_latest_schema_revision")
        client = MlflowClient(tracking_uri=uri, registry_uri=settings.registry_uri or uri)
        if not uri.startswith("http"):
            client.search_experiments(max_results=1)  # creates its tables
    own = None if uri.startswith("http") else str(artifacts)
    return Tracking(
        client,
        uri,
        settings.artifact_root or own,
        home,
        settings.experiment_prefix,
        settings.default_tags,
        settings.registry_uri,
        _inode(uri),
    )


def address_of(settings: MLflowSettings, home: Path) -> str:
    """Return the address of MLflow; the database of the embedded one is created if missing. Imports no MLflow."""
    return settings.tracking_uri or _embedded(home.resolve(), home.resolve() / "artifacts")


def open_client(settings: MLflowSettings, address: str) -> MlflowClient:
    """Return the client of one server, after a connection check. Raises ToolUnavailable. Creates nothing."""
    _probe(address, min(ANSWER_SECONDS, settings.deadline))
    _prepare_process(settings)
    from mlflow import MlflowClient

    load_header_providers()
    return MlflowClient(tracking_uri=address, registry_uri=address)


def _inode(uri: str) -> int | None:
    """Return the inode of the SQLite file at the URI: None for a server or another database, 0 for a missing file."""
    file = _sqlite_file(uri)
    try:
        return None if file is None else file.stat().st_ino
    except FileNotFoundError:
        return 0


def _sqlite_file(uri: str) -> Path | None:
    path = uri.removeprefix("sqlite:///")
    return None if path == uri else Path(path.partition("?")[0])


def _embedded(home: Path, artifacts: Path) -> str:
    """Return the URI of the database in ``home``. Creates it if needed, and updates it if the store was moved."""
    database, marker = home / "mlflow.db", home / "artifacts.path"
    with exclusive(home / "lock"):
        try:
            if not database.exists():
                schema.create(database, artifacts)  # otherwise MLflow creates its own on first contact
            elif marker.exists() and (known := Path(marker.read_text("utf-8"))) != artifacts:
                schema.relocate(database, known, artifacts)
            else:
                schema.check(database)
        except sqlite3.DatabaseError as error:
            raise ToolUnavailable(
                "mlflow",
                f"the embedded MLflow database cannot be used: {error}",
                code="mlflow-database",
                hint=f"restore {database}, or move it away to start with an empty one",
            ) from error
        if not marker.exists() or marker.read_text("utf-8") != str(artifacts):
            marker.with_suffix(".new").write_text(str(artifacts), "utf-8")
            marker.with_suffix(".new").replace(marker)
    return f"sqlite:///{database}"


def _prepare_process(settings: MLflowSettings) -> None:
    """Set MLflow's variables for each request: no retries (the engine retries), no waiting past the deadline."""
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(max(1, round(settings.deadline)))
    os.environ["MLFLOW_ALLOW_HTTP_REDIRECTS"] = "false"  # a login page is not MLflow, and a POST becomes a GET
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # a program's output is its own
    os.environ["MLFLOW_UV_AUTO_DETECT"] = (
        "false"  # otherwise a uv.lock in the current directory is copied into every model
    )
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # every logged error is also raised


def _probe(address: str, seconds: float) -> None:
    """Check the connection: MLflow retries a dead database ten times, and a silent server once per request."""
    parts = urlsplit(address)
    if parts.scheme == "sqlite" or not parts.hostname:
        return
    host, port = parts.hostname, parts.port or PORTS[parts.scheme.partition("+")[0]]
    try:
        with socket.create_connection((host, port), timeout=PROBE_SECONDS) as connection:
            peer = ipaddress.ip_address(str(connection.getpeername()[0]).partition("%")[0])
        if peer.is_link_local:
            raise Refused(
                f"{host} is the link-local address {peer}",
                code="bad-address",
                hint="set the address to MLflow's own host",
            )
        if parts.scheme.startswith("http"):
            server = parts.netloc.rpartition("@")[2]
            asking.ask(f"{parts.scheme}://{server}/health", within=seconds)  # any answer will do
        else:
            in_time(partial(log_in, address, seconds), seconds)
    except (OSError, HTTPException) as error:
        raise ToolUnavailable(
            "mlflow",
            f"MLflow at {host}:{port} does not answer ({str(error) or type(error).__name__})",
            hint="start it, or correct tools.mlflow.tracking_uri in config/",
        ) from error


def log_in(address: str, seconds: float) -> None:
    """Send a query to a database, with a timeout in seconds.

    Raises ToolUnavailable with the database's reason, or when its driver is not installed.
    """
    import sqlalchemy

    try:
        select_one(address, seconds)
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0][:300]
        raise ToolUnavailable("mlflow", f"the MLflow database refused: {reason}", code="mlflow-database") from error
