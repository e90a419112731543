"""The Feast tool: parameters and outputs of its actions, and its settings. In: nothing. Out: ``TOOL``.

Terms are Feast's. An *entity* names a key. A *feature view* is a time-stamped table about an entity. The value of a
feature *at a point in time* is the newest value that was known then and is not older than the view's ttl.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from e2i.catalog import addresses, variables
from e2i.catalog.action import Action, Effect, Outputs, Params, Tool, ToolSettings, host_and_port, without_credentials
from e2i.catalog.artifacts import FeatureRepo, Report, Table
from e2i.catalog.marks import Code, WorkspaceFile

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$")]
Host = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", max_length=253), AfterValidator(addresses.host)
]
Word = Annotated[str, Field(pattern=r"^[^\s\x00-\x1f\x7f\\]+$")]
"""A name that is put into the options of a connection, between spaces."""
REGISTRIES = (*addresses.POSTGRESQL, *addresses.MYSQL, *addresses.SQLITE)
"""Schemes of the databases that Feast keeps a registry in."""
ViewName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}$")]
"""A view or a push source, which may be one of an existing repository."""
Reference = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}(:(\*|[^\s:*]+))?$")]
Features = Annotated[tuple[Reference, ...], Field(min_length=1)] | Reference
"""Features that a step asks for; ``selected`` returns them as a tuple."""
SELECTION = "view:feature, view (or view:*) for all of a view, or service:NAME for those of a feature service"
REPO = "Definitions, from feast.apply, or the existing repository, from feast.repository"
FeatureType = Literal["int32", "int64", "float32", "float64", "bool", "string", "timestamp"]
Value = str | int


class _Part(BaseModel):
    """Base of the nested models in parameters and settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class SqliteOnlineStore(_Part):
    """The embedded online store: one SQLite file per version of the definitions."""

    type: Literal["sqlite"] = "sqlite"


class RedisOnlineStore(_Part):
    """An online store on a Redis server."""

    type: Literal["redis"]
    host: Annotated[Host, Field(description="Host name or address of the server")]
    port: Annotated[int, Field(ge=1, le=65535, description="Port")] = 6379
    db: Annotated[int, Field(ge=0, description="Number of the Redis database")] = 0
    password: Annotated[SecretStr | None, Field(description="Password, if the server requires one")] = None
    ssl: Annotated[bool, Field(description="Connect with TLS")] = False

    @field_validator("password")
    @classmethod
    def _no_comma(cls, value: SecretStr | None) -> SecretStr | None:
        """Reject commas: Feast passes the password in a comma-separated connection string."""
        if value is not None and "," in value.get_secret_value():
            raise ValueError("a Redis password must not contain a comma, because Feast cannot pass it to Redis")
        return value


class PostgresOnlineStore(_Part):
    """An online store on a PostgreSQL server."""

    type: Literal["postgres"]
    host: Annotated[Host, Field(description="Host name or address of the server")]
    port: Annotated[int, Field(ge=1, le=65535, description="Port")] = 5432
    database: Annotated[str, Field(description="Database")]
    db_schema: Annotated[Word, Field(description="Schema")] = "public"
    user: Annotated[str, Field(description="User")]
    password: Annotated[SecretStr, Field(description="Password")]
    sslmode: Annotated[
        Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
        Field(description="TLS mode of libpq; a local server usually needs `disable`"),
    ] = "require"


class FileRegistry(_Part):
    """The embedded registry: one file per version of the definitions."""

    type: Literal["file"] = "file"


class SqlRegistry(_Part):
    """A registry in a SQL database, shared by several machines."""

    type: Literal["sql"]
    url: Annotated[SecretStr, Field(description="SQLAlchemy address, such as postgresql+psycopg://user:pw@host/db")]

    @field_validator("url")
    @classmethod
    def _is_a_database(cls, url: SecretStr) -> SecretStr:
        addresses.check(url.get_secret_value(), REGISTRIES)
        return url


class FeastSettings(ToolSettings):
    """Settings of the registry and the online store. The default is embedded: files inside the store."""

    deadline: Annotated[float, Field(gt=0, description="Timeout of one online read of up to 50 keys, in seconds")] = 1.0
    registry_deadline: Annotated[
        float,
        Field(gt=0, le=600, description="Timeout of connecting to a SQL registry, or of one query, in seconds"),
    ] = 5.0
    write_deadline: Annotated[
        float, Field(gt=0, le=3600, description="Timeout of writing up to 10,000 rows to a server, in seconds")
    ] = 30.0
    registry: Annotated[FileRegistry | SqlRegistry, Field(discriminator="type", description="The registry")] = (
        FileRegistry()
    )
    online_store: Annotated[
        SqliteOnlineStore | RedisOnlineStore | PostgresOnlineStore,
        Field(discriminator="type", description="The online store"),
    ] = SqliteOnlineStore()
    offline_store: Annotated[
        Literal["asof", "file"],
        Field(description="Engine of historical joins: e2i's sorted as-of join, or Feast's own file store (Dask)"),
    ] = "asof"
    offline_deadline: Annotated[
        float,
        Field(gt=0, description="Timeout of a program's historical join, push, materialization or statistics, seconds"),
    ] = 3_600.0
    repo_path: Annotated[
        str | None,
        Field(
            description="Existing Feast repository (a folder with feature_store.yaml) that feast.repository and "
            "programs use as it is; default: none, programs use the store's own"
        ),
    ] = None
    trusted: Annotated[
        bool,
        Field(description="Whether to load Python code of the registry of `repo_path`, and classes not of Feast"),
    ] = False

    @field_validator("repo_path", mode="before")
    @classmethod
    def _unset(cls, given: Any) -> Any:
        """Read an empty text, as of an environment variable that is not set, as none."""
        return None if given == "" else given

    def address(self) -> tuple[str, int] | None:
        store = self.online_store
        return None if isinstance(store, SqliteOnlineStore) else (addresses.canonical(store.host), store.port)

    def hosts(self) -> tuple[str, ...]:
        url = self.registry.url.get_secret_value() if isinstance(self.registry, SqlRegistry) else ""
        return tuple(sorted({one[0] for one in (self.address(), host_and_port(url)) if one}))

    def addresses(self) -> tuple[str, ...]:
        return super().addresses() if self.repo_path is None else (self.repo_path,)

    def identity(self) -> Mapping[str, Any]:
        found: dict[str, Any] = {} if self.repo_path is None else {"repository": self.repo_path}
        if isinstance(self.registry, SqlRegistry):
            found["registry"] = without_credentials(self.registry.url.get_secret_value())
        match self.online_store:
            case RedisOnlineStore() as redis:
                found["online_store"] = f"redis://{redis.host.lower()}:{redis.port}/{redis.db}"
            case PostgresOnlineStore() as postgres:
                endpoint = f"{postgres.host.lower()}:{postgres.port}/{postgres.database}/{postgres.db_schema}"
                found["online_store"] = f"postgresql://{endpoint}"
        return found


class EntityParams(_Part):
    """An entity: the key that features belong to."""

    join_key: Annotated[str | None, Field(description="Column with the key; default: the entity's name")] = None
    type: Annotated[Literal["string", "int64"], Field(description="Type of the key")] = "string"
    description: Annotated[str, Field(description="Description for readers")] = ""


class ViewParams(_Part):
    """A time-stamped table about one entity, or about a combination of entities."""

    table: Annotated[
        Table | None,
        Field(description="The rows: keys, timestamp and features. Not needed for a push view that starts empty"),
    ] = None
    entity: Annotated[
        Name | tuple[Name, ...], Field(description="The entity, or entities, whose join keys identify a row")
    ]
    timestamp: Annotated[str, Field(description="Column with the time from which a row's values are valid")]
    created: Annotated[
        str | None,
        Field(description="Column with the time at which a row became known, if that can be later than the timestamp"),
    ] = None
    ttl: Annotated[
        str | None,
        Field(
            pattern=r"^[1-9][0-9]{0,5}(s|m|h|d)$",
            description="Age after which a value expires, such as 2h or 120d; default: never",
        ),
    ] = None
    features: Annotated[
        tuple[str, ...] | dict[str, FeatureType] | None,
        Field(min_length=1, description="Columns that are features, or a mapping column → type; default: all others"),
    ] = None
    push: Annotated[bool, Field(description="Whether feast.push may add rows: a stream view with a push source")] = (
        False
    )
    description: Annotated[str, Field(description="Description for readers")] = ""
    tags: Annotated[dict[str, str], Field(description="Tags of the view in the registry", default_factory=dict)]

    @model_validator(mode="after")
    def _has_rows_or_types(self) -> Self:
        if self.table is None and not (self.push and isinstance(self.features, dict)):
            raise ValueError("set `table`, or `push: true` and `features` as a mapping of features to types")
        return self


class OnDemandParams(_Part):
    """Features that a function of the workspace computes from others when they are asked for."""

    file: Annotated[
        str,
        WorkspaceFile(code=True),
        Field(
            pattern=r"^[A-Za-z0-9_][A-Za-z0-9_/.-]{0,200}\.py$",
            description="Python file in the workspace. It imports installed libraries only",
        ),
    ]
    function: Annotated[
        str,
        Code(),
        Field(
            pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$",
            description="Function that takes a pandas frame with the inputs, and returns one with the features",
        ),
    ]
    inputs: Annotated[
        tuple[Reference, ...], Field(min_length=1, description="Features that it needs, as view:feature or view")
    ]
    request: Annotated[
        dict[str, FeatureType],
        Field(
            description="Columns that it needs of the rows that features are asked for, and their types",
            default_factory=dict,
        ),
    ]
    features: Annotated[dict[str, FeatureType], Field(min_length=1, description="Computed features and their types")]
    description: Annotated[str, Field(description="Description for readers")] = ""


class ApplyParams(Params):
    project: Annotated[Name, Field(description="Feast project: the namespace of entities and views")]
    entities: Annotated[dict[Name, EntityParams], Field(min_length=1, description="Entities by name")]
    views: Annotated[dict[Name, ViewParams], Field(min_length=1, description="Feature views by name")]
    on_demand: Annotated[
        dict[Name, OnDemandParams], Field(description="On-demand feature views by name", default_factory=dict)
    ]
    services: Annotated[
        dict[Name, Features],
        Field(
            description="Feature services by name: the features that a model needs, for `features: service:NAME`",
            default_factory=dict,
        ),
    ]
    tags: Annotated[dict[str, str], Field(description="Tags of every view in the registry", default_factory=dict)]


class ApplyOutputs(Outputs):
    repo: Annotated[FeatureRepo, Field(description="The registered definitions with their data, at this version")]
    features: Annotated[int, Field(description="Number of registered features")]


class HistoricalFeaturesParams(Params):
    repo: Annotated[FeatureRepo, Field(description=REPO)]
    table: Annotated[Table, Field(description="Rows to add features to: join keys and a timestamp")]
    timestamp: Annotated[str, Field(description="Column of the table with the point in time of each row")]
    features: Annotated[Features, Field(description=f"{SELECTION}; one, or a list")]
    keep: Annotated[
        tuple[str, ...] | None, Field(description="Columns of the table to keep besides the features; default: all")
    ] = None
    created_cutoff: Annotated[
        bool,
        Field(
            description="Ignore values whose `created` time is after the row's point in time. Late corrections "
            "would be leakage. Where the offline store of an existing repository cannot, the step warns."
        ),
    ] = True
    full_feature_names: Annotated[bool, Field(description="Name feature columns view__feature")] = False


class HistoricalFeaturesOutputs(Outputs):
    table: Annotated[Table, Field(description="One row per input row, in input order; null where no value was known")]
    coverage: Annotated[dict[str, float], Field(description="View → fraction of rows with at least one value, 0 to 1")]


class MaterializeParams(Params):
    repo: Annotated[FeatureRepo, Field(description=REPO)]
    views: Annotated[
        tuple[ViewName, ...] | None, Field(min_length=1, description="Views to publish; default: all that have rows")
    ] = None
    start: Annotated[
        AwareDatetime | None,
        Field(
            description="Oldest values to publish; default: `end` minus the view's ttl, or the oldest value in the data"
        ),
    ] = None
    end: Annotated[
        AwareDatetime | None, Field(description="Newest values to publish; default: the newest time in the data")
    ] = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.start is not None and self.end is not None and self.start > self.end:
            raise ValueError("start is after end")
        return self


class Published(_Part):
    """Result of publishing one view to the online store."""

    rows: Annotated[int, Field(description="Rows of the view's data within the window")]
    keys: Annotated[int, Field(description="Distinct keys written, each with its newest row")]


class MaterializeOutputs(Outputs):
    until: Annotated[str, Field(description="The point in time that the online store now reflects, ISO 8601, UTC")]
    views: Annotated[dict[str, Published], Field(description="Result of publishing, by view")]


class OnlineFeaturesParams(Params):
    repo: Annotated[FeatureRepo, Field(description=REPO)]
    features: Annotated[Features, Field(description=f"{SELECTION}; one, or a list")]
    entities: Annotated[
        tuple[dict[str, Value | None], ...] | None,
        Field(min_length=1, max_length=100_000, description="Keys to look up, each a mapping join key → value"),
    ] = None
    table: Annotated[Table | None, Field(description="A table with the join keys, instead of `entities`")] = None
    rows: Annotated[
        int,
        Field(
            ge=1,
            le=100_000,
            description="With `table`: number of distinct keys to look up, from the start of the table",
        ),
    ] = 10
    missing: Annotated[
        Literal["null", "error"], Field(description="Result for a key without any value: nulls, or a failed step")
    ] = "null"
    full_feature_names: Annotated[bool, Field(description="Name features view__feature")] = False
    until: Annotated[
        str | None,
        Field(
            description="Output of feast.materialize, or `online` of feast.repository. The lookup runs after it, and "
            "again when other values were published."
        ),
    ] = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.entities is None) == (self.table is None):
            raise ValueError("set either `entities` or `table`")
        return self


class OnlineFeaturesOutputs(Outputs):
    rows: Annotated[
        list[dict[str, str | int | float | bool | None]],
        Field(description="Keys and features, in the order of the request"),
    ]
    table: Annotated[Table, Field(description="The same values as a table")]


class RepositoryParams(Params):
    require: Annotated[
        tuple[Reference, ...],
        Field(description="Features, views or services that the repository must have; else the step fails"),
    ] = ()


class RepositoryOutputs(Outputs):
    repo: Annotated[FeatureRepo, Field(description="The existing repository of the settings, as it is now")]
    online: Annotated[
        str, Field(description="State of its online store: as `until` of a lookup, it is repeated when that changes")
    ]


class PushParams(Params):
    repo: Annotated[FeatureRepo, Field(description=REPO)]
    view: Annotated[ViewName, Field(description="View that takes the rows, or push source of one or more views")]
    table: Annotated[
        Table, Field(description="The rows: keys, time and every feature of the view. Other columns are left out")
    ]


class PushOutputs(Outputs):
    repo: Annotated[FeatureRepo, Field(description="The repository with these rows: later steps refer to it")]
    rows: Annotated[int, Field(description="Number of rows in the table")]
    views: Annotated[list[str], Field(description="Views that took the rows")]


class Period(_Part):
    """A period of time, of which both ends count."""

    start: Annotated[AwareDatetime | None, Field(description="First time; default: the oldest row")] = None
    end: Annotated[AwareDatetime | None, Field(description="Last time; default: the newest row")] = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.start is not None and self.end is not None and self.start > self.end:
            raise ValueError("start is after end")
        return self


class StatisticsParams(Params):
    repo: Annotated[FeatureRepo | None, Field(description=f"{REPO}; with `view`, instead of `table`")] = None
    view: Annotated[ViewName | None, Field(description="View whose rows are described")] = None
    table: Annotated[Table | None, Field(description="Rows to describe, instead of `repo` and `view`")] = None
    features: Annotated[
        tuple[str, ...] | None,
        Field(min_length=1, description="Columns to describe; default: all"),
    ] = None
    timestamp: Annotated[
        str | None, Field(description="Column with the time of a row of `table`, for periods; a view knows its own")
    ] = None
    period: Annotated[Period | None, Field(description="Describe the rows of this period only")] = None
    reference: Annotated[Table | None, Field(description="Rows to compare with, such as those of the training")] = None
    reference_period: Annotated[
        Period | None, Field(description="Compare with the rows of this period, instead of `reference`")
    ] = None
    max_psi: Annotated[
        float | None,
        Field(gt=0, description="Largest population stability index; above 0.25 is usually called drift"),
    ] = None
    max_ks: Annotated[
        float | None, Field(gt=0, le=1, description="Largest Kolmogorov-Smirnov statistic of numbers, 0 to 1")
    ] = None
    on_drift: Annotated[
        Literal["fail", "warn"], Field(description="Result of a feature beyond a limit: a failed step, or a warning")
    ] = "fail"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.table is None) == (self.repo is None) or (self.repo is None) != (self.view is None):
            raise ValueError("set either `table`, or `repo` and `view`")
        if self.reference is not None and self.reference_period is not None:
            raise ValueError("set either `reference` or `reference_period`")
        if (self.max_psi or self.max_ks) and self.reference is None and self.reference_period is None:
            raise ValueError("a limit needs `reference` or `reference_period`")
        if self.table is not None and self.timestamp is None and (self.period or self.reference_period):
            raise ValueError("periods of a table need `timestamp`")
        return self


class StatisticsOutputs(Outputs):
    table: Annotated[
        Table,
        Field(
            description="One row per feature: count (rows), nulls, distinct, mean, deviation, min, max, quantiles, and "
            "psi, ks, ks_p_value and drifted against the reference. Times are seconds since 1970"
        ),
    ]
    histograms: Annotated[
        dict[str, dict[str, list[float | int | str]]],
        Field(description="Feature → counts, with edges (numbers) or values (text: the 50 most frequent)"),
    ]
    drifted: Annotated[list[str], Field(description="Features beyond a limit")]
    report: Annotated[Report, Field(description="One HTML page with the figures and a histogram of each feature")]


TOOL = Tool(
    name="feast",
    summary="Feature store: point-in-time correct training data, and the same features online.",
    settings=FeastSettings,
    distribution="feast",
    extra="feast",
    outages=(
        "redis.exceptions.ConnectionError",
        "redis.exceptions.TimeoutError",
        "redis.exceptions.InvalidResponse",
        "psycopg.OperationalError",
        "psycopg_pool.PoolTimeout",
        "sqlalchemy.exc.OperationalError",
        "sqlite3.OperationalError",
    ),
    imports=("e2i.tools.feast.sdk",),
    variables=variables.POSTGRES,
    credentials=variables.POSTGRES_CREDENTIALS,
    actions=(
        Action(
            name="apply",
            summary="Registers entities and feature views over tables, as one immutable version of a project.",
            params=ApplyParams,
            outputs=ApplyOutputs,
            effect=Effect.EXTERNAL,
            libraries=("feast", "pyarrow"),
            columns=True,
            verified=True,
        ),
        Action(
            name="historical_features",
            summary="Adds to each row of a table the feature values that were known at that row's point in time.",
            params=HistoricalFeaturesParams,
            outputs=HistoricalFeaturesOutputs,
            version=2,
            libraries=("feast", "pandas"),
            columns=True,
        ),
        Action(
            name="materialize",
            summary="Publishes the newest feature values of every key to the online store.",
            params=MaterializeParams,
            outputs=MaterializeOutputs,
            effect=Effect.EXTERNAL,
            privilege="publish_features",
            libraries=("feast",),
            columns=True,
            verified=True,
        ),
        Action(
            name="online_features",
            summary="Looks up the published feature values of given keys, as a service would.",
            params=OnlineFeaturesParams,
            outputs=OnlineFeaturesOutputs,
            version=2,
            libraries=("feast",),
            columns=True,
        ),
        Action(
            name="repository",
            summary="Looks at the existing Feast repository that the settings name, for the other actions to use.",
            params=RepositoryParams,
            outputs=RepositoryOutputs,
            libraries=("feast",),
            always=True,
            columns=True,
        ),
        Action(
            name="push",
            summary="Writes rows of a view offline and online. Rows that it has already are not written again.",
            params=PushParams,
            outputs=PushOutputs,
            effect=Effect.EXTERNAL,
            privilege="publish_features",
            libraries=("feast",),
            always=True,
            columns=True,
        ),
        Action(
            name="statistics",
            summary="Describes features, and compares them with a reference: drift above a limit fails the step.",
            params=StatisticsParams,
            outputs=StatisticsOutputs,
            libraries=("feast", "numpy", "pyarrow"),
            gate=True,
            columns=True,
        ),
    ),
)


def selected(features: Features) -> tuple[str, ...]:
    """Return the features that a step asks for, as a tuple."""
    return (features,) if isinstance(features, str) else features
