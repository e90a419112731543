"""A real cluster on the loopback device: a scheduler and two nodes, which the tests of a file share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from e2i.cluster import local
from e2i.cluster.local import LocalCluster
from project import Project


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with local.running(tmp_path_factory.mktemp("cluster"), 2, environ=os.environ) as running:
        yield running


@pytest.fixture
def clustered(project: Project, cluster: LocalCluster) -> Project:
    """A project whose pure steps are executed by the cluster."""
    project.write("config/default.yaml", "sinks: []\nflush: 5\n" + local.as_yaml(cluster.settings))
    return project
