"""Addresses mean one thing to every client: one host, known schemes, listed options."""

from __future__ import annotations

import re
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from e2i.catalog import addresses
from e2i.catalog.action import host_and_port, without_credentials
from e2i.catalog.registry import BUILT_IN
from e2i.settings import Settings

HOSTILE = (
    "{scheme}://127.0.0.1/db\r\nX: 1",
    "{scheme}://127.0.0.1/db%0d%0aX",
    "{scheme}://127.0.0.1/d b",
    "{scheme}://127.0.0.1/db?host=169.254.169.254",
    "{scheme}://127.0.0.1/db?hostaddr=169.254.169.254",
    "{scheme}://u:p@10.0.0.5/db?service=x&passfile=/etc/passwd",
    "{scheme}://10.0.0.5/db?sslmode=require&passfile=/etc/passwd",
    "{scheme}://169.254.169.254/db",
    "{scheme}://0xa9fea9fe/db",
    "{scheme}://169.254.43518/db",
    "{scheme}://[::ffff:169.254.169.254]/db",
    "{scheme}://[64:ff9b::a9fe:a9fe]/db",
    "{scheme}://[fe80::1]/db",
    "{scheme}://[fd00:ec2::254]/db",
    "{scheme}://169.254.169.254./db",
    "{scheme}://127.0.0.1,169.254.169.254/db",
    "{scheme}://127.0.0.1,169.254.169.254:5432/db",
    "{scheme}://169.254.169%2e254/db",
    "{scheme}://%2Ftmp%2Fsocket/db",
    "{scheme}:///db",
    "{scheme}:///db?host=/tmp",
    "{scheme}://good#@169.254.169.254/db",
    "{scheme}://good?@169.254.169.254/db",
    "{scheme}://good/@169.254.169.254/db",
    "{scheme}://u:p@good@169.254.169.254/db",
    "{scheme}://good\\@169.254.169.254/db",
    "{scheme}://\uff11\uff16\uff19.254.169.254/db",
    "{scheme}://a..b/db",
    "{scheme}://db:99999/db",
    "{scheme}://db:x/db",
    "{scheme}://db/x/../../y",
    "{scheme}://db/x?options=-csearch_path%3Dx",
    "{scheme}://db/\ud800",
)
SQLITE = (
    "sqlite:///../../x.db",
    "sqlite:///a/../../x.db",
    "sqlite:////srv/../etc/x.db",
    "sqlite:///x.db?mode=rwc",
    "sqlite:///file:/etc/passwd?uri=true",
    "sqlite:///file:x.db",
    "sqlite:///:memory:",
    "sqlite://",
    "sqlite://host/x.db",
    "sqlite:///x\n.db",
    "sqlite:///x\x00.db",
)
SETTINGS: dict[str, Any] = {
    "mlflow": lambda address: {"tracking_uri": address},
    "optuna": lambda address: {"study_storage": address},
    "feast": lambda address: {"registry": {"type": "sql", "url": address}},
    "great_expectations": lambda address: {"datasources": {"w": {"type": "postgresql", "url": address}}},
    "database": lambda address: {"connections": {"w": {"url": address}}},
}


def made(tool: str, given: dict[str, Any]) -> Any:
    found = BUILT_IN.tool(tool)
    assert found is not None
    return found.settings.model_validate(given)


def configured(tool: str, address: str) -> Any:
    return made(tool, SETTINGS[tool](address))


@pytest.mark.parametrize("tool", SETTINGS)
@pytest.mark.parametrize("address", [*(one.format(scheme="postgresql") for one in HOSTILE), *SQLITE])
def test_no_tool_accepts_an_address_that_leads_elsewhere(tool: str, address: str) -> None:
    with pytest.raises(ValidationError):
        configured(tool, address)


@pytest.mark.parametrize("tool", SETTINGS)
@pytest.mark.parametrize(
    "address",
    [
        "postgresql://db",
        "postgresql://u:p%40s%2Fs@db.example.com:5433/my-db?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        "postgresql://u@[::1]:5432/db?application_name=a+b",
    ],
)
def test_every_tool_accepts_an_ordinary_address(tool: str, address: str) -> None:
    configured(tool, address)


@pytest.mark.parametrize(
    ("tool", "address"),
    [
        ("optuna", "mysql+pymysql://u@evil.test/db?local_infile=1"),
        ("optuna", "mysql://u@h/db?read_default_file=/etc/my.cnf"),
        ("optuna", "mysql://u@h/db?unix_socket=/tmp/x"),
        ("optuna", "mysql://u@h/db?init_command=x"),
        ("optuna", "mssql+pyodbc://u@h/db?driver=/tmp/evil.so"),
        ("optuna", "mssql+pyodbc://u@h/db?odbc_connect=Server%3Devil"),
        ("optuna", "mssql+pyodbc://u@h/db?driver=x&Server=evil"),
        ("optuna", "mssql+pyodbc://dsn"),
        ("optuna", "oracle+oracledb://h/?service_name=x)(HOST%3Devil"),
        ("optuna", "shillelagh://h/db"),
        ("feast", "mysql+pymysql://u@evil.test/db?local_infile=1"),
        ("feast", "mssql+pyodbc://u@h/db"),
        ("mlflow", "http://169.254.169.254/latest/meta-data/iam/"),
        ("mlflow", "http://host/\r\nX-Injected: 1"),
        ("mlflow", "http://host/?a=b"),
        ("opik", "http://2852039166/api"),
        ("great_expectations", "mysql://u@h/db"),
        ("database", "postgresql+psycopg://h/db"),
    ],
)
def test_an_option_or_scheme_that_is_not_listed_is_refused(tool: str, address: str) -> None:
    with pytest.raises(ValidationError):
        made(tool, {"url": address} if tool == "opik" else SETTINGS[tool](address))


@pytest.mark.parametrize(
    "address",
    [
        "mysql://u:p@h/db",
        "mysql+pymysql://u:p@h:3306/db?charset=utf8mb4&ssl_ca=/etc/ca.pem",
        "mariadb+mysqldb://h/db",
        "oracle+oracledb://u:p@h:1521/?service_name=XEPDB1",
        "mssql+pyodbc://u:p@h/db?driver=ODBC+Driver+18+for+SQL+Server&Encrypt=yes",
        "mssql+pymssql://u:p@h/db",
        "postgresql+pg8000://h/db",
        "sqlite:///studies.db",
        "sqlite:////srv/my studies/x.db?timeout=3",
        "sqlite+pysqlite:////srv/x.db",
    ],
)
def test_optuna_takes_any_relational_database(address: str) -> None:
    assert configured("optuna", address).study_storage.get_secret_value() == address


@pytest.mark.parametrize("store", ["redis", "postgres"])
@pytest.mark.parametrize("host", ["169.254.169.254", "0xa9fea9fe", "2852039166", "169.254.169.254.x,y", "a..b"])
def test_an_online_store_is_on_one_host_that_is_not_link_local(store: str, host: str) -> None:
    given = {"type": store, "host": host, "database": "d", "user": "u", "password": "p"}
    if store == "redis":
        del given["database"], given["user"]
    with pytest.raises(ValidationError):
        made("feast", {"online_store": given})


def test_the_schema_of_an_online_store_cannot_add_options() -> None:
    given = {"type": "postgres", "host": "h", "database": "d", "user": "u", "password": "p"}
    with pytest.raises(ValidationError):
        made("feast", {"online_store": {**given, "db_schema": "x -c role=admin"}})


@pytest.mark.parametrize("path", ["../x.db", "/srv/../x.db", ":memory:", "x\x00.db", "file:x"])
def test_a_sqlite_datasource_stays_in_the_workspace_unless_it_is_absolute(path: str) -> None:
    made("great_expectations", {"datasources": {"w": {"type": "sqlite", "path": "/srv/x.db"}}})
    with pytest.raises(ValidationError):
        made("great_expectations", {"datasources": {"w": {"type": "sqlite", "path": path}}})


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("postgresql://h/db?host=x", "'host' names a second server"),
        ("mysql://h/db?local_infile=1", "unknown option 'local_infile'; use one of charset"),
        ("redis://h/db", "unknown scheme 'redis'; use one of postgresql"),
        ("u:hunter2@h", "begins with a scheme"),
        ("postgresql://u:hunter2@0xa9fea9fe/d", "link-local address 169.254.169.254"),
        ("postgresql://u:hunter2/x@h/d", "write %40"),
        ("postgresql://u:hunter2", "port is not a number"),
        ("postgresql:///d", "write it after ://"),
        ("sqlite:///../x.db", "write an absolute path"),
    ],
)
def test_the_message_names_the_part_and_what_to_write_without_a_password(address: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)) as caught:
        addresses.check(address, addresses.RELATIONAL)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "spelling",
    ["127.0.0.1", "127.1", "0x7f000001", "0x7F.1", "2130706433", "017700000001", "0177.0.0.1", "[::ffff:127.0.0.1]",
     "[::FFFF:7f00:1]", "127.0.0.1."],
)  # fmt: skip
def test_odd_spellings_of_an_address_are_the_address_that_the_resolver_finds(spelling: str) -> None:
    assert host_and_port(f"postgresql://u:p@{spelling}/db") == ("127.0.0.1", 5432)
    assert without_credentials(f"http://u:p@{spelling}:80/x") == "http://127.0.0.1/x"


def test_odd_spellings_of_a_name_and_of_ipv6_are_one() -> None:
    assert host_and_port("http://LocalHost.:5000/") == ("localhost", 5000)
    assert host_and_port("http://[0:0::1]:5000/") == ("::1", 5000)
    assert without_credentials("http://[0:0::1]:5000/") == "http://[::1]:5000"
    assert addresses.canonical("256.1.1.1") == "256.1.1.1"
    assert addresses.canonical("09.1") == "09.1"


@given(st.lists(st.tuples(st.sampled_from(("{}", "0x{:x}", "0{:o}")), st.integers(0, 300)), min_size=1, max_size=4))
def test_numbers_are_read_as_the_resolver_reads_them(parts: list[tuple[str, int]]) -> None:
    text = ".".join(form.format(number) for form, number in parts)
    try:
        expected = socket.inet_ntoa(socket.inet_aton(text))
    except OSError:
        expected = text
    assert addresses.canonical(text) == expected


def test_the_policy_sees_the_host_that_the_client_reaches() -> None:
    settings = Settings(tools={"optuna": {"study_storage": "postgresql://u@0x0a000005/db"}})
    assert settings.tool("optuna").address() == ("10.0.0.5", 5432)
    assert settings.tool("optuna").hosts() == ("10.0.0.5",)


@pytest.mark.parametrize(
    ("tool", "given", "hosts"),
    [
        ("mlflow", {"tracking_uri": "http://one:1", "registry_uri": "http://Two.:2"}, ("one", "two")),
        ("mlflow", {"registry_uri": "http://two"}, ("two",)),
        ("mlflow", {"tracking_uri": "sqlite:///x.db"}, ()),
        ("feast", {"registry": {"type": "sql", "url": "postgresql://R/x"}}, ("r",)),
        (
            "feast",
            {
                "registry": {"type": "sql", "url": "postgresql://r/x"},
                "online_store": {"type": "redis", "host": "127.1"},
            },
            ("127.0.0.1", "r"),
        ),
        ("database", {}, ()),
    ],
)
def test_every_server_of_a_tool_is_one_of_its_hosts(tool: str, given: dict[str, Any], hosts: tuple[str, ...]) -> None:
    assert made(tool, given).hosts() == hosts
