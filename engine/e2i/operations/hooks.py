"""Notify hooks of the end of a run: webhooks and commands, all at the same time, each within its deadline.

In: hooks of the settings and a notification. Out: a result for each hook. Nothing is raised: a hook never changes a
run. Messages do not hold a URL's path, a header, an argument or the output of a command, which may be secrets.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from e2i import __version__
from e2i.alerting import Hook
from e2i.resilience.handles import Handle, connected

BACKOFF = 0.5
"""Seconds before the second attempt of a webhook, at least half of it by chance."""
DYING = 0.5
"""Seconds before its deadline at which a command gets SIGTERM, then SIGKILL; a quarter of a shorter deadline."""
LOOK = 0.1
"""Seconds between two checks whether the user wants no longer to wait."""
AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""HTTP statuses after which a webhook is tried once more."""


class HookResult(Struct, frozen=True, kw_only=True):
    """How the notification of a hook ended."""

    hook: str
    attempts: int
    seconds: float
    problem: str | None
    """None: it was delivered."""


class _Failed(Exception):
    """One attempt failed. ``again``: another one may succeed."""

    def __init__(self, problem: str, *, again: bool) -> None:
        super().__init__(problem)
        self.problem = problem
        self.again = again


def notify(
    hooks: Sequence[Hook],
    body: bytes,
    key: str,
    *,
    folder: Path,
    environ: Mapping[str, str],
    hurried: Callable[[], bool] = lambda: False,
) -> list[HookResult]:
    """Notifies all hooks. Returns within the longest of their deadlines, or soon after ``hurried`` returns True.

    ``key``: the same for every delivery of this notification. ``folder``: where commands are executed. ``environ``: the
    variables of which commands receive some.
    """
    running = [_Running(hook, body, key, folder, environ) for hook in hooks]
    return [one.result(hurried) for one in running]


class _Running:
    """One hook, in a thread of its own: a client's own timeouts do not limit a whole call."""

    def __init__(self, hook: Hook, body: bytes, key: str, folder: Path, environ: Mapping[str, str]) -> None:
        self._hook = hook
        self._began = time.monotonic()
        self._ends = self._began + hook.deadline
        self._attempts = 0
        self._problem: str | None = None
        self._seconds = 0.0
        self._target = _Webhook(hook, body, key) if hook.webhook else _Command(hook, body, folder, environ)
        self._thread = threading.Thread(target=self._notify, daemon=True, name=hook.name)
        self._thread.start()

    def result(self, hurried: Callable[[], bool]) -> HookResult:
        """Waits for the end of the hook, at most until its deadline."""
        while self._thread.is_alive() and (left := self._ends - time.monotonic()) > 0 and not hurried():
            self._thread.join(min(LOOK, left))
        if not self._thread.is_alive():
            seconds, problem = self._seconds, self._problem
        else:
            seconds = time.monotonic() - self._began
            problem = "it was stopped by a signal" if hurried() else f"it did not end within {self._hook.deadline:g} s"
            self._target.end()
        return HookResult(hook=self._hook.name, attempts=self._attempts, seconds=round(seconds, 3), problem=problem)

    def _notify(self) -> None:
        problem: str | None = None
        while (left := self._ends - time.monotonic()) > 0:
            self._attempts += 1
            try:
                self._target.send(left)
                problem = None
            except _Failed as error:
                problem = error.problem
                wait = BACKOFF * (1 + random.random()) / 2
                if error.again and self._attempts < 2 and time.monotonic() + wait < self._ends:
                    time.sleep(wait)
                    continue
            break
        self._seconds, self._problem = time.monotonic() - self._began, problem


class _Webhook:
    """POST of the notification. Redirects are not followed, and no proxy is used."""

    def __init__(self, hook: Hook, body: bytes, key: str) -> None:
        assert hook.webhook is not None
        self._url = urlsplit(hook.webhook)
        self._body = body
        self._handle: Handle | None = None
        self._headers = {
            "Content-Type": "application/json",
            "User-Agent": f"e2i/{__version__}",
            "Idempotency-Key": key,
            **hook.headers,
        }

    def end(self) -> None:
        """Ends the connection, so that the waiting thread ends too."""
        if self._handle is not None:
            self._handle.end()

    def _keep(self, handle: Handle) -> None:
        self._handle = handle

    def send(self, seconds: float) -> None:
        """Raises _Failed unless the answer is a 2xx. ``seconds`` bounds each read; the caller bounds the whole."""
        path = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        try:
            with connected(self._url.geturl(), seconds, ssl.create_default_context, self._keep) as connection:
                connection.request("POST", path, self._body, self._headers)
                status = connection.getresponse().status
        except TimeoutError as error:
            raise _Failed(f"no answer within {seconds:.1f} s", again=False) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            text = getattr(error, "strerror", None) or type(error).__name__  # the text of others may quote the answer
            raise _Failed(str(text), again=True) from error
        if not 200 <= status < 300:
            raise _Failed(f"HTTP status {status}", again=status in AGAIN)


class _Command:
    """A program with the notification on its standard input, without a shell. Its output is discarded."""

    def __init__(self, hook: Hook, body: bytes, folder: Path, environ: Mapping[str, str]) -> None:
        assert hook.command is not None
        self._arguments = hook.command
        self._body = body
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._environ = {name: environ[name] for name in ("PATH", "HOME", *hook.env) if name in environ}

    def end(self) -> None:
        """Ends the command, if it runs."""
        if self._process is not None:
            _end(self._process)

    def send(self, seconds: float) -> None:
        """Raises _Failed unless the exit code is 0. All of its processes are ended in time for the deadline."""
        document = os.memfd_create("e2i-notification")  # unlike a pipe it does not wait for its reader
        try:
            os.write(document, self._body)
            os.lseek(document, 0, os.SEEK_SET)
            process = self._process = subprocess.Popen(
                self._arguments,
                stdin=document,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=self._environ,
                cwd=self._folder,
                start_new_session=True,
            )
        except OSError as error:
            raise _Failed(f"it cannot be started: {error.strerror}", again=False) from error
        finally:
            os.close(document)
        try:
            code = process.wait(seconds - min(DYING, seconds / 4))
        except subprocess.TimeoutExpired as error:
            _end(process)
            raise _Failed(f"it did not end within {seconds:.1f} s and was killed", again=False) from error
        if code:
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            raise _Failed(f"it ended with {how}", again=False)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the processes of a command's session."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(DYING / 4)
