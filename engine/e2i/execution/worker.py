"""A worker process: calls of actions come in on a control socket, telemetry and outcomes go out on it.

Run as ``python -m e2i.execution.worker CONTROL ENGINE GUARDIANS`` (numbers of inherited descriptors). It carries out
one call at a time and lives until the control socket is closed; then it ends itself and everything in its group.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from e2i.catalog import registry
from e2i.catalog.artifacts import read_artifacts
from e2i.catalog.context import RunInfo
from e2i.errors import BadInput, E2IError, ToolUnavailable
from e2i.execution import masking
from e2i.execution.context import Worker, WorkerContext
from e2i.execution.executor import Failure
from e2i.execution.paths import Roots
from e2i.execution.services import Lifelines
from e2i.execution.store import ArtifactStore
from e2i.settings import Settings

MESSAGE_LIMIT = 4_000
FILTER_PATIENCE = 2.0
"""Seconds that the end of a step waits for the filter of its log."""


def main(control: int, engine: int, guardians: int) -> None:
    """Serves calls until the engine closes the socket."""
    for inherited in (control, engine, guardians):
        os.set_inheritable(inherited, False)
    with socket.socket(fileno=control) as connection, connection.makefile("rb") as incoming:
        start = json.loads(incoming.readline() or b"null")
        if start is None:
            return
        worker = Worker(
            ArtifactStore(Path(start["store"])),
            Settings.model_validate_json(start["settings"]),
            Roots(Path(start["workspace"]), tuple(start["folders"])),
            Lifelines(engine, guardians),
        )
        calls: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=_listen, args=(incoming, calls), daemon=True).start()
        sending = threading.Lock()

        def emit(message: dict[str, Any]) -> None:
            line = json.dumps(message, default=str).encode() + b"\n"
            with sending:
                connection.sendall(line)

        while True:
            message = calls.get()
            if "prepare" in message:
                prepare(message["prepare"])
            else:
                emit({"ended": carry_out(worker, message["call"], emit)})


def prepare(tool: str) -> None:
    """Imports what the tool's actions need, so that the next call does not wait for it."""
    declared = registry.tool(tool)
    for name in declared.imports if declared else ():
        with contextlib.suppress(ImportError):  # the call itself will say what is missing
            import_module(name)


def carry_out(worker: Worker, call: dict[str, Any], emit: Any) -> dict[str, Any]:
    """Carries out one call and returns its outputs and its failure as plain data."""
    info = RunInfo(**call["info"])
    folder = worker.store.root / "runs" / info.run / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    scratches = worker.store.root / "tmp" / info.run
    scratches.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="step-", dir=scratches))
    worker.secrets.update(call["secrets"])
    with _output_to(folder / f"{info.step.replace('/', '_')}.log", sorted(worker.secrets)):
        began = time.monotonic()
        context = WorkerContext(
            worker,
            info,
            seed=call["seed"],
            threads=call["threads"],
            fingerprint=call["fingerprint"],
            scratch=scratch,
            emit=emit,
        )
        try:
            outputs = _act(call["uses"], call["params"], context)
            return {"outputs": outputs, "failure": None}
        except Exception as error:  # noqa: BLE001 - the outermost boundary: what a tool raises ends the step, not the worker
            traceback.print_exc()
            return {"outputs": {}, "failure": asdict(_failure(error, call["uses"]))}
        finally:
            print(f"{call['uses']} attempt {info.attempt}: {time.monotonic() - began:.3f} s", file=sys.stderr)
            context.release()
            shutil.rmtree(scratch, ignore_errors=True)


def _act(uses: str, raw: dict[str, Any], context: WorkerContext) -> dict[str, Any]:
    found = registry.find(uses)
    if found is None:
        raise BadInput(f"unknown action {uses!r}", code="unknown-action")
    try:
        params = found[1].params.model_validate(read_artifacts(raw))
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise BadInput(
            f"{uses}: parameter {'.'.join(map(str, fault['loc']))}: {fault['msg']}", code="bad-action-parameter"
        ) from error
    result = registry.function(uses)(params, context)
    if inspect.iscoroutine(result):
        result = asyncio.run(result)
    assert isinstance(result, found[1].outputs), f"{uses} must return {found[1].outputs.__name__}"
    outputs: dict[str, Any] = json.loads(result.model_dump_json())  # NaN, which JSON does not have, becomes null
    return outputs


def _failure(error: Exception, uses: str) -> Failure:
    if isinstance(error, E2IError):
        details = getattr(error, "details", None)
        unavailable = isinstance(error, ToolUnavailable) and error.code != "tool-missing"
        return Failure(error.code, error.message[:MESSAGE_LIMIT], error.hint, details, unavailable)
    if isinstance(error, ModuleNotFoundError):
        declared = registry.tool(uses.partition(".")[0])
        extra = declared.extra if declared and declared.extra else "all"
        return Failure("tool-missing", f"{uses}: {error}", f'pip install "e2i[{extra}]"')
    if isinstance(error, MemoryError):
        return Failure("out-of-memory", f"{uses} ran out of memory", "give the step less data or more memory")
    text = f"{type(error).__name__}: {error}".strip()
    return Failure("action-failed", text[:MESSAGE_LIMIT], "the step's log has the whole trace")


@contextlib.contextmanager
def _output_to(log: Path, secrets: Sequence[str]) -> Iterator[None]:
    """Sends what the step prints, from Python or native code, to its log: through a filter once there are secrets."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    filtering = _filter(handle, secrets) if secrets else None
    target = filtering.stdin.fileno() if filtering and filtering.stdin else handle
    try:
        _redirect(target)
        yield
    finally:
        if filtering is None:
            sys.stdout.flush()
            sys.stderr.flush()
        else:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            _redirect(nowhere)  # what a thread of the step prints from now on
            os.close(nowhere)
            with contextlib.suppress(BrokenPipeError):
                filtering.stdin.close()  # type: ignore[union-attr]  # it was asked for
            with contextlib.suppress(subprocess.TimeoutExpired):  # a process that the step left behind holds the pipe
                filtering.wait(FILTER_PATIENCE)
        os.close(handle)


def _redirect(target: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(target, 1)
    os.dup2(target, 2)


def _filter(log: int, secrets: Sequence[str]) -> subprocess.Popen[bytes]:
    """A process that writes to the log what it reads, without the secrets."""
    command = [sys.executable, "-I", "-S", masking.__file__]
    filtering = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.DEVNULL)
    assert filtering.stdin is not None
    filtering.stdin.write(json.dumps(list(secrets)).encode() + b"\n")
    filtering.stdin.flush()
    return filtering


def _listen(incoming: Any, calls: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Hands calls on; when the engine has gone, ends the whole group, whatever the step is doing."""
    for line in incoming:
        calls.put(json.loads(line))
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
