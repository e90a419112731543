"""Did you mean?"""

from __future__ import annotations

import time

import pytest

from e2i.spec import suggest

ACTIONS = [
    "optuna.tune",
    "model.train",
    "model.evaluate",
    "mlflow.register",
    "mlflow.promote",
    "shap.explain",
    "data.split",
]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("optuna.tun", "optuna.tune"),
        ("optuna.trian", "optuna.tune"),
        ("model.trian", "model.train"),
        ("Model.Train", "model.train"),
        ("mlflow.regsiter", "mlflow.register"),
        ("shap.explian", "shap.explain"),
        ("modeltrain", "model.train"),
    ],
)
def test_a_typing_error_finds_the_action_that_was_meant(name: str, meant: str) -> None:
    assert suggest.nearest(name, ACTIONS) == (meant,)


def test_a_column_is_found() -> None:
    assert suggest.nearest("convertd", ["converted", "calls", "consented"]) == ("converted",)


@pytest.mark.parametrize("name", ["zzz", "", "kubernetes.deploy", "x" * 100_000])
def test_nothing_is_suggested_when_nothing_is_near(name: str) -> None:
    assert suggest.nearest(name, ACTIONS) == ()


def test_several_come_nearest_first_then_in_alphabetical_order() -> None:
    assert suggest.nearest("step1", ["step3", "step10", "step2", "other", "step1x"], 3) == ("step10", "step1x", "step2")


def test_a_swap_of_neighbours_is_one_error() -> None:
    assert suggest.nearest("ab", ["ba", "xy"]) == ("ba",)


def test_the_hint_names_the_nearest_or_the_few_or_nothing() -> None:
    assert suggest.hint("convertd", ["converted", "calls"]) == 'did you mean "converted"?'
    assert suggest.hint("zzz", ["b", "a"]) == "choose from: a, b"
    assert suggest.hint("zzz", [f"step_{i}" for i in range(100)]) is None
    assert suggest.hint("zzz", []) is None


def test_a_part_of_one_name_alone_is_hinted_at_and_never_certain() -> None:
    metrics = ["roc_auc", "accuracy", "log_loss", "recall"]
    assert suggest.hint("auc", metrics) == 'did you mean "roc_auc"?'
    assert suggest.hint("training", ["train", "validation", "test"]) == 'did you mean "train"?'
    assert suggest.hint("zoom", ["zoom_in", "zoom_out"]) == "choose from: zoom_in, zoom_out"
    assert suggest.certain("auc", metrics) is None


def test_ten_thousand_candidates_take_a_fraction_of_a_second() -> None:
    candidates = [f"feature_step_{i}" for i in range(10_000)]
    start = time.process_time()
    assert suggest.nearest("feature_stepp_77", candidates) == ("feature_step_77",)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("laod", ["load", "split"], "load"),
        ("Load", ["load", "split"], "load"),
        ("trian", ["train", "trial"], None),
        ("loda1", ["load1", "load2"], "load1"),
        ("evalutae_it", ["evaluate_it"], "evaluate_it"),
        ("vlaidatoin", ["validation", "valuation"], "validation"),
        ("tran_model", ["train_models", "train_modes"], None),
        ("hyperparamatersss_x", ["hyperparameters"], None),
    ],
)
def test_only_a_near_and_unrivalled_name_is_certain(name: str, known: list[str], meant: str | None) -> None:
    assert suggest.certain(name, known) == meant
