"""Servers that run: one PostgreSQL, Redis, MLflow and S3 for all tests of this folder, running when a test begins."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from live import servers
from live.servers import MLflow, ObjectStore, Postgres, Server
from project import held_port


@pytest.fixture(scope="session")
def cluster() -> Iterator[Postgres]:
    servers.require("initdb", "postgres")
    with servers.folder("postgres") as folder, held_port() as port:
        made = Postgres(folder, port)
        yield made
        made.kill()


@pytest.fixture(scope="session")
def cache() -> Iterator[Server]:
    servers.require("redis-server")
    with servers.folder("redis") as folder, held_port() as port:
        made = servers.redis(folder, port)
        yield made
        made.kill()


@pytest.fixture(scope="session")
def tracker() -> Iterator[MLflow]:
    with servers.folder("mlflow") as folder, held_port() as port:
        made = MLflow(folder, port)
        yield made
        made.kill()


@pytest.fixture(scope="session")
def objects() -> Iterator[ObjectStore]:
    with servers.folder("s3") as folder, held_port() as port:
        made = ObjectStore(folder, port)
        yield made
        made.kill()


@pytest.fixture
def s3(objects: ObjectStore) -> ObjectStore:
    objects.start()
    return objects


@pytest.fixture
def postgres(cluster: Postgres) -> Postgres:
    cluster.start()
    return cluster


@pytest.fixture
def redis(cache: Server) -> Server:
    cache.start()
    return cache


@pytest.fixture
def mlflow_server(tracker: MLflow) -> MLflow:
    tracker.start()
    return tracker
