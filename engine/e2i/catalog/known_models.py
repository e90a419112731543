"""What is known of models and reports before the run. In: what is known of several models. Out: of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from e2i.catalog.lineage import Rows


class KnownModel(Struct, frozen=True):
    """A model, or its service or registered version. None: not known."""

    target: str | None = None
    features: tuple[str, ...] | None = None
    task: str | None = None
    trained_on: Rows = Rows()
    algorithm: str | None = None
    binary: bool | None = None
    """Whether it has two classes, or its treatment two values; False: there are more, or it is an amount."""
    calibrated: bool | None = None
    threshold: bool | None = None
    """Whether a threshold was chosen for it."""
    level: float | bool | None = None
    """The level of its intervals; False: it has none, True: it has some of a level that is only known in a run."""
    quantile: float | bool | None = None
    """The quantile that it predicts; False: it predicts none."""
    query: str | None = None
    """The column of the queries of a ranking, which rows need to judge it."""
    fitted_on: tuple[Rows, ...] = ()
    """Rows that its calibration, threshold and intervals were fitted to."""
    one_of: tuple[KnownModel, ...] = ()
    """The models of which it is one that is only known in a run. Empty: it is no choice."""
    members: tuple[KnownModel, ...] = ()
    """The models that an ensemble combines."""
    judged_by: tuple[str, ...] = ()
    """Columns that rows need to judge its effects, besides its features and target, as far as a plan knows."""

    @property
    def known_rows(self) -> tuple[Rows, ...]:
        """The rows that it was trained on, and those of the members of an ensemble."""
        return (self.trained_on, *(rows for member in self.members for rows in member.known_rows))

    @property
    def fitted_rows(self) -> tuple[Rows, ...]:
        """The rows that something after its training was fitted to, also of the members of an ensemble."""
        return (*self.fitted_on, *(rows for member in self.members for rows in member.fitted_rows))


class KnownReport(Struct, frozen=True):
    """A report: the action that wrote it."""

    action: str


def chosen(models: Sequence[KnownModel]) -> KnownModel:
    """Returns the properties that all models share, with the models: the run chooses one of them."""
    if len(several := tuple(dict.fromkeys(models))) == 1:
        return several[0]
    tasks = {model.task for model in several if model.task}  # of different tasks none is chosen
    return KnownModel(
        target=_common({model.target for model in several}),
        features=_common({model.features for model in several}),
        task=_common(tasks),
        algorithm=_common({model.algorithm for model in several}),
        binary=_common({model.binary for model in several}),
        calibrated=_common({model.calibrated for model in several}),
        threshold=_common({model.threshold for model in several}),
        level=_common({model.level for model in several}),
        quantile=_common({model.quantile for model in several}),
        one_of=several,
    )


def _common(values: set[Any]) -> Any:
    return next(iter(values)) if len(values) == 1 else None
