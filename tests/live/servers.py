"""Real servers for tests, on the loopback device, each in a folder of its own: started, killed, started again."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from e2i.resilience.processes import process_identity
from e2i.tools.mlflow import schema
from project import LONGEST, until

if TYPE_CHECKING:
    from mlflow import MlflowClient

SERVANT = "nobody"
"""Who runs them when the tests are root's: PostgreSQL refuses to run as root."""
SPEED = (
    *("-c", "fsync=off"),
    *("-c", "full_page_writes=off"),
    *("-c", "max_connections=60"),
    *("-c", "shared_buffers=16MB"),
)


class Server:
    """A server that listens at ``port`` while it runs. It keeps its port and its data from one start to the next."""

    within = LONGEST
    """Seconds that it may take to start."""

    def __init__(
        self, folder: Path, port: int, command: list[str], *, environ: Mapping[str, str] | None = None
    ) -> None:
        self.port = port
        self._folder = folder
        self._command = command
        self._environ = environ
        """Of a server that runs as the tests do; None: it runs as ``SERVANT``, in the environment of the tests."""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Does nothing when it runs."""
        if self._process is not None:
            return
        user = as_servant() if self._environ is None else {}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environ,
                **user,
            )
        if not until(self._answers, self.within):
            self.kill()
            pytest.fail((self._folder / "log").read_text())

    def kill(self) -> None:
        """Ends it as a loss of its machine would, with all connections."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)  # it starts no more children
            children = _descendants(self._process.pid)
            for pid in [self._process.pid, *children]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            assert until(lambda: not any(map(process_identity, children)))

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, (self._folder / "log").read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


class Postgres(Server):
    """A PostgreSQL cluster, with a database for whoever asks for one."""

    def __init__(self, folder: Path, port: int) -> None:
        data = folder / "data"
        command = [_found("initdb"), "-D", str(data), "-U", "e2i", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run(command, check=True, capture_output=True, cwd=folder, **as_servant())
        listen = ["-h", "127.0.0.1", "-p", str(port), "-k", ""]
        super().__init__(folder, port, [_found("postgres"), "-D", str(data), *listen, *SPEED])
        self._databases = 0

    def database(self) -> str:
        """The address of a new database."""
        import psycopg

        self._databases += 1
        name = f"test{self._databases}"
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.address(name)

    def address(self, name: str) -> str:
        return f"postgresql://e2i@127.0.0.1:{self.port}/{name}"

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.address("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:  # it is starting, or mending what a kill left
            return False
        return super()._answers()


def redis(folder: Path, port: int) -> Server:
    """A Redis server that keeps what it is given."""
    where = ["--dir", str(folder), "--bind", "127.0.0.1", "--port", str(port)]
    durable = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
    return Server(folder, port, [_found("redis-server"), *where, *durable])


class MLflow(Server):
    """An MLflow server over HTTP, its database and its artifacts in ``folder``."""

    within = 300.0

    def __init__(self, folder: Path, port: int) -> None:
        where = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        database = f"sqlite:///{folder / 'mlflow.db'}"
        keep = ["--backend-store-uri", database, "--artifacts-destination", str(folder / "artifacts")]
        environ = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        super().__init__(folder, port, [sys.executable, "-P", "-m", "mlflow", "server", *where, *keep], environ=environ)
        self.uri = f"http://127.0.0.1:{port}"
        schema.create(folder / "mlflow.db", folder / "artifacts")  # MLflow's own migrations take several seconds

    def client(self) -> MlflowClient:
        """MLflow's own client of it."""
        from mlflow import MlflowClient

        return MlflowClient(self.uri, registry_uri=self.uri)

    def _answers(self) -> bool:
        if not super()._answers():
            return False
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


class ObjectStore(Server):
    """S3, as moto has it: what it holds is in memory, and gone when it is killed."""

    def __init__(self, folder: Path, port: int) -> None:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        super().__init__(folder, port, command, environ=dict(os.environ))
        self.url = f"http://127.0.0.1:{port}"

    @property
    def environ(self) -> dict[str, str]:
        """What a client reads to find it."""
        keys = {
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        return {**keys, "AWS_ENDPOINT_URL": self.url, "MLFLOW_S3_ENDPOINT_URL": self.url}

    def client(self) -> Any:
        """Amazon's own client of it."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="tests",
            aws_secret_access_key="tests-secret",
        )

    def bucket(self, name: str) -> str:
        """A new bucket."""
        self.client().create_bucket(Bucket=name)
        return name

    def keys(self, bucket: str) -> list[str]:
        """What is in a bucket."""
        return [item["Key"] for item in self.client().list_objects_v2(Bucket=bucket).get("Contents", ())]

    def empty(self, bucket: str) -> None:
        """Takes everything out of a bucket."""
        for key in self.keys(bucket):
            self.client().delete_object(Bucket=bucket, Key=key)


@contextlib.contextmanager
def folder(name: str) -> Iterator[Path]:
    """A folder that a server may use: below no folder that only its maker may enter."""
    made = Path(tempfile.mkdtemp(prefix=f"e2i-{name}-", dir="/tmp"))
    if os.geteuid() == 0:
        os.chown(made, pwd.getpwnam(SERVANT).pw_uid, -1)
    try:
        yield made
    finally:
        shutil.rmtree(made)


def require(*programs: str) -> None:
    """Skips the test where a program is not installed; in CI, which has them all, it fails."""
    missing = [program for program in programs if not _where(program)]
    if missing:
        outcome = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        outcome(f"needs {', '.join(missing)}: apt-get install postgresql redis-server")


def as_servant() -> dict[str, str]:
    return {"user": SERVANT} if os.geteuid() == 0 else {}


def _where(program: str) -> str | None:
    """The program; Debian keeps those of PostgreSQL's server in a folder by version."""
    own = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    return str(own[-1]) if own else shutil.which(program)


def _found(program: str) -> str:
    found = _where(program)
    assert found is not None
    return found


def _descendants(pid: int) -> list[int]:
    """The processes below one, its children first."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:  # it has just ended
        return []
    return [*children, *(below for child in children for below in _descendants(child))]
