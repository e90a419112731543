"""Close runs whose process died, and report their end to their trackers once.

In: such runs. Out: they are recorded as interrupted. A killed process can report nothing. Its delivery process, which
outlives it, or else the next one of the store does.
"""

from __future__ import annotations

from e2i.catalog.registry import SINKS
from e2i.documents import OutputValues
from e2i.store.runs import RunStore
from e2i.telemetry.bodies import AbandonedRun, recorded
from e2i.telemetry.entries import Entry, keyed


def close(run_store: RunStore) -> None:
    """Closes the runs that no living process of this machine holds.

    Exactly the trackers that know a run receive its end, whatever the settings are now. A run that was resumed
    meanwhile has a living holder and is left alone. A run's end is the last recorded sign of life. Raises StoreError.
    """
    if not run_store.dead_runs():
        return
    with run_store.together():
        for run, holder, last_ms in run_store.dead_runs():  # read again: inside the transaction nobody can claim one
            process = holder.partition(":")[0]
            reason = f"its process {process} has exited; resume with e2i-run --resume {run}"
            kind, body = recorded(AbandonedRun(ended_ms=last_ms, reason=reason))
            trackers = [(sink, target) for sink in SINKS for target in run_store.reported_to(sink, run)]
            entries = [
                Entry(keyed(f"{run}//{kind}/{holder}", target), sink, run, kind, body, target=target)
                for sink, target in trackers
            ]
            run_store.finish_run(run, "interrupted", OutputValues(), last_ms, entries)
