"""Check the addresses of servers and databases in the settings of tools. In: an address. Out: the same, or ValueError.

Client libraries read an address each in their own way, and an option in it can name another server, a file or a library
to load. So an address must mean one thing to all of them: a known scheme, one host, and only the listed options.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath
from urllib.parse import parse_qsl, unquote, urlsplit

HTTP = ("http", "https")
SQLITE = ("sqlite", "sqlite+pysqlite")
POSTGRESQL = ("postgresql", "postgresql+psycopg", "postgresql+psycopg2")
MYSQL = ("mysql", "mysql+pymysql", "mysql+mysqldb", "mysql+mysqlconnector")
MARIADB = ("mariadb", "mariadb+pymysql", "mariadb+mysqldb", "mariadb+mysqlconnector")
RELATIONAL = (
    *POSTGRESQL, "postgresql+pg8000", *MYSQL, *MARIADB, *SQLITE, "oracle", "oracle+oracledb", "mssql",
    "mssql+pyodbc", "mssql+pymssql",
)  # fmt: skip
"""Databases that SQLAlchemy reaches without a plug-in."""

_MYSQL = (
    "charset", "connect_timeout", "read_timeout", "ssl_ca", "ssl_cert", "ssl_key", "ssl_mode", "ssl_verify_cert",
    "ssl_verify_identity", "write_timeout",
)  # fmt: skip
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "postgresql": (
        "application_name", "channel_binding", "connect_timeout", "gssencmode", "sslcert", "sslkey", "sslmode",
        "sslrootcert", "target_session_attrs",
    ),
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "sqlite": ("timeout",),
    "oracle": ("service_name",),
    "mssql": ("ApplicationIntent", "Encrypt", "TrustServerCertificate", "charset", "driver", "tds_version"),
}  # fmt: skip
"""Kind of database → the options that its addresses may have. None of them names a server or code to load."""
_SECOND = frozenset(
    ("dsn", "failover_partner", "host", "hostaddr", "odbc_connect", "port", "server", "service", "servicefile",
     "unix_socket", "unix_sock")
)  # fmt: skip
"""Options that lead to another server than the address itself."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,40})://(.*)", re.DOTALL)
_PLACE = re.compile(r"(?P<host>\[[^\[\]]*\]|[^\[\]:]*)(?P<port>:[0-9]*)?")
_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_PLAIN = re.compile(r"[\w .+-]*")
"""Values of options: nothing with which the text of a driver could be left. Certificates are paths."""
_CERTIFICATES = frozenset(("ssl_ca", "ssl_cert", "ssl_key", "sslcert", "sslkey", "sslrootcert"))
_DATABASE = re.compile(r"/?[\w .$+-]*")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_METADATA = ipaddress.ip_address("fd00:ec2::254")
"""Where a cloud's machines ask for their credentials over IPv6; over IPv4 it is a link-local address."""

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def check(address: str, schemes: Collection[str]) -> str:
    """Returns the address. Raises ValueError naming the part that is wrong, without credentials.

    ``schemes`` are those that are accepted, such as ``POSTGRESQL``.
    """
    if not address.isprintable():
        raise ValueError("an address must not contain line breaks, control characters or unusual spaces")
    found = _SCHEME.fullmatch(address)
    if found is None:
        raise ValueError(f"an address begins with a scheme; write one of {_listed(schemes)}")
    scheme, rest = found.groups()
    if scheme not in schemes:
        raise ValueError(f"unknown scheme {scheme!r}; use one of {', '.join(schemes)}")
    kind = backend(scheme)
    if kind == "sqlite":
        _sqlite(rest)
    else:
        _server(address, kind)
    return address


def backend(scheme: str) -> str:
    """Returns the kind of server of a scheme, without its driver."""
    kind = scheme.partition("+")[0]
    return "postgresql" if kind == "postgres" else kind


def file(path: str) -> str:
    """Returns the path of a SQLite file. Raises ValueError for one that leads out of the workspace by ``..``.

    A relative path begins at the workspace. An absolute one may be anywhere: settings name databases, never specs.
    """
    if not path.isprintable():
        raise ValueError("the path of a database must not contain control characters")
    if not path or path.startswith((":memory:", "file:")) or path.endswith("/"):
        raise ValueError("the path must be that of a file; write sqlite:///data/x.db or sqlite:////srv/x.db")
    if ".." in PurePosixPath(path).parts:
        raise ValueError("the path of a database must not contain `..`; write an absolute path for a file elsewhere")
    return path


def host(name: str) -> str:
    """Returns the host as resolvers understand it. Raises ValueError for none, and for a link-local address.

    The name is resolved by the client, which must be checked there: only written addresses are known here.
    """
    found = canonical(name)
    address = _parsed(found)
    if address is None and (len(found) > 253 or not _NAME.fullmatch(found)):
        raise ValueError("the host is neither a name nor an address; write letters, digits, dots and - only")
    if address is not None and is_link_local(address):
        raise ValueError(f"the host is the link-local address {address}; write the server's own host")
    return found


def canonical(name: str) -> str:
    """Returns one spelling of a host: ``0x7f000001``, ``127.1`` and ``[::ffff:127.0.0.1]`` are all ``127.0.0.1``.

    So do the resolvers of the clients read it. Names are in lower case, without the dot at their end.
    """
    plain = name.removeprefix("[").removesuffix("]").lower()
    plain = plain.removesuffix(".") or plain
    address = _parsed(plain)
    if address is None:
        return plain
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def place(netloc: str) -> str:
    """Returns host and port of an address's authority without user and password, the host in its one spelling."""
    text = netloc.rpartition("@")[2]
    found = _PLACE.fullmatch(text)
    if found is None:
        return text.lower()
    name = canonical(found["host"])
    return (f"[{name}]" if ":" in name else name) + (found["port"] or "")


def is_link_local(address: IPAddress) -> bool:
    """Returns whether only the own machine's link has the address, also where IPv6 contains one of IPv4."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return inner.is_link_local
    return address.is_link_local or address == _METADATA


def _sqlite(rest: str) -> None:
    if not rest.startswith("/"):
        raise ValueError("a SQLite address has no host; write sqlite:///data/x.db or sqlite:////srv/x.db")
    path, _, query = rest[1:].partition("?")
    _options(query, "sqlite")
    file(path)


def _server(address: str, kind: str) -> None:
    if any(character.isspace() for character in address):
        raise ValueError("an address must not contain spaces; write %20")
    if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in unquote(address)):
        raise ValueError("an address must not contain control characters, also not in the form %0A")
    if "#" in address or "\\" in address:
        raise ValueError("an address must not contain # or \\; in a user or a password write %23 or %5C")
    try:
        parts = urlsplit(address)
    except ValueError:
        raise ValueError("the host in brackets is not an IPv6 address") from None
    if address.count("@") != parts.netloc.count("@") or parts.netloc.count("@") > 1:
        raise ValueError("an address has one @, before the host; in a user or a password write %40")
    _host_and_port(parts.netloc.rpartition("@")[2])
    if kind in OPTIONS:
        _options(parts.query, kind)
        _database(unquote(parts.path), kind)
    elif parts.query:
        raise ValueError("the address of a server has no options; leave out the ? and what follows it")


def _host_and_port(text: str) -> None:
    found = _PLACE.fullmatch(text)
    if "," in text or "%" in text:
        raise ValueError("an address has one host; it contains no comma and no %")
    if found is None or int((found["port"] or "")[1:] or 1) not in range(1, 65536):
        raise ValueError("the port is not a number from 1 to 65535; in a user or a password write / as %2F, ? as %3F")
    if not found["host"]:
        raise ValueError("the address has no host; write it after ://")
    host(found["host"])


def _options(query: str, kind: str) -> None:
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name.lower() in _SECOND:
            raise ValueError(f"the option {name!r} names a second server; write the host after ://")
        if name not in OPTIONS[kind]:
            raise ValueError(f"unknown option {name[:60]!r}; use one of {', '.join(OPTIONS[kind])}")
        if name not in _CERTIFICATES and not _PLAIN.fullmatch(value):
            raise ValueError(f"the option {name!r} must be letters, digits, spaces and . + - _ only")


def _database(path: str, kind: str) -> None:
    if not _DATABASE.fullmatch(path):
        raise ValueError("the name of the database must be letters, digits, spaces and . $ + - _ only")
    if kind == "mssql" and not path.removeprefix("/"):
        raise ValueError("the address has no database; write it after the host: without it, the host is a DSN")


def _parsed(name: str) -> IPAddress | None:
    """Returns the address that is written so, as inet_aton and inet_pton read it; None for a name."""
    if ":" in name:
        try:
            return ipaddress.IPv6Address(name)
        except ValueError:
            return None
    numbers = name.split(".")
    if len(numbers) > 4 or not all(map(_NUMBER.fullmatch, numbers)):
        return None
    try:
        *first, last = (_number(text) for text in numbers)
    except ValueError:
        return None
    width = 8 * (4 - len(first))
    if any(number > 255 for number in first) or last >= 1 << width:
        return None
    return ipaddress.IPv4Address(sum(number << (24 - 8 * index) for index, number in enumerate(first)) + last)


def _number(text: str) -> int:
    if text.lower().startswith("0x"):
        return int(text[2:], 16)
    return int(text, 8 if text.startswith("0") else 10)


def _listed(schemes: Collection[str]) -> str:
    return ", ".join(f"{scheme}://" for scheme in schemes)
