"""Studies in a real PostgreSQL: exactly the trials asked for, whoever searches at the same time and whatever dies."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import optuna
import psycopg
import pytest
from msgspec.structs import replace

from context import LocalContext
from e2i import settings as e2i_settings
from e2i.errors import ToolUnavailable
from e2i.resilience.breaker import Breaker, Policy
from e2i.resilience.guard import Guard
from e2i.tools.optuna import TOOL, OptunaSettings, TuneOutputs, TuneParams, search
from e2i.tools.optuna.actions import tune
from e2i.tools.optuna.connector import GuardedOptuna
from learning import others, table
from live.servers import Postgres
from project import Project, lines, until

PLAN = search.Plan(space={}, trials=6, directions=("maximize",), parallel=2)
SPEC = """
version: 1
name: tuned
steps:
  make: {uses: python.call, with: {file: steps.py, function: make}}
  tune:
    uses: optuna.tune
    on_unavailable: defer
    retry: {attempts: 1}
    with:
      train: ${{ steps.make.table }}
      validation: ${{ steps.make.table }}
      target: y
      algorithm: LogisticRegression
      trials: 40
      parallel: 2
  other: {uses: debug.echo, needs: [make], with: {value: 1}}
outputs: {best: "${{ steps.tune.best_value }}"}
"""
STEPS = """
import numpy as np, pandas as pd
def make():
    x = np.random.default_rng(0).normal(size=(400, 3))
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": (x[:, 0] + x[:, 2] > 0).astype(int)})
"""


HELD = """
CREATE FUNCTION held() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$;
CREATE TRIGGER held BEFORE INSERT OR UPDATE ON trials FOR EACH ROW WHEN (NEW.number >= 10) EXECUTE FUNCTION held();
"""
"""Lets no search go beyond its tenth trial."""


def tuner(home: Path, storage: str) -> GuardedOptuna:
    """That of a store of its own. Its circuit stays closed: the calls of several threads fail in one outage."""
    settings = OptunaSettings.model_validate({"study_storage": storage})
    breaker = Breaker("optuna", Policy(failures=100))
    return GuardedOptuna(settings, Guard("optuna", breaker, outages=TOOL.outages), home)


def stored(address: str, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=address.replace("postgresql", "postgresql+psycopg"))


def names(address: str) -> list[str]:
    return optuna.get_all_study_names(address.replace("postgresql", "postgresql+psycopg"))


@pytest.mark.slow
def test_a_search_gives_what_it_gives_in_a_file_of_the_store(postgres: Postgres, tmp_path: Path) -> None:
    address = postgres.database()
    found: list[TuneOutputs] = []
    for name, tools in (("file", {}), ("server", {"optuna": {"study_storage": address}})):
        ctx = LocalContext(tmp_path / name, settings=e2i_settings.Settings(tools=tools))
        frame = table(200)
        params = TuneParams(
            train=ctx.table(frame[:150]), validation=ctx.table(frame[150:]), target="binary",
            exclude=others("binary"), trials=5, parallel=2, fixed={"n_estimators": 5},
        )  # fmt: skip
        found += [asyncio.run(tune(params, ctx)), asyncio.run(tune(params, ctx))]
        ctx.close()
    assert found[0] == found[1] == found[2] == found[3]
    study = stored(address, found[0].study.name)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 5
    assert study.best_value == found[0].best_value


def test_two_stores_at_once_make_no_trial_twice_also_in_an_empty_database(postgres: Postgres, tmp_path: Path) -> None:
    address = postgres.database()
    made: list[int] = []

    def objective(trial: optuna.Trial) -> float:
        made.append(trial.number)
        return 0.5

    async def both() -> list[list[optuna.trial.FrozenTrial]]:
        stores = [tmp_path / "one", tmp_path / "two"]
        for store in stores:
            store.mkdir()
        return await asyncio.gather(*(tuner(store, address).optimize("s", objective, PLAN) for store in stores))

    first, second = asyncio.run(both())
    assert sorted(made) == list(range(6))
    assert [trial.datetime_start for trial in first] == [trial.datetime_start for trial in second]
    assert len(stored(address, "s").trials) == 6


def test_a_search_that_has_lost_its_turn_writes_nothing_more(postgres: Postgres, tmp_path: Path) -> None:
    address = postgres.database()

    def objective(trial: optuna.Trial) -> float:
        if trial.number == 2:  # once the first two are written, its session is ended; another store could begin now
            assert until(lambda: "s" in names(address) and len(stored(address, "s").trials) == 2)
            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                )
        return 0.5

    plan = replace(PLAN, parallel=1)
    with pytest.raises(ToolUnavailable) as caught:
        asyncio.run(tuner(tmp_path, address).optimize("s", objective, plan))
    assert caught.value.code == "storage-unavailable"
    assert len(stored(address, "s").trials) == 2
    trials = asyncio.run(tuner(tmp_path, address).optimize("s", lambda trial: 0.7, plan))
    assert [trial.value for trial in trials] == [0.5, 0.5, *[0.7] * 4]
    assert len(stored(address, "s").trials) == 6


def test_a_server_that_is_killed_in_mid_search_has_the_exact_number_in_the_end(
    postgres: Postgres, tmp_path: Path
) -> None:
    address = postgres.database()

    def objective(trial: optuna.Trial) -> float:
        if trial.number == 3:
            postgres.kill()
        return float(trial.number)

    connector = tuner(tmp_path, address)
    with pytest.raises(ToolUnavailable):
        asyncio.run(connector.optimize("s", objective, PLAN))
    with pytest.raises(ToolUnavailable):
        asyncio.run(connector.optimize("s", objective, PLAN))
    postgres.start()
    trials = asyncio.run(connector.optimize("s", lambda trial: float(trial.number), PLAN))
    assert [trial.value for trial in trials] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert sorted(trial.value or 0 for trial in stored(address, "s").trials) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.slow
def test_a_run_whose_database_is_killed_defers_its_search_and_the_next_run_ends_it(
    postgres: Postgres, project: Project
) -> None:
    address = postgres.database()
    project.write(
        "config/default.yaml",
        f"sinks: []\nworkers: 1\ntools: {{optuna: {{study_storage: '{address}', deadline: 60}}}}\n",
    )
    optuna.storages.RDBStorage(address.replace("postgresql", "postgresql+psycopg"))
    with psycopg.connect(address) as connection:
        connection.execute(HELD)
    project.write("steps.py", STEPS)
    project.write("tuned.yaml", SPEC)
    with project.start("run", "tuned.yaml", "--json") as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "step.progress" and event["done"] >= 4:
                postgres.kill()
                break
        rest = lines(process.stdout.read())
    ended = {step: end["status"] for step, end in rest[-1]["steps"].items()}
    assert (ended["tune"], ended["other"], process.returncode) == ("deferred", "succeeded", 0)
    postgres.start()
    with psycopg.connect(address) as connection:
        connection.execute("DROP FUNCTION held CASCADE")
    done = project.cli("run", "tuned.yaml", "--json")
    last = lines(done.stdout)[-1]
    assert (done.returncode, last["status"]) == (0, "succeeded")
    (name,) = names(address)
    study = stored(address, name)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 40
    assert last["outputs"]["best"] == study.best_value


@pytest.mark.slow
def test_the_same_run_in_two_stores_at_once_searches_once(postgres: Postgres, tmp_path: Path) -> None:
    address = postgres.database()
    projects = [Project(tmp_path / name) for name in ("one", "two")]
    for project in projects:
        project.write(
            "config/default.yaml", f"sinks: []\nworkers: 1\ntools: {{optuna: {{study_storage: '{address}'}}}}\n"
        )
        project.write("steps.py", STEPS)
        project.write("tuned.yaml", SPEC)
    processes = [project.start("run", "tuned.yaml", "--json") for project in projects]
    ends = [lines(process.communicate()[0])[-1] for process in processes]
    assert [end["status"] for end in ends] == ["succeeded"] * 2
    assert ends[0]["outputs"] == ends[1]["outputs"]
    (name,) = names(address)
    assert [trial.state.name for trial in stored(address, name).trials] == ["COMPLETE"] * 40
    assert until(lambda: not any(project.processes() for project in projects))


PROGRAM = """
import asyncio, json, sys, time
import numpy as np
from sklearn.linear_model import LogisticRegression
from e2i.mlops.optuna import OptunaConfig, OptunaTuner

r = np.random.default_rng(0)
X = r.normal(size=(120, 3)); y = (X[:, 0] + r.normal(size=120) > 0).astype(int)

def model(C):
    with open(sys.argv[2], "a") as file:
        file.write(f"{C!r}\\n")
    time.sleep(float(sys.argv[3]))
    return LogisticRegression(C=C)

tuner = OptunaTuner(OptunaConfig(study_storage=sys.argv[1]) if sys.argv[1] else None)
best = asyncio.run(tuner.optimize(
    model, {"C": (0.01, 9.0)}, X[:60], y[:60], X[60:], y[60:], n_trials=24, study_name="s", seed=5, parallel=8,
    sampler=sys.argv[4]))
print(json.dumps([best.value, [[t.number, t.params, t.value] for t in best.trials]]))
"""


def program(folder: Path, name: str, *arguments: object) -> subprocess.Popen[str]:
    """A process with a store of its own, as on another machine."""
    (folder / name / ".git").mkdir(parents=True, exist_ok=True)
    (folder / name / "program.py").write_text(PROGRAM)
    given = [sys.executable, "program.py", *map(str, arguments)]
    return subprocess.Popen(given, cwd=folder / name, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def tried(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "sampler",
    [
        pytest.param("tpe", marks=pytest.mark.slow),
        *(pytest.param(name, marks=pytest.mark.sweep) for name in ("multivariate_tpe", "cmaes", "random", "qmc")),
    ],
)
def test_four_processes_share_a_search_also_when_one_is_killed(
    postgres: Postgres, tmp_path: Path, sampler: str
) -> None:
    address = postgres.database()
    processes = [program(tmp_path, f"{n}", address, tmp_path / f"tried{n}", 0.4, sampler) for n in range(4)]
    count = lambda: [len(tried(tmp_path / f"tried{n}")) for n in range(4)]  # noqa: E731
    assert until(lambda: count()[0] >= 1 and sum(count()) >= 6, 300)
    processes[0].kill()  # in the middle of its trials
    processes[0].communicate()
    ends = [process.communicate(timeout=300) for process in processes[1:]]
    assert all(process.returncode == 0 for process in processes[1:]), ends
    found = [json.loads(out) for out, _ in ends]
    assert found[0] == found[1] == found[2]
    study = stored(address, "s")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 24
    assert sorted(trial.user_attrs["e2i.number"] for trial in study.trials) == list(range(24))
    each = [text for n in range(1, 4) for text in tried(tmp_path / f"tried{n}")]
    assert len(each) == len(set(each))  # none of the others evaluated a trial that another one did
    evaluated = {*each, *tried(tmp_path / "tried0")}
    assert len(evaluated) == 24 and len(each) + len(tried(tmp_path / "tried0")) <= 24 + 8
    alone = program(tmp_path, "alone", "", tmp_path / "tried", 0, sampler)
    assert json.loads(alone.communicate(timeout=300)[0]) == found[0]
