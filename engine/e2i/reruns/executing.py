"""Execute calls again, under other conditions, each on the inputs that it had.

In: calls, their dependencies, conditions. Out: the end of each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack

from msgspec.structs import replace

from e2i.reruns.conditions import Conditions
from e2i.workers.executor import Ended, StepCall
from e2i.workers.pool import Pool
from e2i.workspace.workspace import Workspace


def execute(
    calls: Mapping[str, StepCall],
    needs: Mapping[str, Collection[str]],
    conditions: Conditions,
    quiet: Workspace,
    environ: Mapping[str, str],
    size: int,
) -> Iterator[Ended]:
    """Executes all calls. Of those that could be next, the last one in the order of the plan begins.

    A step waits for the steps upstream that are executed too: tools may keep state in the store.
    """
    with ExitStack() as stack:
        pool = Pool(
            size,
            store=quiet.store,
            roots=quiet.roots,
            settings=quiet.settings.model_dump_json(),
            environ=conditions.environ(environ, quiet.store),
            registry=quiet.settings.registry,
        )
        stack.callback(pool.close)
        waiting = [*calls][::-1]
        running: set[str] = set()
        while waiting or running:
            while pool.free() > 0 and (step := _next(waiting, running, needs)) is not None:
                waiting.remove(step)
                running.add(step)
                pool.submit(replace(calls[step], threads=conditions.threads, known=None))
            for message in pool.poll(1.0):
                if isinstance(message, Ended):
                    running.discard(message.step)
                    yield message


def _next(waiting: list[str], running: set[str], needs: Mapping[str, Collection[str]]) -> str | None:
    """Returns a step that waits for no other one."""
    open_steps = {*waiting, *running}
    return next((step for step in waiting if open_steps.isdisjoint(needs[step])), None)
