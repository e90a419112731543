"""Execute short actions in the engine's own process, faster than a worker could read the call.

In: a call of an action that is declared ``inline``. Out: its end.
"""

from __future__ import annotations

import time

from e2i.catalog.registry import Registry
from e2i.workers import acting
from e2i.workers.executor import Ended, StepCall


def execute(call: StepCall, registry: Registry) -> Ended:
    """Execute the call at once."""
    began = time.monotonic()
    try:
        outputs = acting.act(call.uses, call.params, None, registry)
    except Exception as error:  # noqa: BLE001 - the outermost boundary of an action: it ends the step, not the run
        return Ended(call.info.step, time.monotonic() - began, failure=acting.failure(error, call.uses, registry))
    return Ended(call.info.step, time.monotonic() - began, outputs)
