"""Optuna itself, asked about the studies that the runs left in the store."""

from __future__ import annotations

import optuna
import pytest
from optuna.trial import TrialState

from e2e.conftest import FLIGHTS
from e2e.sandbox import UNREPORTED, Run


def studies(run: Run) -> dict[str, int]:
    """The studies in the store and how many trials each holds."""
    summaries = optuna.get_all_study_summaries(f"sqlite:///{run.store}/optuna/studies.db")
    return {summary.study_name: summary.n_trials for summary in summaries}


def load(run: Run, step: str) -> optuna.Study:
    name = run.outputs(step)["study"]["name"]
    return optuna.load_study(study_name=name, storage=f"sqlite:///{run.store}/optuna/studies.db")


@pytest.fixture(scope="module")
def from_scratch(flights: Run, flights_again: Run) -> Run:
    """The flights once more, as far as the promoted model, with nothing reused."""
    return flights.sandbox.run(*FLIGHTS, *UNREPORTED, "--fresh", "--select", "+promote")


def test_the_study_holds_exactly_the_trials_asked_for_and_all_are_complete(route: Run) -> None:
    study = load(route, "tune")
    assert [trial.number for trial in study.trials] == list(range(route.record["params"]["trials"]))
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}  # too few for the pruner to judge one


def test_the_best_trial_is_what_the_model_was_trained_with(flights: Run) -> None:
    study, tuned = load(flights, "tune"), flights.outputs("tune")
    assert tuned["best_params"] == study.best_params
    assert tuned["best_value"] == study.best_value == max(trial.value or 0 for trial in study.trials)


def test_the_best_trial_of_two_objectives_is_on_the_front_that_optuna_finds(conversion: Run) -> None:
    study, tuned = load(conversion, "tune"), conversion.outputs("tune")
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    front = {trial.number: trial for trial in study.best_trials}
    assert set(conversion.frame("tune", "front")["number"]) == set(front)
    (best,) = [trial for trial in front.values() if trial.params == tuned["best_params"]]
    assert list(tuned["best_values"].values()) == best.values


def test_the_table_of_trials_is_what_the_storage_holds(route: Run) -> None:
    study, table = load(route, "tune"), route.frame("tune", "trials")
    columns = ["value"] if len(study.directions) == 1 else ["roc_auc", "log_loss"]
    assert table[columns].to_numpy().tolist() == [trial.values for trial in study.trials]
    for name in study.trials[0].params:
        assert table[f"params_{name}"].tolist() == [trial.params[name] for trial in study.trials]


def test_each_kind_of_model_has_a_study_of_its_own(volume: Run) -> None:
    found = {name: load(volume, f"tune[{name}]") for name in ("Ridge", "Lasso", "XGBoost")}
    assert len({study.study_name for study in found.values()}) == 3
    assert {len(study.trials) for study in found.values()} == {4}
    assert {study.direction.name for study in found.values()} == {"MINIMIZE"}


def test_a_second_run_adds_no_trial(flights: Run, flights_again: Run) -> None:
    assert studies(flights) == {flights.outputs("tune")["study"]["name"]: 4}


@pytest.mark.slow
def test_a_run_from_scratch_adds_no_trial_and_gives_the_same(flights: Run, from_scratch: Run) -> None:
    assert from_scratch.end["steps"]["tune"]["status"] == "succeeded"
    assert studies(flights) == {flights.outputs("tune")["study"]["name"]: 4}
    for step in ("data", "join", "split", "tune", "train", "evaluate"):
        assert from_scratch.outputs(step) == flights.outputs(step), step


@pytest.mark.slow
def test_a_run_from_scratch_registers_no_second_version_of_the_same_model(flights: Run, from_scratch: Run) -> None:
    assert from_scratch.end["steps"]["register"]["status"] == "succeeded"
    assert from_scratch.end["outputs"]["version"] == flights.end["outputs"]["version"]
