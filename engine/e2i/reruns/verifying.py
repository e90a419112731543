"""Verify that a run is deterministic: each step runs again on the inputs that it had, under other conditions.

In: a run. Out: a ``VerificationDocument``. The store, the trackers and the files of the workspace are as before.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from e2i.errors import StepError
from e2i.reruns import differences, executing, recorded, replaying, stage
from e2i.reruns.conditions import Conditions
from e2i.reruns.recorded import Recorded
from e2i.reruns.results import Difference, VerificationDocument, Verified, VerifiedStep
from e2i.spec.expansion.expanded import Expanded
from e2i.store.artifacts import ArtifactStore, MissingArtifact
from e2i.store.history import stored_digests
from e2i.workers.executor import Ended, StepCall
from e2i.workspace.workspace import Workspace

Listener = Callable[[str], None]
"""Receives the id of each step that has run again."""


class Begun(Struct, frozen=True):
    """What is executed of a run, and what is not, with the reason."""

    calls: Mapping[str, StepCall]
    others: Mapping[str, VerifiedStep]


def verify(
    run: str, workspace: Workspace, *, times: int = 1, listen: Listener = lambda step: None
) -> VerificationDocument:
    """Runs the steps of a run again, ``times`` times. Steps with effects outside are not executed.

    Raises BadInput for a run that does not exist, InvalidSpec when its spec is not valid any more.
    """
    began = time.monotonic()
    past = recorded.read(run, workspace)
    expanded = past.expanded()
    found: dict[str, VerifiedStep] = {}
    said: list[str] = []
    for number in range(times):
        with (
            TemporaryDirectory(prefix="e2i-verify-") as folder,
            stage.opened(past.workspace, "e2i-verify-") as quiet,
        ):
            environ = stage.environ_of(past.workspace, expanded, os.environ)
            conditions = Conditions.unlike(environ, len(os.sched_getaffinity(0)), number, Path(folder))
            said += [text for text in conditions.described if text not in said]
            for step in _repeat(past, expanded, quiet, conditions, environ, listen):
                if step.step not in found or found[step.step].result == "equal":
                    found[step.step] = step
    steps = [found[name] for name in expanded.nodes if name in found]
    order = [step.id for step in past.run.plan.steps]
    wrong = [step.step for step in steps if step.result in ("differs", "failed")]
    return VerificationDocument(
        run=past.run.id,
        pipeline=past.run.pipeline,
        conditions=said,
        times=times,
        first=min(wrong, key=order.index) if wrong else None,
        verified=sum(step.result == "equal" for step in steps),
        steps=steps,
        seconds=round(time.monotonic() - began, 3),
    )


def _repeat(
    past: Recorded,
    expanded: Expanded,
    quiet: Workspace,
    conditions: Conditions,
    environ: Mapping[str, str],
    listen: Listener,
) -> list[VerifiedStep]:
    """Runs all steps once more."""
    store = ArtifactStore(quiet.store)
    missing = stage.copy_artifacts(past.outputs.values(), ArtifactStore(past.workspace.store), store)
    begun = _begun(past, expanded, quiet, environ, missing)
    found = dict(begun.others)
    needs = {name: expanded.upstream(expanded.nodes[name]) for name in begun.calls}
    size = len(os.sched_getaffinity(0))
    for ended in executing.execute(begun.calls, needs, conditions, quiet, environ, size):
        found[ended.step] = _compared(ended, past, expanded, store)
        listen(ended.step)
    return list(found.values())


def _begun(
    past: Recorded, expanded: Expanded, quiet: Workspace, environ: Mapping[str, str], missing: set[str]
) -> Begun:
    """Finds the calls of the run, and which of them can be compared."""
    calls = replaying.calls(past, expanded, quiet, environ)
    back = stage.kept_back(expanded, past.workspace.settings)
    outputs, prints = past.outputs, past.fingerprints
    chosen: dict[str, StepCall] = {}
    others: dict[str, VerifiedStep] = {}
    for name, node in expanded.nodes.items():
        call = calls.get(name)

        def other(result: Verified, detail: str, name: str = name, uses: str = node.step.uses) -> None:
            others[name] = VerifiedStep(step=name, uses=uses, result=result, detail=detail, differences=[])

        if name not in outputs:
            other("not-executed", "it has no result in the run")
        elif name in back:
            other("replayed", back[name])
        elif call is None:
            other("replayed", "it is executed by the engine itself")
        elif missing & {*stored_digests(outputs[name]), *stored_digests(call.params)}:
            other("lost", "an artifact is no longer in the store")
        elif call.fingerprint != prints.get(name):
            other("changed", "its code, files or libraries are not those of the run")
        else:
            chosen[name] = call
    return Begun(chosen, others)


def _compared(ended: Ended, past: Recorded, expanded: Expanded, store: ArtifactStore) -> VerifiedStep:
    uses = expanded.nodes[ended.step].step.uses

    def step(result: Verified, detail: str, found: Sequence[Difference] = ()) -> VerifiedStep:
        return VerifiedStep(step=ended.step, uses=uses, result=result, detail=detail, differences=list(found))

    if ended.failure is not None:
        return step("failed", f"it fails: {ended.failure.message} [{ended.failure.code}]")
    try:
        found = differences.differences(past.outputs[ended.step], ended.outputs, store)
    except (MissingArtifact, StepError) as error:
        return step("lost", error.message)
    return step("differs", _said(found), found) if found else step("equal", "")


def _said(found: list[Difference]) -> str:
    first = found[0]
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return f"{first.where}: {first.detail}{more}"
