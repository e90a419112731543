"""Record the origin of a run's results.

In: a plan and its environment. Out: a struct. It names no person and no path on this machine's disk, and holds no
secret.
"""

from __future__ import annotations

import hashlib
import os
import sys

from e2i import __version__
from e2i.planning.model import Plan
from e2i.store.past import GitState, RunOrigin


def of(plan: Plan, seed: int, text: str, git: GitState | None) -> RunOrigin:
    """Returns the origin of a run of this plan: program, machine, libraries of its actions, seed, spec, repository."""
    libraries = {
        name: version
        for step in plan.steps
        for name, version in step.components.libraries.items()
        if version is not None
    }
    system = os.uname()
    return RunOrigin(
        e2i=__version__,
        python=".".join(map(str, sys.version_info[:3])),
        system=f"{system.sysname} {system.release} {system.machine}",
        host=system.nodename,
        cores=len(os.sched_getaffinity(0)),
        libraries=dict(sorted(libraries.items())),
        seed=seed,
        spec=f"sha256:{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()}",
        git=git,
    )
