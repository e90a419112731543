"""Write the end of a command to the log of its store. In: a command. Out: the same command."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from e2i.cli.problems_view import safe
from e2i.errors import E2IError, Exit


def logged(command: Callable[..., Exit]) -> Callable[..., Exit]:
    """Writes name, exit code, duration and error code of each call to the log that the settings name, if they do.

    A log that cannot be written is reported, and changes nothing else.
    """

    @functools.wraps(command)
    def wrapper(*args: Any, store: Path | None, **kwargs: Any) -> Exit:
        began, code, error_code = time.monotonic(), Exit.DEFECT, ""
        try:
            code = command(*args, store=store, **kwargs)
            return code
        except E2IError as error:
            code, error_code = error.exit_code, error.code
            raise
        finally:
            _write(command.__name__, store, kwargs.get("profile"), code, error_code, time.monotonic() - began)

    return wrapper


def _write(name: str, store: Path | None, profile: str | None, code: Exit, error_code: str, seconds: float) -> None:
    from e2i import api

    try:
        workspace = api.Workspace.open(store=store, profile=profile)
        if workspace.settings.log.file is None:
            return
        from e2i.operations import watch
        from e2i.operations.oplog import Fact

        log = watch.opened_log(workspace, watch.masker_of(workspace))
        facts: dict[str, Fact] = {
            "command": name,
            "exit_code": int(code),
            "seconds": round(seconds, 3),
            "code": error_code,
        }
        log.line(time.time(), "info" if code is Exit.DONE else "warning", "command.finished", facts)
    except E2IError:  # the command has reported it
        return
    except OSError as error:
        problem = f"log: cannot write {error.filename or 'the file'}: {error.strerror or error}"
        click.echo(safe(problem), file=sys.stderr)
