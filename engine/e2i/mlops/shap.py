"""``SHAPExplainer``: SHAP for programs. In: a fitted model and rows. Out: SHAP values, importances, interactions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

from e2i.catalog.artifacts import Model
from e2i.mlops import arguments
from e2i.mlops.connector import Connector
from e2i.mlops.mistakes import BadCall, mistakes
from e2i.mlops.tracing import traced
from e2i.tools.shap import SHAPSettings as SHAPConfig
from e2i.tools.shap.connector import GuardedShap
from e2i.tools.shap.values import ExplainerName, How

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix
    from e2i.tools.shap.values import Explanation

__all__ = ["SHAPConfig", "SHAPExplainer"]


class SHAPExplainer(Connector[SHAPConfig]):
    """SHAP: explanations of fitted models.

    A model is a live estimator of XGBoost, LightGBM, CatBoost or scikit-learn, also a pipeline, a model that e2i
    trained, or a function of rows. A table has the shape (rows, features): a frame of pandas or Polars, a table of
    Arrow, an array. Every method raises ValueError for a model or a table that cannot be explained, and
    ToolUnavailable after the settings' deadline.
    """

    tool = "shap"

    def open(self) -> None:
        self.client = GuardedShap(self.config, self.guard, self.home)

    @traced
    def compute_shap_values(
        self,
        model: Any,
        X: Any,  # noqa: N803 - the libraries' own name
        algorithm: str | None = None,
        explainer: ExplainerName = "auto",
    ) -> tuple[Matrix, float | Matrix]:
        """Return SHAP values and the expected value; both add up to the model's margin, which is checked.

        The shape is (rows, features), and the expected value a number: of two classes, those of the positive one. More
        classes: (rows, features, classes), and an array of one expected value each. The margin is in log-odds for
        boosted trees and logistic regression, a probability for forests and for models that are only asked for
        predictions; those are explained against a seeded choice of the rows. ``algorithm`` is checked: another model
        than it says raises ValueError. So is ``explainer``: ``tree`` and ``linear`` suit such models, ``permutation``,
        ``kernel`` and ``exact`` (at most 12 features) every model.
        """
        found = self._explained(model, X, explainer, hint=algorithm)
        if found.values.shape[2] == 1:
            return found.values[:, :, 0], float(found.expected[0])
        return found.values, found.expected

    @traced
    def compute_feature_importance(self, shap_values: Any, feature_names: Sequence[str]) -> dict[str, float]:
        """Return each feature's share of the mean absolute SHAP values, largest first. The shares sum to 1."""
        from e2i.tools.shap.values import importance

        with mistakes():
            names = arguments.items("feature_names", feature_names, "pass X.columns, or a list of names")
            return importance(shap_values[0] if isinstance(shap_values, tuple) else shap_values, names)

    @traced
    def compute_interactions(self, model: Any, X: Any, explainer: ExplainerName = "auto") -> Matrix:  # noqa: N803
        """Return interaction values of trees (rows, features, features); they sum to the SHAP values.

        More classes: (rows, features, features, classes). The cost grows with the square of the features: explain few
        rows. ``explainer="exact"`` computes them for any model of at most 12 features, against the other rows.
        """
        with mistakes():
            found: Matrix = self.client.interactions(self._loaded(model), X, self._how(explainer))
            return found

    @traced
    def explain_instance(self, model: Any, X: Any, instance_idx: int) -> dict[str, float]:  # noqa: N803
        """Return the SHAP value of each feature in one row of ``X``; the other rows are its background.

        More than two classes: the values of the class with the highest margin.
        """
        if instance_idx is None:
            raise BadCall("`instance_idx` is None, not the number of a row", hint="0 is the first row of `X`")
        found = self._explained(model, X, "auto", instance=instance_idx)
        place = int(found.margin[0].argmax())
        return dict(zip(found.features, found.values[0, :, place].tolist(), strict=True))

    def _explained(self, model: Any, table: Any, explainer: ExplainerName, **options: Any) -> Explanation:
        with mistakes():
            return self.client.explain_live(self._loaded(model), table, self._how(explainer), **options)

    def _how(self, explainer: ExplainerName) -> How:
        if explainer not in get_args(ExplainerName):
            known = ", ".join(get_args(ExplainerName))
            raise BadCall(f"`explainer` is {arguments.shown(explainer)}, which does not exist", hint=f"one of {known}")
        return self.client.how(explainer)

    def _loaded(self, model: Any) -> Any:
        """Return a model of the store as its library's object; a live model as it is."""
        if not isinstance(model, Model):
            return model
        from e2i.estimators.scoring import load

        return load(self.program.artifacts.path(model.digest))
