"""Types of artifacts that steps pass to each other: references to stored data, as JSON, never the data itself.

In: digests and cheap facts. Out: frozen pydantic models, distinguished by ``type``.
"""

# Annotations are evaluated here: as text, pydantic would compile each of them at every start.
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class Column(BaseModel):
    """One column of a table: its name and its Arrow type, such as ``double`` or ``timestamp[us, tz=UTC]``."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str
    type: str


class Artifact(BaseModel):
    """A product of a step. ``digest`` identifies its content or, for an object in a service, its inputs."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    type: str
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class Stored(Artifact):
    """An artifact whose bytes are in the store, under its digest: one file, or one folder."""


class Table(Stored):
    """A table: an Arrow IPC file."""

    type: Literal["table"] = "table"
    columns: tuple[Column, ...]
    rows: int

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


class Model(Stored):
    """A fitted model: a folder with ``manifest.json`` and the library's own model file. Contains no pickle.

    ``classes`` are texts, the positive of two last. ``calibration``, ``threshold`` and ``level`` (of its intervals) are
    what was fitted after training; None: nothing.
    """

    type: Literal["model"] = "model"
    algorithm: str
    task: Literal["classification", "regression", "ranking"]
    target: str
    features: tuple[str, ...]
    classes: tuple[str, ...] | None = None
    calibration: str | None = None
    threshold: float | None = None
    level: float | None = None


class EffectModel(Stored):
    """What a treatment changes of an outcome, for each row: a folder of numbers. ``features`` are the modifiers."""

    type: Literal["effect_model"] = "effect_model"
    estimator: str
    treatment: str
    outcome: str
    features: tuple[str, ...]


class Report(Stored):
    """A file or a folder for viewing. ``entry`` is the file to open, relative to the folder ("" for one file)."""

    type: Literal["report"] = "report"
    media_type: str
    title: str
    entry: str = ""


class File(Stored):
    """A file as it is, such as one that was taken from a server. ``name`` has the suffix that tells its format."""

    type: Literal["file"] = "file"
    name: str
    bytes: int


class Recipe(Artifact):
    """How the features of a model are prepared: operations, which are fitted with the model. Fits nothing itself."""

    type: Literal["recipe"] = "recipe"
    steps: tuple[JsonValue, ...]


class Folds(Stored):
    """How the rows of a table are divided for cross-validation: an Arrow file with a column of roles for each split.

    ``table`` is the digest of the rows. ``by`` and ``time`` are the columns that the folds were made by, ``gap`` the
    time before each tested fold that is not trained on.
    """

    type: Literal["folds"] = "folds"
    table: str
    rows: int
    splits: int
    strategy: str
    by: str | None = None
    time: str | None = None
    gap: float = 0.0


class Study(Artifact):
    """An Optuna study in the study storage."""

    type: Literal["study"] = "study"
    name: str
    trials: int


class FeatureRepo(Artifact):
    """Feature definitions registered in Feast: each view with its feature names and its entity's join keys.

    ``requests``: on-demand view → columns that its function needs of a request. ``services``: feature service → its
    features, as ``view:feature``. ``existing``: it is the repository of the settings, not one of the store's own.
    """

    type: Literal["feature_repo"] = "feature_repo"
    project: str
    views: dict[str, tuple[str, ...]]
    join_keys: dict[str, tuple[str, ...]]
    requests: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    services: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    existing: bool = False


class ModelVersion(Artifact):
    """A version of a registered MLflow model. ``run`` is the MLflow run that logged it."""

    type: Literal["model_version"] = "model_version"
    name: str
    version: int
    uri: str
    run: str
    alias: str | None = None


class Bento(Artifact):
    """A Bento in BentoML's store, built from the model with digest ``model``."""

    type: Literal["bento"] = "bento"
    tag: str
    model: str


class Service(Artifact):
    """A running HTTP service on this machine. ``pid`` is its process group's leader."""

    type: Literal["service"] = "service"
    url: str
    pid: int
    kept: bool = False


class Endpoint(Artifact):
    """A named endpoint of deployed Bentos, on this machine or on BentoCloud. It outlives the run.

    ``bento`` was deployed, or moved to, last; it answers ``share`` percent of the requests.
    """

    type: Literal["endpoint"] = "endpoint"
    name: str
    url: str
    bento: str
    share: float = 100.0


ARTIFACTS: dict[str, type[Artifact]] = {
    "table": Table,
    "model": Model,
    "effect_model": EffectModel,
    "report": Report,
    "file": File,
    "recipe": Recipe,
    "folds": Folds,
    "study": Study,
    "feature_repo": FeatureRepo,
    "model_version": ModelVersion,
    "bento": Bento,
    "service": Service,
    "endpoint": Endpoint,
}


def holds_artifact(value: Any) -> bool:
    """Returns whether plain data contains what reads as an artifact."""
    if isinstance(value, dict):
        is_one = isinstance(kind := value.get("type"), str) and kind in ARTIFACTS and "digest" in value
        return is_one or any(map(holds_artifact, value.values()))
    return isinstance(value, list) and any(map(holds_artifact, value))


def read_artifacts(value: Any) -> Any:
    """Returns plain data with every artifact document turned into its type. Raises pydantic's ValidationError."""
    if isinstance(value, dict):
        kind = value.get("type")
        if isinstance(kind, str) and kind in ARTIFACTS and "digest" in value:
            return ARTIFACTS[kind].model_validate(value)
        return {key: read_artifacts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [read_artifacts(item) for item in value]
    return value
