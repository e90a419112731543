"""Recognises credentials in settings by their names: of settings, of URL arguments, and of connection string keys.

In: names and texts. Out: whether a name is that of a credential, the credentials in a text, and texts safe to show.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

_CREDENTIAL = re.compile(
    r"(^|[_.-])(password|passwd|passphrase|passcode|pass|pwd|pw|secret|token|jwt|pat|key|sig|signature|sas|auth|"
    r"authorization|cookies?|credentials?)$|(api|access|secret|private|account|shared)key$|sslpassword$"
)
_ACCOUNT = re.compile(r"(^|[_.-])(user|username|access_key_id)$")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PAIR = re.compile(r"(?:^|(?<=[;,&?\s]))(?P<name>[\w.-]+)=(?P<value>[^;,&\s]*)[;,&]?")
"""A key of a connection string, such as ``AccountKey=…;``."""
_LOGIN = re.compile(r"://([^/?#\s@:]*:([^/?#\s]+)@)")
"""The account and its password in an address."""
CONTAINERS = frozenset({"abfs", "abfss", "wasb", "wasbs"})
"""Schemes of URLs in which the part before the ``@`` is a container, not an account."""


def is_credential(name: str) -> bool:
    """Returns True when a setting of that name contains a password, a key or a token."""
    return _CREDENTIAL.search(_HUMP.sub("_", name).lower()) is not None


def is_private(name: str) -> bool:
    """Returns True when a setting of that name contains a credential, or the account of one."""
    return is_credential(name) or _ACCOUNT.search(_HUMP.sub("_", name).lower()) is not None


def found_in(text: str) -> Iterator[tuple[str, bool]]:
    """Yields the credentials in a URL or a connection string. False for one together with its account."""
    for account, password in _LOGIN.findall(text):
        yield account, False
        yield from ((password, True), (unquote(password), True))
    for pair in _PAIR.finditer(text):
        if is_credential(pair["name"]):
            yield from ((pair["value"], True), (unquote(pair["value"]), True))
    if "://" in text:
        yield from ((value, True) for name, value in _arguments(text) if is_credential(name))


def without(text: str) -> str:
    """Returns a URL or a connection string without user, password and secret arguments. Other text is unchanged."""
    if "://" not in text or _PAIR.match(text):
        return _PAIR.sub(lambda pair: "" if is_private(pair["name"]) else pair[0], text)
    try:
        parts = urlsplit(text)
    except ValueError:
        return text.rpartition("@")[2]
    account, _, host = parts.netloc.rpartition("@")
    if account and ":" not in account and parts.scheme.lower() in CONTAINERS:
        host = parts.netloc
    query = sorted((name, value) for name, value in _arguments(text) if not is_private(name))
    return urlunsplit((parts.scheme, host, parts.path, urlencode(query), ""))


def shown(value: Any, name: str = "") -> Any:
    """Returns a setting as a program may print it: without credentials in addresses, ``***`` for one of its own."""
    match value:
        case str():
            if value and is_credential(name):
                return "***"
            return without(value) if "://" in value or "=" in value else value
        case Mapping():
            return {key: shown(item, str(key)) for key, item in value.items()}
        case list() | tuple():
            return [shown(item, name) for item in value]
    return value


def _arguments(address: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(urlsplit(address).query, keep_blank_values=True)
    except ValueError:
        return []
