"""The ``Workspace``: paths, settings, policy, and the folder of the store.

In: a folder and the environment. Out: a ``Workspace``.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path

from msgspec import Struct, field

from e2i import policy as policy_module
from e2i import settings as settings_module
from e2i.catalog.action import Place
from e2i.check.policy import Authority
from e2i.machines import Dask
from e2i.policy import Origin, Policy
from e2i.settings import Settings
from e2i.store import ownership
from e2i.workspace import project
from e2i.workspace.files import WorkspaceFiles
from e2i.workspace.paths import Roots, look


class Workspace(Struct, frozen=True):
    """Root of the paths in specs, configuration, and folder of the store."""

    root: Path
    store: Path
    settings: Settings
    policy: Policy = field(default_factory=policy_module.default)
    origin: Origin = Origin.HUMAN
    """The author of the specs, as the user declares."""

    @classmethod
    def open(
        cls,
        *,
        root: Path | None = None,
        spec: str | Path | None = None,
        store: Path | None = None,
        profile: str | None = None,
        origin: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Workspace:
        """Returns the workspace at ``root``; default: that of ``spec``, as ``e2i.workspace.project`` finds it.

        Reads ``config/`` and creates nothing. With ``mode: group``, the files that this process creates are open to
        their group (``e2i.store.ownership.share``).

        ``origin`` is the author of the specs, ``human`` or ``agent``; default: ``E2I_ORIGIN``, or else a human.
        """
        environ = os.environ if environ is None else environ
        who = policy_module.origin(origin, environ)
        root = (root or project.root_of(spec, Path.cwd(), who)).resolve()
        store_path = store or Path(environ.get("E2I_STORE") or root / ".e2i")
        settings = settings_module.load(root / "config", profile, environ)
        policy = policy_module.load(root / "config", environ, settings.registry)
        store_path = store_path.resolve()
        if settings.mode == "group":
            ownership.share(store_path)
        return cls(root, store_path, settings, policy, who)

    @property
    def roots(self) -> Roots:
        """Returns the folders that paths in specs may lead into."""
        rules = self.policy.rules(self.origin)
        return Roots(self.root, rules.roots, rules.hidden_files, rules.write_roots, self._operator_files)

    @property
    def _operator_files(self) -> tuple[str, ...]:
        """Returns the files that the settings name: log, metrics, certificates, and what the commands of hooks name of
        this workspace.
        """
        settings = self.settings
        words = [word for hook in settings.on_finish for word in hook.command or ()]
        scripts = [word for word in words if "\0" not in word and os.path.isfile(self.root / word)]  # noqa: PTH113
        cluster = settings.executor
        keys = (cluster.tls.ca, cluster.tls.cert, cluster.tls.key) if isinstance(cluster, Dask) else ()
        return tuple(filter(None, (settings.log.file, settings.metrics_file, *keys, *scripts)))

    def name(self, file: str) -> str:
        """Returns the path of a file relative to the workspace, if the file is inside."""
        path = Path(os.path.abspath(file))  # noqa: PTH100 - links are not followed
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else file

    @property
    def files(self) -> WorkspaceFiles:
        """Returns the files that checks may read: those that paths in specs may lead to."""
        return WorkspaceFiles(self.roots, self.settings)

    @property
    def authority(self) -> Authority:
        """Returns the permissions of the policy for specs of this origin."""

        def hosts(tool: str) -> Collection[str]:
            found: Collection[str] = self.settings.tool(tool).hosts()
            return found

        def places(tool: str) -> Mapping[str, Place]:
            found: Mapping[str, Place] = self.settings.tool(tool).places()
            return found

        settings, home = self.settings, str(self.root)
        return Authority(
            self.policy, self.origin, partial(look, self.roots), hosts, settings.sinks, settings.registry, home, places
        )
