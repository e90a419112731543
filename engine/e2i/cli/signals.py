"""Stop a run on signals, with an exit code for each signal.

In: a signal from the user or the system. Out: a request to the engine, and the exit code.

The first SIGINT lets running steps finish. A second one, SIGTERM, SIGHUP and SIGQUIT stop them at once. All leave a run
that can be resumed. SIGTSTP restores the terminal before the process stops.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

from e2i.cli.progress import Reporter
from e2i.errors import Exit
from e2i.execution.engine import Engine

EXITS = {
    signal.SIGINT: Exit.INTERRUPTED,
    signal.SIGTERM: Exit.TERMINATED,
    signal.SIGHUP: Exit.HUNG_UP,
    signal.SIGQUIT: Exit.QUIT,
}


class Signals:
    """The effect of signals on one run."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.exit_code = Exit.INTERRUPTED
        """The exit code of an interrupted run."""
        self.received = 0
        """Number of signals that asked the run to stop."""

    def attach(self, engine: Engine) -> None:
        """Lets signals stop this engine from now on. A signal that the parent ignores, as ``nohup`` does, stays
        ignored.
        """

        def stop(number: int, frame: FrameType | None) -> None:
            self.exit_code = EXITS[signal.Signals(number)]
            self.received += 1
            engine.stop()
            if number != signal.SIGINT:
                engine.stop()  # these signals leave no time to finish steps

        for number in EXITS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, stop)
        if signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
            signal.signal(signal.SIGTSTP, self._suspend)

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        """Stops this process as the default action would. Workers continue with their steps."""
        self._reporter.pause()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # the process stops here until SIGCONT
        signal.signal(number, self._suspend)
        self._reporter.resume()
