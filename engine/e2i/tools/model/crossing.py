"""Cross-validate: fit and judge a model in each split. In: rows, folds and a request. Out: metrics and predictions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators import algorithms, intervals, learning, metrics, ranking, saved, sketch
from e2i.estimators.folding import TEST, TRAIN
from e2i.estimators.request import Request, codes, require_classes
from e2i.estimators.rounds import typical
from e2i.tools.model.params.training import CrossValidateParams, Figures
from e2i.tools.model.searching import Chosen, Searching

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.fitting import Fitted
    from e2i.estimators.folding import Roles
    from e2i.estimators.scoring import Matrix


class Crossing:
    """One model in each split, and one of all rows."""

    def __init__(self, params: CrossValidateParams, ctx: StepContext) -> None:
        from e2i.estimators import schema

        self.params = params
        self.frame = ctx.frame(params.table)
        self.threads = ctx.threads
        self.groups = None if params.folds.by is None else codes(self.frame[params.folds.by])
        asked = Request.of(params, ctx.seed if params.seed is None else params.seed)
        self.task, self.classes = schema.goal(
            self.frame, params.target, params.algorithm, task=asked.task, positive=params.positive
        )
        self.request = replace(asked, task=self.task)
        self.searching = None if params.search is None else Searching(params, params.search, self.request, self.threads)
        self.searched: list[dict[str, Any]] = []
        """For each split that is judged, the hyperparameters and choices that a search has found."""
        self.counted = algorithms.of(params.algorithm).rounds
        """The hyperparameter that is the number of rounds; empty for an algorithm without."""
        self.rounds: list[int] = []
        """For each split that is judged, the rounds of its model, when it is stopped early."""
        self.constants: list[dict[str, float]] = []
        """For each split that is judged, the metrics of the best constant answer to its training rows."""
        self.names = [metrics.choose(name, self.task) for name in params.metrics or ()]

    def fit(self, places: Matrix | None = None, tested: Matrix | None = None) -> tuple[Fitted, Chosen]:
        """Return the model of these rows, in positions, and what was chosen for it. Raises StepError.

        Without ``places`` it is the model that is kept, of all rows.

        ``tested`` are the positions of the rows that stop the fit early, unless a search has found the number of rounds
        by rows of its own. Without them it is the typical one of the splits.
        """
        from e2i.estimators import fitting

        rows = self.frame if places is None else self.frame.iloc[places]
        require_classes(rows[self.params.target], self.classes, "training rows")
        groups = self.groups if self.groups is None or places is None else self.groups[places]
        chosen, request = Chosen(dict(self.params.params)), self.request
        if self.searching is not None:
            chosen = self.searching.best(rows, groups)
            request = self.searching.request(chosen.recipe)
        stop = None if self.searching is not None else self.params.early_stopping
        if stop is not None and places is None:
            chosen.params[self.counted] = typical(self.rounds)
        held_out = None if stop is None or tested is None else self.frame.iloc[tested]
        is_kept = places is None
        prepared = request.prepare(
            rows, held_out, threads=self.threads, groups=groups, suspicions=is_kept, sketched=is_kept
        )
        del rows, held_out  # a fit needs the memory
        watch = None if stop is None or is_kept else learning.watch(stop, self.task, prepared.loss)
        fitted = fitting.fit(prepared, chosen.params, seed=self.request.seed, threads=self.threads, watch=watch)
        return fitted, chosen if watch is None else Chosen({**chosen.params, self.counted: watch.keep})

    def judged(self, splits: Sequence[Roles]) -> Iterator[tuple[dict[str, float], pd.DataFrame]]:
        """Yield the metrics of each split, and its predictions for the rows that its model was not trained on."""
        import numpy as np

        from e2i.estimators import schema

        for number, split in enumerate(splits):
            test = np.flatnonzero(split == TEST)
            if self.params.group is not None:
                ranking.require_whole(self.frame[self.params.group], split == TRAIN, split == TEST)
            fitted, chosen = self.fit(np.flatnonzero(split == TRAIN), test)
            rows = self.frame.iloc[test]
            if self.params.early_stopping is not None:
                self.rounds.append(chosen.params[self.counted])
            if self.searching is not None:
                self.searched.append({**chosen.params, **chosen.recipe})
            predicted = saved.predict(fitted.scorer, rows)
            labels = schema.labels(rows, self.params.target, self.classes)
            queries = self._queries(rows)
            found = metrics.evaluate(self.task, labels, predicted, groups=queries)
            constant = intervals.baseline(self.task, labels, fitted.prepared.constant, queries=queries)
            self.constants.append(constant)
            if absent := [name for name in self.names if name not in found]:
                raise StepError(
                    f"{absent[0]} is not defined in split {number + 1} of {len(splits)}",
                    code="undefined-metric",
                    hint="use strategy stratified or stratified_group in data.folds, or other metrics",
                )
            table = self._table(number, test, rows, predicted)
            del fitted, rows  # before the rows of the next split are prepared
            yield found, table

    def _queries(self, rows: pd.DataFrame) -> Matrix | None:
        return None if self.params.group is None else ranking.queries(rows, self.params.group)

    def warnings(self, splits: Sequence[Roles], whole: Fitted) -> Iterator[str]:
        """Yield a warning when a split tests rows that it was trained on. ``whole`` is the model of all rows."""
        if whole.prepared.sketch is None:
            return
        hashed = sketch.hashes(self.frame, whole.scorer.manifest["features"], whole.prepared.train.labels)
        shared = sketch.shares(hashed, splits)
        share = max(shared)
        if share > sketch.SHARED_ROWS:
            yield (
                f"{share:.0%} of the tested rows of split {shared.index(share) + 1} are training rows too, so the "
                "metrics are too good: remove duplicate rows before the folds, or use strategy group in data.folds"
            )

    def _table(self, number: int, places: Matrix, rows: pd.DataFrame, predicted: Matrix) -> pd.DataFrame:
        import pandas as pd

        target = self.params.target
        columns: dict[str, Any] = {"row": places, "split": number, target: rows[target].to_numpy()}
        if self.params.group is not None:
            columns[self.params.group] = rows[self.params.group].to_numpy()
        if self.classes is None:
            return pd.DataFrame({**columns, "prediction": predicted})
        labels = pd.Series(list(self.classes))
        if predicted.ndim == 1:
            chosen = labels.take((predicted >= 0.5).astype(int)).to_numpy()
            return pd.DataFrame({**columns, "prediction": chosen, "probability": predicted})
        shares = {f"probability_{label}": predicted[:, place] for place, label in enumerate(self.classes)}
        return pd.DataFrame({**columns, "prediction": labels.take(predicted.argmax(axis=1)).to_numpy(), **shares})


def summed(found: list[dict[str, float]], names: list[str], *, partial: bool = False) -> dict[str, Figures]:
    """Return the figures of the metrics that are defined in every split: of all, or of these ``names``.

    ``partial``: some of the names may be defined in no split.
    """
    from statistics import fmean, stdev

    defined = [name for name in found[0] if all(name in one for one in found)]
    chosen = [name for name in names if name in defined] if partial else names or defined
    return {
        name: Figures(
            mean=fmean(one[name] for one in found),
            sd=stdev(one[name] for one in found) if len(found) > 1 else 0.0,
            folds=tuple(one[name] for one in found),
        )
        for name in chosen
    }
