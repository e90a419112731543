"""Watch the runs of a command for the operator: log, hooks, metrics file, as the settings say.

In: the events of one run, of all its attempts. Out: the same events, with the results of the hooks right before the
last one. Nothing here changes a run: a hook that fails, or a file that cannot be written, is reported as an event.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from e2i.errors import E2IError, Exit, ToolUnavailable
from e2i.execution import secrets
from e2i.execution.events import (
    Event,
    HookFinished,
    Listener,
    RunFinished,
    RunRetried,
    RunStarted,
    SettingFailed,
    Stamped,
    ToolDegraded,
)
from e2i.execution.outcome import exit_code
from e2i.store import disk
from e2i.workers.environment import credentials
from e2i.workers.masking import Masker
from e2i.workspace.workspace import Workspace

if TYPE_CHECKING:
    from e2i.operations.notification import Notification
    from e2i.operations.oplog import Fact, OperatorLog


def _exit_code(end: RunFinished) -> Exit:
    return exit_code(end.status, end.steps, degraded=end.degraded)


class RunWatch:
    """What the operator learns of one run and its further attempts."""

    def __init__(
        self,
        exit_code_of: Callable[[RunFinished], Exit] = _exit_code,
        follows: Callable[[RunFinished | E2IError], bool] = lambda end: False,
        signals: Callable[[], int] = lambda: 0,
    ) -> None:
        """``follows`` returns whether another attempt follows: then nobody is notified yet. ``signals`` returns the
        number of signals to stop so far: another one ends the hooks.
        """
        self._signals = signals
        self._exit_code_of = exit_code_of
        self._follows = follows
        self._began = time.monotonic()
        self._attempts = 0
        self._workspace: Workspace | None = None
        self._listen: Listener = lambda event: None
        self._pipeline: Callable[[], str | None] = lambda: None
        self._log: OperatorLog | None = None
        self._broken: set[str] = set()
        """Settings whose file could not be written; each is reported once."""
        self._started: RunStarted | None = None
        self._degraded: dict[str, ToolDegraded] = {}
        self._held: RunFinished | E2IError | None = None
        """The end of the last attempt, until it is notified."""
        self._uses: dict[str, str] = {}

    @property
    def run(self) -> str | None:
        """The run's id, once an attempt has started."""
        return self._started.run if self._started else None

    @property
    def waits(self) -> bool:
        """Whether the last attempt has ended and another one is to follow."""
        return self._held is not None

    @contextmanager
    def attempt(
        self, workspace: Workspace, listen: Listener, pipeline: Callable[[], str | None] = lambda: None
    ) -> Iterator[Listener]:
        """Yields the listener of one attempt. An error that ends it is notified like a failed run, and raised.

        ``pipeline`` returns the name in the spec, for a run that does not start; None when it cannot be read.
        """
        self._workspace, self._listen, self._pipeline = workspace, listen, pipeline
        self._attempts += 1
        self._held = None
        self._degraded.clear()
        self._log = self._opened(workspace)
        try:
            yield self._emit
        except Exception as error:  # the boundary of a run: whatever ends it is reported, and raised again
            self._failed(_known(error))
            raise

    def retried(self, attempt: int, attempts: int, wait: float) -> None:
        """Reports that another attempt follows after ``wait`` seconds."""
        reason = ", ".join(f"{code} ({step})" if step else code for code, step in _codes(self._held))
        self._notice(
            partial(RunRetried, attempt=attempt, attempts=attempts, wait=round(wait, 3), reason=reason or "outage")
        )

    def closed_for(self) -> float:
        """Returns the seconds until the circuits of the tools that the last attempt missed allow calls again."""
        workspace, end = self._workspace, self._held
        assert workspace is not None and end is not None
        if isinstance(end, RunFinished):
            uses = (self._uses.get(name, "") for name, step in end.steps.items() if step.error is not None)
            tools = {name.partition(".")[0] for name in uses}
        else:
            tools = {end.tool} if isinstance(end, ToolUnavailable) else set()
        from e2i.resilience import circuits

        settings, store = workspace.settings, workspace.store
        found = [circuits.wait(store, name, settings.tool(name)) for name in tools if name in settings.registry]
        return max(found, default=0.0)

    def close(self) -> None:
        """Notifies of the last end, if another attempt was to follow and does not."""
        if self._held is not None:
            self._end(self._held)

    def _emit(self, event: Event) -> None:
        self._write(event)
        match event:
            case RunStarted():
                self._started = event
            case ToolDegraded():
                self._degraded[event.tool] = event
            case RunFinished():
                self._held = event
                if not self._follows(event):
                    self._end(event)
        if (uses := getattr(event, "uses", None)) and event.step:
            self._uses[event.step] = uses
        self._listen(event)

    def _failed(self, error: E2IError) -> None:
        """The attempt ended with an error, before or during its run."""
        if self._log is not None:
            facts: dict[str, Fact] = {"code": error.code, "message": error.message, "exit_code": int(error.exit_code)}
            self._guarded("log", partial(self._log.line, time.time(), "error", "run.failed", facts, self.run))
        self._held = error
        if not self._follows(error):
            self._end(error)

    def _end(self, end: RunFinished | E2IError) -> None:
        """Writes the metrics file and notifies the hooks."""
        self._held = None
        workspace = self._workspace
        assert workspace is not None
        settings = workspace.settings
        if not settings.on_finish and not settings.metrics_file:
            return
        document = self._document(workspace, end)
        if settings.metrics_file:
            self._guarded("metrics_file", partial(_write_metrics, workspace, document))
        hooks = [hook for hook in settings.on_finish if _wants(hook.when, document)]
        if hooks:
            from e2i.operations import hooks as hooks_module
            from e2i.operations.body import body_of

            body = body_of(document, masker_of(workspace))
            before = self._signals()
            for result in hooks_module.notify(
                hooks,
                body,
                document.key,
                folder=workspace.root,
                environ=os.environ,
                hurried=lambda: self._signals() > before,
            ):
                finished = partial(HookFinished, hook=result.hook, attempts=result.attempts, seconds=result.seconds)
                self._notice(partial(finished, delivered=result.problem is None, problem=result.problem))

    def _document(self, workspace: Workspace, end: RunFinished | E2IError) -> Notification:
        from e2i.operations import body

        return body.document(
            end,
            exit_code=int(self._exit_code_of(end) if isinstance(end, RunFinished) else end.exit_code),
            run=self.run,
            pipeline=self._started.name if self._started else self._pipeline(),
            degraded=tuple(self._degraded.values()),
            uses=self._uses,
            seconds=time.monotonic() - self._began,
            attempts=self._attempts,
            workspace=workspace,
        )

    def _notice(self, stamped: Stamped) -> None:
        event = stamped(self.run or "", time.time())
        self._write(event)
        self._listen(event)

    def _write(self, event: Event) -> None:
        """Writes an event to the log."""
        if self._log is not None and "log" not in self._broken:
            self._guarded("log", partial(self._log.event, event))

    def _guarded(self, setting: Literal["log", "metrics_file"], write: Callable[[], None]) -> None:
        """Writes a file of the operator. What fails is reported once."""
        try:
            write()
        except OSError as error:
            if setting in self._broken:
                return
            self._broken.add(setting)
            problem = f"cannot write {error.filename or 'the file'}: {error.strerror or error}"
            self._notice(partial(SettingFailed, setting=setting, problem=problem))

    def _opened(self, workspace: Workspace) -> OperatorLog | None:
        """Returns the log of the settings, if there is one."""
        return opened_log(workspace, masker_of(workspace)) if workspace.settings.log.file else None


def opened_log(workspace: Workspace, masker: Masker) -> OperatorLog:
    """Returns the log of the settings, which must name a file."""
    from e2i.operations.oplog import OperatorLog

    settings = workspace.settings.log
    return OperatorLog(settings, workspace.root / Path(settings.file or "").expanduser(), masker.text)


def masker_of(workspace: Workspace) -> Masker:
    """Returns a masker of everything in settings and environment that may be a secret."""
    settings = workspace.settings
    tools = {*settings.tools, *settings.sinks}
    hooks = [text for hook in settings.on_finish for text in hook.private]
    return Masker(
        {
            *secrets.values(settings.secrets, os.environ),
            *settings.credentials(tools),
            *credentials(os.environ, tools, settings.registry),
            *hooks,
        }
    )


def _wants(when: tuple[str, ...], document: Notification) -> bool:
    """Returns whether a hook is notified of this end."""
    status = "succeeded" if document.status == "succeeded" else "failed"
    return "always" in when or status in when or (document.degraded and "degraded" in when)


def _write_metrics(workspace: Workspace, document: Notification) -> None:
    from e2i.operations import metrics

    path = metrics.path_of(workspace)
    assert path is not None
    metrics.write(workspace, path, document)


def _codes(end: RunFinished | E2IError | None) -> list[tuple[str, str]]:
    """Returns the error codes of an end, each with its step."""
    if isinstance(end, RunFinished):
        return [(step.error.code, name) for name, step in end.steps.items() if step.error is not None]
    return [] if end is None else [(end.code, "")]


def _known(error: Exception) -> E2IError:
    """Returns an error as one with a code and an exit code."""
    if isinstance(error, E2IError):
        return error
    found = disk.trouble(error)
    return found or E2IError(f"internal error: {type(error).__name__}", code="defect")
