"""Which tests are done by one process, one after another, when several processes share the tests (`make test`)."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

SHIPPED = "tests/e2e"
"""All files but ``APART`` look at the same runs of the shipped specs, which are costly."""
APART = ("test_exactly_once.py", "test_taken_up.py", "test_traps.py")
TOGETHER = (
    (
        "tests/live/test_effects.py",
        "tests/live/test_delivery.py",
        "tests/live/test_servers.py",
        "tests/live/test_sink_",
    ),
    ("tests/live/test_optuna.py", "tests/live/test_feast.py", "tests/live/test_mlflow.py", "tests/live/test_denial.py"),
)
"""Files that share servers, which take their time to start: MLflow's; PostgreSQL."""
TOOLS = "tests/tools/"
"""The files of one tool stay together: a library is imported in one process only. But for MLflow, which has many tests."""
ONE_BY_ONE = ("tests/chaos/",)
"""Files of long tests that share nothing."""
FIRST = (
    SHIPPED,
    "tests/live/",
    "tests/mlops/",
    "tests/chaos/",
    "tests/mutation/",
    "tests/hostile/",
    "tests/docs/",
    TOOLS,
)
"""What takes longest begins first, so that no process is left with it while the others have nothing to do."""


def unit(nodeid: str) -> str:
    """Names the unit of a test: its file, for what a module's fixtures make is made once; or more, or less, than that."""
    file = nodeid.split("::", 1)[0]
    if file.startswith(SHIPPED) and not file.endswith(APART):
        return SHIPPED
    if file.startswith(TOOLS) and not file.startswith(f"{TOOLS}mlflow/"):
        return file.rpartition("/")[0]
    if together := next((files[0] for files in TOGETHER if file.startswith(files)), None):
        return together
    return nodeid if file.startswith(ONE_BY_ONE) else file


def rank(nodeid: str) -> int:
    """Orders the tests by what is to begin first; those of equal rank stay as they were collected."""
    return next((index for index, start in enumerate(FIRST) if unit(nodeid).startswith(start)), len(FIRST))


class Units(LoadScopeScheduling):
    """Hands each process the next unit when it is nearly through with its last one."""

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)
