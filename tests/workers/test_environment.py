from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from e2i.catalog.registry import BUILT_IN
from e2i.workers.environment import QUIET, credentials, for_delivery, for_tool, for_worker
from project import Project

CODE_CHANGING = (
    "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONPYCACHEPREFIX", "PYTHONPLATLIBDIR",
    "PYTHONBREAKPOINT", "PYTHONINSPECT", "PYTHONEXECUTABLE", "COVERAGE_PROCESS_START", "LD_PRELOAD", "LD_LIBRARY_PATH",
    "LD_AUDIT", "GCONV_PATH", "BASH_ENV", "ENV", "GIT_SSH_COMMAND", "MPLBACKEND", "NODE_OPTIONS", "PERL5LIB",
)  # fmt: skip
"""Variables that select the code that a program runs."""
LOOK = """
import os, resource, sys

def look():
    filtered = open("/proc/self/coredump_filter").read().strip()
    return {"env": dict(os.environ), "core": resource.getrlimit(resource.RLIMIT_CORE), "filter": filtered,
            "planted": "planted" in sys.modules, "path": sys.path, "user": sys.flags.no_user_site}
"""


def test_little_is_inherited_and_every_tool_stays_at_home() -> None:
    engine = {
        "PATH": "/bin",
        "HOME": "/home/u",
        "AWS_SECRET_ACCESS_KEY": "s",
        "OMP_NUM_THREADS": "64",
        "DO_NOT_TRACK": "0",
    }
    found = for_worker(engine, threads=2, store=Path("/store"))
    assert found["PATH"] == "/bin"
    assert "AWS_SECRET_ACCESS_KEY" not in found
    assert found["OMP_NUM_THREADS"] == "2"
    assert QUIET.items() <= found.items()
    assert {name for name, value in found.items() if value.startswith("/store/")} >= {
        "BENTOML_HOME",
        "OPIK_CONFIG_PATH",
    }


def test_the_switches_have_the_words_that_the_tools_read() -> None:
    assert QUIET["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert QUIET["BENTOML_DO_NOT_TRACK"] == "true"
    assert QUIET["OPIK_SENTRY_ENABLE"] == QUIET["OPIK_ANALYTICS_ENABLE"] == "false"
    assert QUIET["OMP_WAIT_POLICY"] == "passive"


def test_nothing_that_chooses_code_is_inherited_or_read_by_a_client() -> None:
    engine = dict.fromkeys(CODE_CHANGING, "planted")
    assert "planted" not in for_worker(engine, threads=1, store=Path("/store")).values()
    assert "planted" not in for_delivery(engine, threads=1, store=Path("/store"), sinks=BUILT_IN).values()


def test_each_tool_gets_what_its_own_client_reads_and_delivery_what_the_sinks_read() -> None:
    values = {"PGPASSWORD": "pg", "OPIK_API_KEY": "opik", "OPIK_WORKSPACE": "w", "AWS_SECRET_ACCESS_KEY": "aws",
              "MLFLOW_TRACKING_TOKEN": "", "MY_TOKEN": "mine"}  # fmt: skip
    assert for_tool(values, "opik") == {"OPIK_API_KEY": "opik", "OPIK_WORKSPACE": "w"}
    for name in ("optuna", "feast", "database"):
        assert for_tool(values, name) == {"PGPASSWORD": "pg"}
    assert for_tool(values, "remote") == {"AWS_SECRET_ACCESS_KEY": "aws"}
    assert for_tool(values, "mlflow") == {"PGPASSWORD": "pg", "AWS_SECRET_ACCESS_KEY": "aws"}
    for name in set(BUILT_IN) - {"opik", "optuna", "feast", "mlflow", "database", "remote", "shap"}:
        assert for_tool(values, name) == {}, name
    delivers = for_delivery(values, threads=1, store=Path("/store"), sinks=("opik",))
    assert delivers["OPIK_API_KEY"] == "opik" and "AWS_SECRET_ACCESS_KEY" not in delivers and "MY_TOKEN" not in delivers
    assert for_tool(values, "shap") == for_tool(values, "mlflow")  # it loads models from MLflow
    assert credentials(values, ("opik", "optuna", "data")) == {"opik", "pg"}
    assert credentials(values, ("shap",)) == {"pg", "aws"}


def test_the_docs_list_every_variable_of_every_tool() -> None:
    shown = (Path(__file__).parents[2] / "docs" / "tools.md").read_text("utf-8")
    for name in BUILT_IN:
        declared = BUILT_IN.tool(name)
        assert declared is not None
        missing = [each for each in (*declared.variables, *declared.credentials) if f"`{each}`" not in shown]
        assert missing == [], name


@pytest.mark.skipif(sys.platform != "linux", reason="coredump_filter is Linux's")
def test_a_step_runs_the_installed_code_and_leaves_no_core_dump(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    planted = tmp_path_factory.mktemp("planted")
    for name in ("sitecustomize", "usercustomize", "msgspec", "pandas"):
        (planted / f"{name}.py").write_text("import sys\nsys.modules['planted'] = sys\n")
    project.write("look.py", LOOK)
    spec = project.write("s.yaml", "version: 1\nname: s\nsteps:\n"
                         "  look: {uses: python.call, with: {file: look.py, function: look}}\n"
                         "outputs: {seen: '${{ steps.look.value }}'}\n")  # fmt: skip
    for name, value in {"PYTHONPATH": str(planted), "PYTHONSTARTUP": str(planted / "pandas.py"),
                        "LD_LIBRARY_PATH": str(planted), "PGPASSWORD": "k9Xq2LmZvT", "MY_TOKEN": "tR7wPz3Qb8"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    before = resource.getrlimit(resource.RLIMIT_CORE)
    record = project.run(spec)
    seen = record.outputs["seen"]
    assert not seen["planted"] and str(planted) not in seen["path"] and seen["user"] == 1
    assert not {"PYTHONPATH", "PYTHONSTARTUP", "LD_LIBRARY_PATH", "PGPASSWORD", "MY_TOKEN"} & seen["env"].keys()
    assert (seen["core"], int(seen["filter"], 16)) == ([0, 0], 0)
    assert resource.getrlimit(resource.RLIMIT_CORE) == before


def test_workers_find_the_engine_that_started_them_without_a_variable(tmp_path: Path) -> None:
    from e2i.workers import launch

    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)}
    (tmp_path / "e2i").mkdir()
    (tmp_path / "e2i" / "__init__.py").write_text("raise SystemExit('planted')")
    ended = subprocess.run(launch.command("e2i.workers.masking"), input=b'["k9Xq2LmZvT"]\na k9Xq2LmZvT b',
                           env={"PATH": environ["PATH"]}, cwd=tmp_path, capture_output=True, check=True)  # fmt: skip
    assert ended.stdout == b"a *** b"
