from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from e2i import startup

LIBRARY = """
import sys
LOADS = []
sys.modules["record"] = type(sys)("record")
sys.modules["record"].LOADS = LOADS
from e2i import startup
startup.defer_heavy_modules({"heavy": {"light": frozenset({"double"})}, "package.part": {}})
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Modules that say when they are loaded."""
    (tmp_path / "heavy").mkdir()
    (tmp_path / "heavy" / "__init__.py").write_text(
        "from record import LOADS\nLOADS.append('heavy')\nfrom heavy.inner import constant\n"
        "def double(number):\n    return 2 * number\n"
    )
    (tmp_path / "heavy" / "inner.py").write_text("constant = 3\n")
    (tmp_path / "light.py").write_text("import heavy\nfrom heavy import double\n")
    (tmp_path / "other.py").write_text("from heavy import double\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "part.py").write_text("from record import LOADS\nLOADS.append('part')\nvalue = 1\n")
    return tmp_path


def outcome(library: Path, program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", f"{LIBRARY}\n{program}"], cwd=library, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_deferred_module_is_loaded_by_its_first_use_and_once(library: Path) -> None:
    program = "import heavy; print(LOADS); print(heavy.constant, heavy.double(2), type(heavy).__name__, LOADS)"
    assert outcome(library, program) == "[]\n3 4 module ['heavy']"


def test_a_name_that_is_only_called_is_stood_in_for_and_loads_when_called(library: Path) -> None:
    program = "import light; print(LOADS); print(light.double(4), LOADS)"
    assert outcome(library, program) == "[]\n8 ['heavy']"


def test_any_other_importer_gets_the_real_thing(library: Path) -> None:
    program = "import light, other, heavy; print(LOADS, other.double is heavy.double, light.double is heavy.double)"
    assert outcome(library, program) == "['heavy'] True False"


def test_what_is_inside_a_deferred_package_finds_the_package_loaded(library: Path) -> None:
    assert outcome(library, "import heavy.inner; print(LOADS, heavy.inner.constant)") == "['heavy'] 3"


def test_a_part_of_a_package_can_be_deferred(library: Path) -> None:
    program = "import package.part; from package import part; print(LOADS); print(part.value, LOADS)"
    assert outcome(library, program) == "[]\n1 ['part']"


def test_a_name_that_the_module_does_not_have_is_an_attribute_error(library: Path) -> None:
    program = "import heavy\ntry:\n    heavy.nothing\nexcept AttributeError as error:\n    print(error)"
    assert outcome(library, program) == "module 'heavy' has no attribute 'nothing'"


def test_threads_that_use_it_at_once_load_it_once_and_wait_for_it(library: Path) -> None:
    program = (
        "import heavy\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(16) as pool:\n"
        "    print(set(pool.map(lambda _: heavy.double(1), range(64))), LOADS)"
    )
    assert outcome(library, program) == "{2} ['heavy']"


@pytest.mark.parametrize(
    ("imported", "spared", "used", "given"),
    [
        pytest.param("feast", "gunicorn", "feast.feature_server.get_app.__name__", "get_app", marks=pytest.mark.slow),
        pytest.param(
            "mlflow.pyfunc",
            "fastapi",
            "mlflow.gateway.get_gateway_uri.__name__",
            "get_gateway_uri",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "great_expectations",
            "botocore.args",
            "great_expectations.compatibility.aws.Config(retries={}).retries",
            "{}",
            marks=pytest.mark.slow,
        ),
        ("sklearn.metrics", "scipy.integrate._quadrature", "sklearn.metrics.auc([0, 1], [0, 1])", "0.5"),
    ],
)
def test_a_library_comes_without_what_steps_seldom_use_and_has_it_when_asked(
    tmp_path: Path, imported: str, spared: str, used: str, given: str
) -> None:
    program = (
        f"import sys\nfrom e2i import startup\nstartup.defer_heavy_modules()\nimport {imported}\n"
        f"print({spared!r} in sys.modules)\nprint({used})\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["False", given]


def test_xgboost_comes_without_what_only_its_cross_validation_needs(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom e2i import startup\nstartup.defer_heavy_modules()\nimport numpy, xgboost\n"
        "print('sklearn.metrics' in sys.modules, 'scipy.stats._stats_py' in sys.modules)\n"
        "rows = xgboost.DMatrix(numpy.arange(60.0).reshape(30, 2), numpy.arange(30) % 2)\n"
        "print(len(xgboost.cv({'objective': 'binary:logistic'}, rows, 2, nfold=3, stratified=True)))\n"
        "from scipy.stats import norm, rankdata\n"
        "from sklearn.model_selection import StratifiedKFold\n"
        "print(norm.cdf(0), rankdata([3, 1]), isinstance(StratifiedKFold(), StratifiedKFold))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["False False", "2", "0.5 [2. 1.] True"]


def test_a_worker_starts_without_the_models_of_specs_and_the_planner() -> None:
    program = "import sys, e2i.workers.worker; print(*(name for name in sys.modules if name.startswith('e2i.')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    found = set(done.stdout.split())
    assert "e2i.workers.context" in found
    assert found & {"e2i.spec.models", "e2i.spec.document", "e2i.settings", "e2i.planning.fingerprint"} == set()


def test_a_result_that_is_computed_once_is_shared_by_all_calls() -> None:
    class Owner:
        computed = 0

        def revision(self, url: str) -> str:
            Owner.computed += 1
            return f"revision {Owner.computed} for {url}"

    for _ in range(2):
        startup.compute_once(Owner, "revision")
        startup.compute_once(Owner, "no_such_function")
        startup.compute_once(None, "revision")
        assert Owner().revision("a") == Owner().revision("b") == "revision 1 for a"


def test_the_revisions_of_optuna_and_mlflow_are_functions_of_these_versions() -> None:
    """Where another version has none, nothing is shared, and opening a database takes as long as it does there."""
    from mlflow.store.db import utils
    from optuna.storages._rdb import storage

    assert callable(utils._get_latest_schema_revision) and callable(storage._VersionManager._create_alembic_script)
