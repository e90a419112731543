"""The worker process. In: calls of actions, on a control socket. Out: telemetry and results, on the same socket.

Run by ``e2i.workers.launch`` with CONTROL CLAIMS ENGINE GUARDIANS (numbers of inherited descriptors), under a guardian
that ends it, and everything it started, with the engine. It executes one call at a time and lives until the control
socket is closed.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from msgspec import convert

from e2i import regular, startup
from e2i.catalog.context import Superseded
from e2i.catalog.registry import Registry
from e2i.documents import OutputValues
from e2i.errors import E2IError
from e2i.store import ownership
from e2i.store.artifacts import ArtifactStore
from e2i.workers import acting, listings, noise, steplog, tidying
from e2i.workers.claims import Taker
from e2i.workers.context import Worker, WorkerContext
from e2i.workers.executor import StepCall
from e2i.workers.masking import Masker
from e2i.workers.messages import Done, Execute, Outcome, Prepare, Prepared, Ready, Start, order
from e2i.workers.outgoing import Outgoing
from e2i.workers.services import Lifelines
from e2i.workspace.paths import Roots

if TYPE_CHECKING:
    from e2i.settings import Settings
    from e2i.workers.scanning import Scanner

PR_SET_PDEATHSIG = 1
KILL_ME_FIRST = "500"
"""Addition to the kernel's score for choosing a process to kill, in thousandths of memory: a worker, not its engine."""


def main(control: int, claims: int, engine: int, guardians: int) -> None:
    """Serve calls until the engine closes the socket."""
    startup.defer_heavy_modules()
    for inherited in (control, claims, engine, guardians):
        os.set_inheritable(inherited, False)
    os.umask(0o077)
    noise.filter_warnings()
    listings.reverse_if_asked(os.environ)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(KILL_ME_FIRST)
    with socket.socket(fileno=control) as connection, connection.makefile("rb") as incoming:
        first = incoming.readline()
        if not first:
            return
        start = convert(json.loads(first), Start)
        os.umask(ownership.mask(Path(start.store)))
        worker = Worker(
            ArtifactStore(Path(start.store)),
            lambda: _settings(start.settings),
            Roots(Path(start.workspace), start.folders, start.hidden, start.written, start.operator),
            Lifelines(engine, guardians),
            Registry(start.plugins, start.presets),
        )
        runner = CallRunner(worker, Outgoing(connection), most=start.most)
        taker = Taker(claims)
        for message in map(order, incoming):
            match message:
                case Prepare(tool):
                    runner.prepare(tool)
                case Execute(call, cores, claim):
                    if claim is None or (not runner.is_spent and taker.take(claim)):
                        runner.execute(call, cores)
                case _:
                    assert_never(message)


class CallRunner:
    """Executes the calls of one worker."""

    def __init__(self, worker: Worker, send: Outgoing, *, most: int) -> None:
        self._worker = worker
        self._send = send
        self._most = most
        """Memory that it may use between two calls, in bytes."""
        self.is_spent = False
        """True when it will be replaced: no prefetched call is begun any more."""
        self._output = steplog.Output(worker.store.root)
        self._scratch = tidying.Scratch()
        self._baseline = tidying.ProcessBaseline()
        self._memory = tidying.Memory()
        self._peak = tidying.PeakMemory(self._memory)
        send(Ready(os.getpid(), self._memory.held()))

    def prepare(self, tool: str) -> None:
        """Import the libraries of the tool's actions, so that the next call does not wait for them."""
        with startup.without_collection():
            for name in _imports(tool, self._worker.registry):
                with contextlib.suppress(ImportError):  # the call itself will report what is missing
                    import_module(name)
        self._send(Prepared(tool, self._memory.held()))

    def execute(self, call: StepCall, cores: Sequence[int]) -> None:
        """Execute one call and send what it came to."""
        began, info = time.monotonic(), call.info
        masker = Masker(call.secrets)
        self._send.begin()
        self._baseline.note()
        self._peak.begin()
        left, cut = None, False
        try:
            self._output.begin(info.run, info.step, call.secrets, call.log)
            with tidying.environment(call.environ):
                outcome = self._act(call, cores, masker)
            left = self._baseline.restore()
            why = f"; it left {left}, so its worker process is replaced" if left else ""
            seconds = time.monotonic() - began
            cut = self._output.end(
                f"{call.uses} attempt {info.attempt}: {seconds:.3f} s{why}\n", always=left is not None
            )
        except (E2IError, OSError) as error:  # the disk cannot take the log
            outcome = _failed(error, call.uses, masker, self._worker.registry)
        held, peak = self._memory.held(), self._peak.end()
        starved = outcome.failure is not None and outcome.failure.code == "out-of-memory"
        # A step that received a secret may have kept it, and no other step may find it.
        self.is_spent = left is not None or starved or held > self._most or call.gone_after
        seconds = time.monotonic() - began
        self._send(Done(outcome=outcome, seconds=seconds, held=held, peak=peak, spent=self.is_spent, cut=cut))

    def _act(self, call: StepCall, cores: Sequence[int], masker: Masker) -> Outcome:
        """Return outputs or failure. Any exception is printed and ends the step, not the worker."""
        context, registry = None, self._worker.registry
        try:
            context = WorkerContext(
                self._worker,
                call.info,
                seed=call.seed,
                threads=call.threads,
                fingerprint=call.fingerprint,
                files=call.files,
                scratch=self._scratch.folder(self._worker.store.root, call.info.run),
                emit=self._send,
                scanner=_scanner(call.scanned),
                query_limits=call.query_limits,
                withheld=call.withheld,
            )
            with tidying.limited(call.memory, cores, self._memory):
                lost = ""
                if call.known is not None:
                    lost = acting.missing(call.uses, call.params, call.known, context, registry) or ""
                    if not lost or (call.done and isinstance(lost, Superseded)):
                        return Outcome(call.known, reused=True)
                    print(f"the effect of an earlier result is missing: {lost}", file=sys.stderr)
                outputs = acting.act(call.uses, call.params, context, registry)
            return Outcome(context.check(outputs), lost=lost)
        except Exception as error:  # noqa: BLE001 - the outermost boundary
            traceback.print_exc()
            return _failed(error, call.uses, masker, registry)
        finally:
            if context is not None:
                context.release()
                self._scratch.clear()
            regular.open_to_group(self._worker.store.root / call.uses.partition(".")[0])  # tools use modes of their own


def _settings(text: str) -> Settings:
    from e2i.settings import Settings  # with all of the spec's models

    return Settings.model_validate_json(text)


def _scanner(secrets: Sequence[str]) -> Scanner | None:
    """Return the scanner for these secrets; None without any, so that most steps pay nothing."""
    if not secrets:
        return None
    from e2i.workers.scanning import Scanner

    return Scanner(secrets)


def _imports(tool: str, registry: Registry) -> tuple[str, ...]:
    """Return the modules to import ahead; none for a broken plug-in, which the call itself reports."""
    declared = None if registry.problem(tool) else registry.tool(tool)
    return declared.imports if declared else ()


def _failed(error: Exception, uses: str, masker: Masker, registry: Registry) -> Outcome:
    return Outcome(OutputValues(), masker.data(acting.failure(error, uses, registry, masker.text)))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:5]))
    startup.exit_now(0)
