"""MLflow's exceptions go in; ``ToolUnavailable`` for an outage, or ``StepError`` for a refusal, comes out."""

from __future__ import annotations

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
"""What MLflow itself says against what it was sent. Any other answer may be better another time."""
LOCKED_OUT = frozenset({"CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED", "UNAUTHENTICATED"})
SAME_ROW = ("UNIQUE constraint failed", "duplicate key value")
"""What SQLite and PostgreSQL say of a row that is there already."""


@contextmanager
def translated() -> Iterator[None]:
    """Around calls to MLflow, or as a decorator. One class of MLflow's means both "down" and "no such run"."""
    from google.protobuf.json_format import ParseError  # type: ignore[import-untyped]  # it has no stubs
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (RequestException, HTTPError, HTTPException, OSError, ParseError, JSONDecodeError, MemoryError) as error:
        if isinstance(error, FileNotFoundError):
            raise  # of an artifact: it is no fault of MLflow's
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
                hint="check its user, password or token; what waits is delivered once they are right",
            ) from error
        if is_outage(error):
            raise ToolUnavailable("mlflow", f"MLflow does not answer: {message}", hint="see `e2i doctor`") from error
        raise StepError(f"MLflow refused: {message}", code="mlflow-refused") from error


def is_locked_out(error: BaseException) -> bool:
    """True when the server wants a user, a password or a token that it was not given."""
    from mlflow.exceptions import RestException

    if isinstance(error, RestException):
        return error.json.get("error_code") in LOCKED_OUT
    return any(f"failed with error code {status} " in str(error) for status in (401, 403))


def is_too_large(error: BaseException) -> bool:
    """True when a proxy in front of the server takes no request of that size."""
    return "failed with error code 413 " in str(error)


def is_lost_race(error: BaseException) -> bool:
    """True when somebody has just written the same row, such as a request that was given up and is carried out late."""
    return any(said in str(error) for said in SAME_ROW)


def is_outage(error: BaseException) -> bool:
    """True when the server or the database is down. A refused request, or a fault in what was sent, is none.

    The database store wraps its driver's errors: a lost connection is TEMPORARILY_UNAVAILABLE, anything else is not.
    The client of a server has a plain exception for a failed connection, a RestException with the status otherwise.
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
