"""Slots of a node: each has one warm worker process of e2i, and a workspace with exactly the files of its call.

In: the setup of a call, its files. Out: a slot of that setup. A slot serves one call at a time and one trust domain.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field

from e2i.catalog.registry import Registry
from e2i.cluster.messages import Setup
from e2i.machines import Shared
from e2i.resilience import removal
from e2i.store.artifacts import ArtifactStore
from e2i.store.shared import SharedStore
from e2i.workers.environment import for_worker
from e2i.workers.pool import Pool
from e2i.workers.process import WorkerProcess
from e2i.workspace.paths import Roots

SPARE = 2
"""Worker processes that a node keeps for each of its threads, of whatever setups; the longest unused are ended."""


class Site(Struct, frozen=True):
    """What the slots of one setup share on a node."""

    setup: Setup
    registry: Registry
    storage: SharedStore
    """The storage that the engine and all nodes reach."""


class Slot(Struct, eq=False):
    """One worker process with its workspace."""

    key: bytes
    """The setup, as it was received."""
    site: Site
    pool: Pool
    workspace: Path
    files: dict[str, str] = field(default_factory=dict)
    """The files in the workspace: path → digest."""

    def arrange(self, files: Mapping[str, str | None], artifacts: ArtifactStore) -> None:
        """Leaves exactly these files in the workspace. Their contents are in the store. Raises OSError."""
        wanted = {name: digest for name, digest in files.items() if digest is not None}
        for folder, folders, names in os.walk(self.workspace):
            for name in (*names, *(one for one in folders if (Path(folder) / one).is_symlink())):
                path = Path(folder) / name
                relative = path.relative_to(self.workspace).as_posix()
                if path.is_symlink() or relative not in wanted or wanted[relative] != self.files.get(relative):
                    path.unlink()
        for name, digest in wanted.items():
            path = self.workspace / name
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(artifacts.path(digest), path)
        self.files = wanted


class Slots:
    """The slots of one node."""

    def __init__(self, root: Path, threads: int) -> None:
        """``threads``: number of calls that the node executes at a time."""
        self.artifacts = ArtifactStore(root)
        self._root = root
        self._threads = threads
        self._lock = threading.Lock()
        self._sites: dict[bytes, Site] = {}
        self._idle: list[Slot] = []
        """Idle slots, the last used last."""
        self._busy: list[Slot] = []
        self._count = 0

    def site(self, key: bytes, read: Callable[[bytes], Setup]) -> Site:
        """Returns what belongs to a setup."""
        with self._lock:
            if key not in self._sites:
                setup = read(key)
                storage = SharedStore(Shared.model_validate_json(setup.storage), setup.trust)
                self._sites[key] = Site(setup, Registry(setup.plugins, setup.presets), storage)
            return self._sites[key]

    def take(self, key: bytes, site: Site, uses: str) -> Slot:
        """Returns a slot of the setup: the one that is readiest for the action, or a new one."""
        with self._lock:
            suitable = (slot for slot in self._idle if slot.key == key)
            found = max(suitable, key=lambda slot: slot.pool.affinity(uses), default=None)
            if found is not None:
                self._idle.remove(found)
                self._busy.append(found)
                return found
            self._count += 1
            workspace = self._root / "workspaces" / str(self._count)
        workspace.mkdir(parents=True, mode=0o700)
        slot = Slot(key, site, self._pool(site, workspace), workspace)
        with self._lock:
            self._busy.append(slot)
        return slot

    def give_back(self, slot: Slot) -> None:
        """Returns a slot whose call has ended."""
        with self._lock:
            self._busy.remove(slot)
            self._idle.append(slot)

    def trim(self) -> None:
        """Ends the longest unused slots when there are too many. May take seconds."""
        with self._lock:
            most = max(0, SPARE * self._threads - len(self._busy))
            surplus, self._idle = self._idle[: len(self._idle) - most], self._idle[len(self._idle) - most :]
        for one in surplus:
            self._end(one)

    def close(self) -> None:
        """Ends all worker processes, also of running calls."""
        with self._lock:
            slots, self._idle, self._busy = [*self._idle, *self._busy], [], []
        for slot in slots:
            slot.pool.dismiss()
        for slot in slots:
            self._end(slot)

    def _pool(self, site: Site, workspace: Path) -> Pool:
        return Pool(
            1,
            store=self._root,
            roots=Roots(workspace, hidden=site.setup.hidden, written=()),
            settings=site.setup.settings,
            environ=for_worker(os.environ, threads=len(os.sched_getaffinity(0)), store=self._root),
            registry=site.registry,
            beside=self._processes,
        )

    def _processes(self) -> Sequence[WorkerProcess]:
        """Returns the worker processes of all slots, so that their calls get different cores."""
        return [process for slot in list(self._busy) for process in slot.pool.processes]

    def _end(self, slot: Slot) -> None:
        slot.pool.close()
        removal.remove_below(self._root, slot.workspace)
