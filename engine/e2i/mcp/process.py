"""The process of one run that an agent has started. It outlives the server.

In: the folder of the run, with its request. Out: the run, and a line in the file of events for each event.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from pathlib import Path
from types import FrameType

import msgspec

from e2i import api, compact, regular
from e2i.documents import plain
from e2i.errors import E2IError, Exit
from e2i.execution.engine import Engine
from e2i.execution.events import Event, Listener
from e2i.execution.outcome import exit_code
from e2i.execution.record import RunRecord
from e2i.mcp import answers, plans
from e2i.mcp.answers import ErrorFacts, Failed
from e2i.mcp.place import Place
from e2i.mcp.running import EVENTS, HOLDER, REFUSED, REQUEST, RunRequest
from e2i.resilience.processes import process_identity


def main(folder: Path) -> Exit:
    """Runs the plan of the request, bound to it. Returns the exit code of the run."""
    os.umask(0o077)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal that is closed is the server's
    regular.write(folder / HOLDER, process_identity().encode(), mode=0o600)
    request = msgspec.json.decode(regular.read(folder / REQUEST, regular.SPEC), type=RunRequest)
    place = Place(Path(request.root), Path(request.store), request.profile)
    with (folder / EVENTS).open("ab", buffering=0) as events:

        def write(event: Event) -> None:
            events.write(compact.dumps(event).encode() + b"\n")  # one call: a line is there as a whole, or not

        def refuse(failed: Failed) -> None:
            line = {"event": REFUSED, "run": request.run, "at": round(time.time(), 3), **plain(failed)}
            events.write(compact.dumps(line).encode() + b"\n")

        try:
            record = _run(request, place, write)
        except E2IError as error:
            refuse(answers.failed(error, place.root))
            return error.exit_code
        except Exception as error:  # noqa: BLE001 - the outermost boundary: the reader of the events must learn of a defect
            traceback.print_exc()
            refuse(Failed(error=ErrorFacts(code="defect", message=f"internal error: {type(error).__name__}")))
            return Exit.DEFECT
    return exit_code(record.status, record.ends, degraded=record.degraded, strict=False, interrupted=Exit.INTERRUPTED)


def _run(request: RunRequest, place: Place, write: Listener) -> RunRecord:
    workspace = place.workspace()
    asked, approved = plans.kept(workspace.store, request.plan)
    return api.run(
        place.spec(asked.spec, workspace),
        asked.params,
        select=asked.select,
        fresh=asked.fresh,
        bound_to=approved,
        run_id=request.run,
        listen=write,
        on_engine=_stoppable,
        workspace=workspace,
    )


def _stoppable(engine: Engine) -> None:
    """Lets SIGINT stop the run after its running steps, and SIGTERM at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        engine.stop()
        if number == signal.SIGTERM:
            engine.stop()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


if __name__ == "__main__":
    sys.exit(int(main(Path(sys.argv[1]))))
