"""The few types of error that leave the engine, each with its exit code.

In: the error as data. Out: exceptions that the command line prints in one place.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from e2i.spec.problems import Problem


class Exit(IntEnum):
    """The documented exit codes of every command."""

    DONE = 0
    STEP_FAILED = 1
    BAD_INPUT = 2
    REFUSED = 3
    UNAVAILABLE = 4
    DEFECT = 70
    HUNG_UP = 129
    INTERRUPTED = 130
    QUIT = 131
    TERMINATED = 143


MISCONFIGURED = ("tool-auth", "tool-database")
"""Codes of errors of a service that is up: its credentials or its address in the configuration are wrong."""


class E2IError(Exception):
    """Base of every error that the engine raises on purpose.

    ``code`` identifies the error for programs, ``hint`` describes how to fix it.
    """

    exit_code: Exit = Exit.DEFECT

    def __init__(self, message: str, *, code: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint


class BadInput(E2IError):
    """A parameter, an option, a file or a configuration is invalid."""

    exit_code = Exit.BAD_INPUT


class BadCall(BadInput, ValueError):
    """A call with a wrong argument. ``hint`` describes how to fix it; it is part of the message too."""

    def __init__(self, message: str, *, code: str = "bad-call", hint: str | None = None) -> None:
        super().__init__(message, code=code, hint=hint)

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    @classmethod
    def of(cls, error: E2IError) -> BadCall:
        """Returns the same as a mistake of the caller."""
        return BadCall(error.message, code=error.code, hint=error.hint)


class BadSettings(BadCall):
    """Settings that are invalid, in a file or as arguments of their class."""

    def __init__(self, message: str, *, code: str = "bad-settings", hint: str | None = None) -> None:
        super().__init__(message, code=code, hint=hint)


class InvalidSpec(BadInput):
    """A spec has problems. ``problems`` contains all of them, sorted by location."""

    def __init__(self, problems: Sequence[Problem], *, message: str | None = None) -> None:
        super().__init__(message or f"the spec has {len(problems)} problem(s)", code="invalid-spec")
        self.problems = tuple(problems)


class UnreadableSettings(InvalidSpec, ValueError):
    """A file of settings that cannot be read; the message has its first problem, with line and column."""


class RefusedSpec(InvalidSpec):
    """A spec has only problems with the policy."""

    exit_code = Exit.REFUSED


class Refused(E2IError):
    """The policy forbids it, or the plan differs from the approved one."""

    exit_code = Exit.REFUSED


class ToolUnavailable(E2IError):
    """A tool is not installed, cannot be reached, or its breaker is open. The only error that counts as an outage.

    ``retry_after`` is the time in seconds that the tool asked to wait before the next call, if any.
    """

    exit_code = Exit.UNAVAILABLE

    def __init__(
        self,
        tool: str,
        message: str,
        *,
        code: str = "tool-unavailable",
        hint: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.tool = tool
        self.retry_after = retry_after

    @property
    def is_outage(self) -> bool:
        """True when the tool may be back later: not when it is missing, or refuses the credentials."""
        return self.code != "tool-missing" and self.code not in MISCONFIGURED


class AuthenticationFailed(ToolUnavailable):
    """A tool refuses the credentials of the configuration. It is up, so no breaker counts this as an outage."""

    exit_code = Exit.BAD_INPUT

    def __init__(self, tool: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(
            tool,
            message,
            code="tool-auth",
            hint=hint or f"correct the credentials of {tool} (`tools: {tool}:` in config/, or the variables it reads)",
        )


class MissingDatabase(ToolUnavailable):
    """The server of a database is up, and does not have the database that the configuration names."""

    exit_code = Exit.BAD_INPUT

    def __init__(self, tool: str, message: str) -> None:
        super().__init__(
            tool,
            message,
            code="tool-database",
            hint=f"create the database, or correct its name in the address of {tool} (`tools: {tool}:` in config/, or "
            "the variables it reads)",
        )


class StepError(E2IError):
    """A step failed for a reason that the user can fix: data, parameters, a failed quality gate."""

    exit_code = Exit.STEP_FAILED

    def __init__(
        self, message: str, *, code: str = "step-failed", hint: str | None = None, details: object = None
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.details = details
