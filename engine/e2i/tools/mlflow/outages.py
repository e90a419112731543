"""Classify MLflow's exceptions as outages (``ToolUnavailable``) or refusals (``StepError``)."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from json import JSONDecodeError

from e2i.errors import AuthenticationFailed, StepError, ToolUnavailable

OLD_SCHEMA = "out-of-date database schema"
REFUSALS = frozenset(
    {
        *("BAD_REQUEST", "INVALID_PARAMETER_VALUE"),
        *("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_LIMIT_EXCEEDED"),
    }
)
"""Errors with which MLflow itself rejects the data. Any other answer may be temporary."""
LOCKED_OUT = frozenset({"CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED", "UNAUTHENTICATED"})
IMPOSSIBLE = (errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EINVAL, errno.EILSEQ, errno.ELOOP)
"""Errors of a path that no later attempt changes."""
SAME_ROW = ("UNIQUE constraint failed", "duplicate key value")
"""Messages of SQLite and PostgreSQL for a row that already exists."""


@contextmanager
def translated() -> Iterator[None]:
    """Convert exceptions of calls to MLflow; also a decorator. One class means both "down" and "no such run"."""
    from google.protobuf.json_format import ParseError  # type: ignore[import-untyped]  # it has no stubs
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (RequestException, HTTPError, HTTPException, OSError, ParseError, JSONDecodeError, MemoryError) as error:
        if isinstance(error, FileNotFoundError):
            raise  # an error of an artifact, not of MLflow
        if isinstance(error, OSError) and error.errno in IMPOSSIBLE:
            raise StepError(f"the files cannot be stored: {error}"[:500], code="mlflow-refused") from error
        said = f"{type(error).__name__}: {error}"[:500]
        raise ToolUnavailable("mlflow", f"MLflow does not answer: {said}", hint="see `e2i doctor`") from error
    except MlflowException as error:
        message = (str(error).strip().splitlines() or [type(error).__name__])[0][:500]
        if OLD_SCHEMA in str(error):
            raise ToolUnavailable(
                "mlflow",
                "the MLflow database was made by another version of MLflow",
                code="mlflow-schema",
                hint="back it up, then run `mlflow db upgrade URI`; the embedded one is mlflow/mlflow.db in the store",
            ) from error
        if is_locked_out(error):
            raise AuthenticationFailed(
                "mlflow",
                f"MLflow refuses the credentials: {message}",
                hint="check its user, password or token; pending entries are delivered once they are right",
            ) from error
        if is_outage(error):
            raise ToolUnavailable("mlflow", f"MLflow does not answer: {message}", hint="see `e2i doctor`") from error
        raise StepError(f"MLflow refused: {message}", code="mlflow-refused") from error


def is_locked_out(error: BaseException) -> bool:
    """Return True when the server requires a user, a password or a token that was not sent."""
    from mlflow.exceptions import RestException

    if isinstance(error, RestException):
        return error.json.get("error_code") in LOCKED_OUT
    return any(f"failed with error code {status} " in str(error) for status in (401, 403))


def is_too_large(error: BaseException) -> bool:
    """Return True when a proxy in front of the server refuses a request of that size."""
    return "failed with error code 413 " in str(error)


def is_lost_race(error: BaseException) -> bool:
    """Return True when the same row was just written, for instance by an abandoned request that arrived late."""
    return any(said in str(error) for said in SAME_ROW)


def is_outage(error: BaseException) -> bool:
    """Return True when the server or the database is down, False for a refused request or invalid data.

    The database store wraps its driver's errors: a lost connection is TEMPORARILY_UNAVAILABLE, anything else is not.
    The client of a server raises a plain exception for a failed connection, otherwise a RestException with the status.
    """
    from mlflow.exceptions import MlflowException, RestException

    if not isinstance(error, MlflowException):
        return False
    if isinstance(error, RestException):
        return error.json.get("error_code") not in REFUSALS
    cause = error.__cause__ or error.__context__
    return (
        error.error_code == "TEMPORARILY_UNAVAILABLE"
        or str(error).startswith("API request to ")
        or bool(getattr(cause, "connection_invalidated", False))
    )
