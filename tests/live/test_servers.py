"""The servers of these tests themselves: they keep what they were given from one start to the next."""

from __future__ import annotations

import pytest

from live.servers import MLflow


@pytest.mark.sweep  # by default test_effects.py, where all is reused once the server is started again
def test_an_mlflow_server_keeps_what_it_was_given_when_it_is_killed_and_started_again(mlflow_server: MLflow) -> None:
    made = mlflow_server.client().create_experiment("kept")
    mlflow_server.kill()
    mlflow_server.start()
    found = mlflow_server.client().get_experiment_by_name("kept")
    assert found is not None and found.experiment_id == made
