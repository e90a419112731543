"""The platform's client of MLflow, used as its agents use it: many coroutines in one thread."""

from __future__ import annotations

import asyncio

import pytest

from context import LocalContext
from e2i.tools.mlflow.connector import GuardedMLflow

mlflow = pytest.importorskip("mlflow")


def test_coroutines_at_the_same_time_write_each_to_its_own_run(ctx: LocalContext) -> None:
    connector = ctx.connect(GuardedMLflow)
    all_started = asyncio.Barrier(4)

    async def work(number: int) -> str:
        async with connector.start_run("agents", f"agent-{number}") as active:
            await all_started.wait()
            await active.log_params({"number": number})
            await active.log_metrics({"value": float(number)})
            return active.run.id

    async def together() -> list[str]:
        return await asyncio.gather(*(work(number) for number in range(4)))

    runs = asyncio.run(together())
    client = mlflow.MlflowClient(f"sqlite:///{ctx.home('mlflow') / 'mlflow.db'}")
    for number, run in enumerate(client.get_run(name) for name in runs):
        assert run.info.run_name == f"agent-{number}"
        assert run.info.status == "FINISHED"
        assert (run.data.params, run.data.metrics) == ({"number": str(number)}, {"value": float(number)})
    assert mlflow.active_run() is None


def test_a_run_whose_work_fails_or_is_cancelled_says_so(ctx: LocalContext) -> None:
    connector = ctx.connect(GuardedMLflow)
    statuses = {}

    async def fail(error: BaseException) -> None:
        async with connector.start_run("agents", type(error).__name__) as active:
            statuses[type(error).__name__] = active.run.id
            raise error

    for error in (ValueError("no"), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            asyncio.run(fail(error))
    client = mlflow.MlflowClient(f"sqlite:///{ctx.home('mlflow') / 'mlflow.db'}")
    assert {name: client.get_run(run).info.status for name, run in statuses.items()} == {
        "ValueError": "FAILED",
        "CancelledError": "KILLED",
    }
