"""Recognize errors of the configuration: a wrong password, a missing or expired key, a database that is not there.

They are no statement about the service's health, and a retry does not help: the configuration must be corrected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

STATUSES = frozenset({401, 403, 407})
SQLSTATES = ("28", "42501")
"""PostgreSQL's codes: invalid authorization (class 28), insufficient privilege."""
CLASSES = frozenset({"AuthenticationError", "AuthorizationError", "NoPermissionError", "NoCredentialsError"})
"""Names of exceptions of redis and botocore."""
CODES = frozenset(
    {
        "AccessDenied",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidToken",
        "ExpiredToken",
        "TokenRefreshRequired",
    }
)
"""Error codes of S3."""
TEXTS = re.compile(
    r"password authentication failed|no password supplied|authentication failed|no pg_hba\.conf entry"
    r"|role \"[^\"]*\" does not exist|permission denied for (database|schema|table|relation)"
    r"|\b(NOAUTH|WRONGPASS|NOPERM)\b|AWS Error (ACCESS_DENIED|INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH)"
    r"|AWS Error UNKNOWN \(HTTP status 40[13]\)|failed with error code 40[13]\b"
    r"|google::cloud::Status\((PERMISSION_DENIED|UNAUTHENTICATED)\b"
)
"""Messages of PostgreSQL during the connection, when there is no code yet; of Redis, Arrow's S3 and Google Cloud
Storage, and MLflow of a proxy.
"""
LOCAL = ("sqlite3", "builtins")
NO_DATABASE = "3D000"
"""PostgreSQL's code for a database that does not exist."""
NO_DATABASE_TEXT = re.compile(r"\bdatabase \"[^\"]*\" does not exist")
"""Its message during the connection, when there is no code yet."""


def is_denial(error: BaseException) -> bool:
    """Returns True when an exception, or a cause of it, means that the service refuses the credentials."""
    return any(_is_denial(one) for one in chain(error))


def missing_database(error: BaseException) -> str | None:
    """Returns what the server says when an exception, or a cause of it, means that it does not have the database."""
    return next(filter(None, map(_missing_database, chain(error))), None)


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yields an exception, then its cause, the cause of that, and so on."""
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None:
            return
        yield seen
        seen = (
            seen.__cause__ or getattr(seen, "orig", None) or (None if seen.__suppress_context__ else seen.__context__)
        )


def _is_denial(error: BaseException) -> bool:
    if type(error).__module__ in LOCAL and not isinstance(error, OSError):
        return False
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & CLASSES or status_of(error) in STATUSES:
        return True
    if str(getattr(error, "sqlstate", None) or "").startswith(SQLSTATES) or _s3_code(error) in CODES:
        return True
    return TEXTS.search(str(error)[:2000]) is not None


def _missing_database(error: BaseException) -> str | None:
    if type(error).__module__ in LOCAL:
        return None
    if found := NO_DATABASE_TEXT.search(str(error)[:2000]):
        return found[0]
    return "there is no such database" if getattr(error, "sqlstate", None) == NO_DATABASE else None


def status_of(error: Any) -> int | None:
    """Returns the HTTP status of the response behind an exception, as the clients store it."""
    asked = getattr(error, "get_http_status_code", None)
    response = getattr(error, "response", None)
    for status in (
        getattr(error, "status_code", None),
        asked() if callable(asked) else None,
        getattr(response, "status_code", None),
        response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else None,
    ):
        if isinstance(status, int):
            return status
    return None


def _s3_code(error: Any) -> str:
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""
