"""The content of ``manifest.json``, which describes a saved model. Types only: nothing of it is imported in a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

if TYPE_CHECKING:
    from e2i.estimators.deciding import Calibration, Conformal
    from e2i.estimators.encoding import Feature
    from e2i.estimators.targets import Transformation


class Preparation(TypedDict):
    """What happens to features before they are encoded. ``features`` are the columns that the fitted steps make."""

    steps: list[Any]
    features: list[Feature]


class Manifest(TypedDict):
    """The description of a saved model, as ``manifest.json`` holds it.

    Version 2 has ``prepare``, version 3 one of ``calibration``, ``threshold``, ``conformal``, ``link`` and
    ``target_transform``, version 4 intervals between two more models, version 5 ``members``.
    """

    schema_version: int
    algorithm: str
    library: str
    task: str
    target: str
    classes: list[Any] | None
    encoding: str
    features: list[Feature]
    """Columns of the table."""
    prepare: NotRequired[Preparation]
    file: str
    """Name of the library's own file."""
    requirements: list[str]
    example: list[dict[str, Any]]
    """The first rows of the training table."""
    seed: int
    params: dict[str, Any]
    """Parameters of the algorithm."""
    target_center: float
    target_scale: float
    """The library was trained on the target minus the center, divided by the scale."""
    link: NotRequired[Literal["log"]]
    """What the library adds up is the logarithm of its predictions."""
    target_transform: NotRequired[Transformation]
    """The library was trained on the transformed target; the center and the scale are those of that."""
    group: NotRequired[str]
    """Column of the queries of a ranking, whose rows are ordered by the predicted scores."""
    objective: NotRequired[str]
    """What the library minimises for numbers, if not squared errors."""
    baseline: list[float]
    """The mean of the training target, or the shares of its classes."""
    explainer: NotRequired[Literal["tree", "linear"] | None]
    """Where exact SHAP values come from, of an algorithm that a plug-in added; None: nowhere."""
    calibration: NotRequired[Calibration]
    threshold: NotRequired[float]
    """Probability from which a row is of the positive class, of two."""
    constraint: NotRequired[dict[str, str]]
    """Limits of figures that the threshold was chosen within, such as ``recall: ">=0.8"``."""
    conformal: NotRequired[Conformal]
    members: NotRequired[list[str]]
    """Names of the models that an ensemble combines, whose folders are ``members/0``, ``members/1`` and so on."""
    sha256: NotRequired[str]
    """Digest of the library's own file, once it is written."""
