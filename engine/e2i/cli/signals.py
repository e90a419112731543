"""Signals of a run: what the operator or the system sends goes in; the engine is asked to stop, and the exit code says
which signal it was.

SIGINT once lets what runs finish; a second one, SIGTERM, SIGHUP and SIGQUIT end it at once. All leave a run that can be
resumed. SIGTSTP gives the terminal back as it was before the process stops.
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
    """What signals do to one run."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.exit_code = Exit.INTERRUPTED
        """That of a run which was interrupted."""

    def attach(self, engine: Engine) -> None:
        """From now on signals stop this engine. One that the parent has switched off, as ``nohup`` does, stays so."""

        def stop(number: int, frame: FrameType | None) -> None:
            self.exit_code = EXITS[signal.Signals(number)]
            engine.stop()
            if number != signal.SIGINT:
                engine.stop()  # these leave no time to let steps finish

        for number in EXITS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, stop)
        if signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
            signal.signal(signal.SIGTSTP, self._suspend)

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        """Stops this process as it would have been without us. Workers go on with what they are doing."""
        self._reporter.pause()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # it stops here, until SIGCONT
        signal.signal(number, self._suspend)
        self._reporter.resume()
