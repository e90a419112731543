"""Programs search algorithms that a plug-in and the settings add, by name, as specs do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from e2i.mlops import BadCall
from e2i.mlops.optuna import Best, OptunaTuner

PLUGIN = """
from e2i.catalog.action import Action, Outputs, Params, Tool
from e2i.estimators.algorithm import Algorithm, Estimator, both
TOOL = Tool('grown', 'Trees.', (Action('echo', 'Echoes.', Params, Outputs),))
ALGORITHMS = {"GrownTree": Algorithm(
    family="forest", flavour="sklearn", module="e2i.estimators.scikit", encoding="filled",
    estimator=Estimator("sklearn.tree", both("DecisionTree"), threads=""), tasks=("classification", "regression"),
    explainer="tree", precision="float64", space={}, params=frozenset(["max_depth", "min_samples_leaf"]),
    requirements=("scikit-learn",),
)}
"""
SETTINGS = """sinks: []
plugins: [grown]
algorithms:
  quick_xgboost: {of: XGBoost, params: {n_estimators: 7, max_depth: DEPTH}}
  small_tree: {of: GrownTree, params: {max_depth: 1}}
"""


@pytest.fixture
def settings(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    info = workspace / "site" / "grown_dist-3.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: grown-dist\nVersion: 3\n")
    (info / "entry_points.txt").write_text(
        "[e2i.tools]\ngrown = grown:TOOL\n[e2i.algorithms]\ngrown = grown:ALGORITHMS\n"
    )
    (workspace / "site" / "grown.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(workspace / "site"))
    (workspace / "config").mkdir()
    (workspace / "config" / "default.yaml").write_text(SETTINGS.replace("DEPTH", "2"))
    return workspace / "config" / "default.yaml"


def searched(algorithm: str, space: dict[str, Any], **more: Any) -> Best:
    x = np.random.default_rng(0).normal(size=(120, 3))
    y = (x[:, 0] > 0).astype(int)
    call = OptunaTuner().optimize(
        algorithm, space, x[:80], y[:80], x[80:], y[80:], n_trials=2, metric="auc", seed=1, **more
    )
    return asyncio.run(call)


def test_names_of_plug_ins_and_settings_are_algorithms_of_programs(settings: Path) -> None:
    x, y = np.arange(40.0).reshape(-1, 1).repeat(3, axis=1), np.arange(40) // 10 % 2
    tree = searched("grown_tree", {"min_samples_leaf": (1, 3)})
    assert type(tree.fit(x, y)).__name__ == "DecisionTreeClassifier" and set(tree) == {"min_samples_leaf"}
    assert searched("small_tree", {"min_samples_leaf": (1, 3)}).fit(x, y).get_depth() == 1
    quick = searched("quick_xgboost", {"learning_rate": (0.1, 0.5)}, study_name="quick", pruner="median")
    assert quick.fit(x, y).get_params()["n_estimators"] == 7
    assert searched("quick_xgboost", {"max_depth": (1, 1)}).fit(x, y).get_params()["max_depth"] == 1
    for algorithm, space, message in (
        ("small_tree", {"max_dept": (1, 2)}, "small_tree has no parameter 'max_dept'"),
        ("small_tre", {}, "there is no algorithm 'small_tre'"),
    ):
        with pytest.raises(BadCall, match=message):
            searched(algorithm, space)
    settings.write_text(SETTINGS.replace("DEPTH", "3"))
    with pytest.raises(BadCall, match=r"was begun with the algorithm quick_xgboost .*params.max_depth\": 2"):
        searched("quick_xgboost", {"learning_rate": (0.1, 0.5)}, study_name="quick", pruner="median")


def test_a_preset_that_cannot_be_used_is_an_error_of_its_own_name_only(settings: Path) -> None:
    settings.write_text(SETTINGS.replace("DEPTH", "2").replace("GrownTree", "NoTree"))
    with pytest.raises(BadCall, match=r'default.yaml:.*algorithms.small_tree: there is no algorithm "NoTree"'):
        searched("small_tree", {})
    assert searched("LogisticRegression", {"C": (0.1, 1.0)})
