"""Opens the executor of a cluster for a run. In: a workspace whose settings name a cluster. Out: the executor."""

from __future__ import annotations

from queue import SimpleQueue

from e2i import __version__
from e2i.cluster import messages
from e2i.cluster.arrivals import Arrivals
from e2i.cluster.connection import Connection
from e2i.cluster.dispatch import Dispatch
from e2i.cluster.exchange import Exchange
from e2i.cluster.executor import ClusterExecutor
from e2i.cluster.messages import Setup
from e2i.machines import Dask
from e2i.spec import durations
from e2i.store.artifacts import ArtifactStore
from e2i.store.shared import SharedStore
from e2i.workers.executor import Executor
from e2i.workspace.workspace import Workspace


def open_cluster(workspace: Workspace, cluster: Dask, local: Executor) -> Executor:
    """Connects to the cluster. ``local`` executes what must stay on this machine.

    Raises ClusterGone, BadSettings, and ToolUnavailable without dask.distributed.
    """
    settings, trust = workspace.settings, cluster.store.trust or workspace.origin.value
    storage = SharedStore(cluster.store, trust)
    arrivals: Arrivals = SimpleQueue()
    connection = Connection(cluster, workspace.root, arrivals)
    setup = Setup(
        e2i=__version__,
        settings=settings.model_dump_json(),
        plugins=settings.registry.plugins,
        presets=settings.registry.presets,
        hidden=workspace.roots.hidden,
        storage=cluster.store.model_dump_json(),
        trust=trust,
    )
    dispatch = Dispatch(
        connection,
        Exchange(storage, ArtifactStore(workspace.store), workspace.roots),
        arrivals,
        setup=messages.setup_bytes(setup),
        store=workspace.store,
        registry=settings.registry,
        wait=durations.parse(cluster.wait),
    )
    return ClusterExecutor(local, dispatch, settings.registry)
