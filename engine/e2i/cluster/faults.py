"""Errors of a cluster as a whole: the run ends with exit code 4, and can be resumed."""

from __future__ import annotations

from e2i.errors import E2IError, Exit

AGAIN = "run the same command again when the cluster is back: finished steps are not repeated"


class ClusterGone(E2IError):
    """The cluster, or the storage that it shares with the engine, cannot be reached, or has no node for the plan."""

    exit_code = Exit.UNAVAILABLE

    def __init__(self, message: str, *, code: str = "cluster-gone", hint: str = AGAIN) -> None:
        super().__init__(message, code=code, hint=hint)
