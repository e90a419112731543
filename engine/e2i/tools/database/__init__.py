"""The database tool: read tables from SQL databases and write tables to them. In: queries, tables. Out: the same.

A spec names a connection of the settings, never an address. Declarations only; ``actions`` does the work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from e2i.catalog import addresses, variables
from e2i.catalog.action import (
    Action,
    Effect,
    Outputs,
    Params,
    Place,
    SettingsModel,
    Tool,
    ToolSettings,
    host_and_port,
    without_credentials,
)
from e2i.catalog.artifacts import Table
from e2i.catalog.marks import NamedPlace
from e2i.tools.data.contract import TYPE

Name = Annotated[str, Field(min_length=1, max_length=500)]
TableName = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^.\x00]+(\.[^.\x00]+)?$")]
"""A table, or a schema and a table with a dot between them. Every other character is part of the name."""
Contract = Mapping[Name, Annotated[str, Field(pattern=TYPE)]]
Scalar = bool | Annotated[int, Field(ge=-(2**63), lt=2**63)] | float | str | None


SCHEMES = ("postgresql", "postgres", "sqlite")
LOCAL = "local"
"""The connection that needs no settings: a SQLite file in the store. The operator may name another file."""
LOCAL_FILE = "local.db"


class Connection(SettingsModel):
    """One database."""

    url: Annotated[
        SecretStr,
        Field(
            description="`postgresql://user:${PASSWORD}@host/database`; `sqlite:///data/shop.db`, relative to the "
            "workspace; `sqlite:////srv/shop.db`."
        ),
    ]
    read_only: Annotated[bool, Field(description="Whether steps may only read from it.")] = True
    statement_timeout: Annotated[
        float, Field(gt=0, le=86_400, description="Seconds that one statement may take, and each fetch of rows.")
    ] = 30.0

    @field_validator("url")
    @classmethod
    def _is_known(cls, url: SecretStr) -> SecretStr:
        text = url.get_secret_value()
        addresses.check(text, SCHEMES)
        if text.startswith("sqlite:") and "?" in text:
            raise ValueError("the address of a SQLite file has no options; write sqlite:///PATH alone")
        return url

    @property
    def file(self) -> str | None:
        """The path of a SQLite file; None for a server."""
        text = self.url.get_secret_value()
        return text.removeprefix("sqlite:///") if text.startswith("sqlite:") else None

    @property
    def host(self) -> str | None:
        return None if self.file else (host_and_port(self.url.get_secret_value()) or ("",))[0]

    @property
    def shown(self) -> str:
        """The address without credentials."""
        return without_credentials(re.sub(r"^postgres:", "postgresql:", self.url.get_secret_value()))


class Settings(ToolSettings):
    """Settings of databases."""

    connections: Annotated[
        Mapping[Name, Connection],
        Field(
            description="The databases that specs may use, by the name that they use. `local` is there without being "
            "named: a SQLite file in the store."
        ),
    ] = {}

    @field_validator("connections")
    @classmethod
    def _local_is_a_file(cls, connections: Mapping[str, Connection]) -> Mapping[str, Connection]:
        """Keep the types that a plan knows of what is read from ``local``."""
        if LOCAL in connections and connections[LOCAL].file is None:
            raise ValueError(f"the connection {LOCAL!r} is a SQLite file; give a server another name")
        return connections

    def places(self) -> Mapping[str, Place]:
        named = {name: Place(one.host, one.read_only) for name, one in self.connections.items()}
        return {LOCAL: Place(None), **named}

    def identity(self) -> Mapping[str, str]:
        return {name: one.shown for name, one in sorted(self.connections.items())}

    def identity_of(self, given: Mapping[str, Any]) -> Mapping[str, str]:
        name = str(given.get("connection"))
        found = self.connections.get(name)
        if found is None and name == LOCAL:
            return {}
        return self.identity() if found is None else {name: found.shown}

    def circuits(self) -> tuple[str, ...]:
        return tuple(sorted(self.connections))


class ReadParams(Params):
    """Parameters of ``database.read``."""

    connection: Annotated[Name, NamedPlace("connections"), Field(description="Name of the database in the settings.")]
    query: Annotated[str | None, Field(min_length=1, max_length=100_000, description="One SELECT; or set `table`.")] = (
        None
    )
    table: Annotated[TableName | None, Field(description="Table or view to read, as `name` or `schema.name`.")] = None
    params: Annotated[
        tuple[Scalar, ...],
        Field(description="Values for $1, $2 … of the query. They are sent beside its text, never put into it."),
    ] = ()
    columns: Annotated[
        Contract | None,
        Field(
            min_length=1,
            description="Columns to take, in order, with their types (string, integer, number, boolean, date, "
            "timestamp, decimal(P,S)): a contract that each value must keep. null: all, as the database has them.",
        ),
    ] = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.query is None) == (self.table is None):
            raise ValueError("takes either `query` or `table`")
        if self.params and self.query is None:
            raise ValueError("`params` are for a query")
        return self


class ReadOutputs(Outputs):
    """Outputs of ``database.read``."""

    table: Annotated[Table, Field(description="The rows, as they were at one moment.")]


class WriteParams(Params):
    """Parameters of ``database.write``."""

    table: Annotated[Table, Field(description="The rows to write.")]
    connection: Annotated[
        Name, NamedPlace("connections", written=True), Field(description="Name of the database in the settings.")
    ]
    into: Annotated[
        TableName, Field(description="Table to write to, as `name` or `schema.name`. It is created if it is missing.")
    ]
    mode: Annotated[
        Literal["replace", "append", "upsert"],
        Field(
            description="`replace`: the rows replace all others. `append`: they are added. `upsert`: they replace "
            "those with the same `key`, and are added otherwise."
        ),
    ]
    key: Annotated[
        tuple[Name, ...], Field(description="Columns that identify a row, for `upsert`. The table has them as its key.")
    ] = ()
    delivery: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=200,
            description="Name of this delivery. Equal rows are written once; under another name, once more.",
        ),
    ] = None

    @field_validator("into")
    @classmethod
    def _is_not_ours(cls, into: str) -> str:
        if into.rpartition(".")[2].lower().startswith("e2i_"):
            raise ValueError("names that begin with e2i_ are kept for the tables of deliveries")
        return into

    @model_validator(mode="after")
    def _key_fits_mode(self) -> Self:
        if (self.mode == "upsert") != bool(self.key):
            raise ValueError("mode upsert needs `key`" if self.mode == "upsert" else "`key` is for mode upsert")
        if len(set(self.key)) < len(self.key):
            raise ValueError("`key` names a column twice")
        return self


class WriteOutputs(Outputs):
    """Outputs of ``database.write``."""

    rows: Annotated[int, Field(description="Number of rows that were written.")]
    delivery: Annotated[str, Field(description="Key of the delivery, as in the table e2i_deliveries.")]


TOOL = Tool(
    name="database",
    summary="Reads tables from PostgreSQL and SQLite, and writes tables to them, once.",
    actions=(
        Action(
            "read",
            "Reads a table, or the result of a query, from a database of the settings. Looks in every run.",
            ReadParams,
            ReadOutputs,
            libraries=("adbc-driver-postgresql", "pyarrow"),
            always=True,
            columns=True,
        ),
        Action(
            "write",
            "Writes a table to a database of the settings: all rows in one transaction, exactly once.",
            WriteParams,
            WriteOutputs,
            effect=Effect.EXTERNAL,
            columns=True,
            verified=True,
        ),
    ),
    settings=Settings,
    distribution="adbc-driver-postgresql",
    extra="database",
    outages=("adbc_driver_manager.OperationalError",),
    variables=variables.POSTGRES,
    credentials=variables.POSTGRES_CREDENTIALS,
    imports=("pyarrow",),
)
