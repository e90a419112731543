"""The environment of worker processes: what they inherit, and what keeps every tool quiet and at home.

In: the engine's environment. Out: the worker's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

QUIET: dict[str, str] = {
    # Telemetry. MLflow and BentoML read the word "true"; "1" does not stop them.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "BENTOML_DO_NOT_TRACK": "true",
    "DO_NOT_TRACK": "true",
    "OPIK_SENTRY_ENABLE": "false",
    "OPIK_ANALYTICS_ENABLE": "false",
    "OPIK_CONSOLE_LOGGING_LEVEL": "ERROR",
    "GX_ANALYTICS_ENABLED": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # Threads of numeric libraries sleep while they wait; spinning makes parallel steps 3 to 10 times slower.
    "OMP_WAIT_POLICY": "passive",
    # What glibc comes to by itself in a process that happens to free large arrays early: the memory of numpy's
    # intermediate results is used again, not given back and asked for anew each time (half of the CPU of a mean).
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(32 << 20),
    # MLflow looks for git and for a terminal otherwise.
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MPLBACKEND": "Agg",
    "PYTHONWARNINGS": "ignore",
}

INHERITED = (
    "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONHASHSEED", "PYTHONPATH", "SSL_CERT_FILE", "TMPDIR",
    "TZ", "USER", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "COVERAGE_PROCESS_START",
)  # fmt: skip
"""What a worker may inherit. Everything else of the engine's environment, secrets first of all, stays with the
engine.
"""


def for_worker(environ: Mapping[str, str], *, threads: int, store: Path) -> dict[str, str]:
    """A worker's environment: little of the engine's, quiet tools, threads divided, every tool's home in the store."""
    homes = {
        "BENTOML_HOME": str(store / "bentoml"),
        "OPIK_CONFIG_PATH": str(store / "opik" / "config"),
        "MPLCONFIGDIR": str(store / "matplotlib"),
        "NUMBA_CACHE_DIR": str(store / "numba"),
    }
    inherited = {name: environ[name] for name in INHERITED if name in environ}
    return {**inherited, **QUIET, **homes, "OMP_NUM_THREADS": str(threads)}
