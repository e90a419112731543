"""Runs whose process died go in; they are on record as interrupted, and their trackers are told, each once.

A process that is killed can say nothing any more. Its courier, which outlives it, or else the next one of the store
says it instead.
"""

from __future__ import annotations

from e2i.catalog import registry
from e2i.store.runs import RunStore
from e2i.telemetry.entries import Entry, keyed


def close(run_store: RunStore) -> None:
    """Closes the runs that no living process of this machine holds. The trackers that heard of one are to be told,
    whatever the settings say now, and no other.

    A run that is resumed meanwhile has a living holder, and is left alone. A run's end is the last sign of life that
    was recorded. Raises StoreError.
    """
    if not run_store.dead_runs():
        return
    with run_store.together():
        for run, holder, last_ms in run_store.dead_runs():  # again: this time nobody can take one over meanwhile
            process = holder.partition(":")[0]
            body = {
                "ended_ms": last_ms,
                "reason": f"process {process}, which carried it out, is gone; e2i-run --resume {run} goes on with it",
            }
            reported_to = [(sink, target) for sink in registry.SINKS for target in run_store.reported_to(sink, run)]
            entries = [
                Entry(keyed(f"{run}//run.abandoned/{holder}", target), sink, run, "run.abandoned", body, target=target)
                for sink, target in reported_to
            ]
            run_store.finish_run(run, "interrupted", {}, last_ms, entries)
