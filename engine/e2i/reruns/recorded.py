"""Read what a past run was: its spec, parameters, workspace, and the results of its steps.

In: the name of a run. Out: a ``Recorded``. Reads only.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from e2i import api, route
from e2i.documents import OutputValues
from e2i.errors import BadInput, Refused
from e2i.policy import Origin
from e2i.records import lookup
from e2i.records.past import PastRun
from e2i.spec.expansion.expanded import Expanded
from e2i.store.past import RecordedRun
from e2i.workspace.source import Source
from e2i.workspace.workspace import Workspace

GOOD = ("succeeded", "reused")


class Recorded(Struct, frozen=True):
    """A run that is over, with the workspace as its settings and its author make it."""

    past: PastRun
    source: Source
    workspace: Workspace

    @property
    def run(self) -> RecordedRun:
        return self.past.run

    @property
    def outputs(self) -> dict[str, OutputValues]:
        """The outputs of the steps that have some, in the order of the plan."""
        return {step.id: step.outputs for step in self.run.steps if step.status in GOOD and step.outputs is not None}

    @property
    def fingerprints(self) -> dict[str, str]:
        return {step.id: step.fingerprint for step in self.run.steps if step.fingerprint}

    def expanded(self) -> Expanded:
        """Returns its steps. Raises InvalidSpec when the spec is not valid any more."""
        return route.valid(route.examine(self.source, self.workspace, self.run.params))


def read(name: str, workspace: Workspace) -> Recorded:
    """Reads a run. Raises BadInput for one that does not exist or has no results, Refused for altered records."""
    past = lookup.run(workspace.store, name)
    if past.run.corrupt:
        message = f"the records of run {past.run.id} were altered since they were written"
        raise Refused(message, code="state-altered", hint="`e2i doctor` names every corrupt record")
    if past.run.ended_ms is None:
        raise BadInput(f"run {past.run.id} is not over", code="unknown-run", hint="wait for its end, or resume it")
    origin = Origin.AGENT if past.run.options.origin == Origin.AGENT else workspace.origin
    own = replace(api.workspace_of(past.run, workspace), origin=origin)
    return Recorded(past, Source.recorded(past.run), own)
