"""The environment of worker processes: what they inherit, and what keeps every tool quiet and at home.

In: the engine's environment. Out: the worker's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from e2i.catalog import registry

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
    "HOME", "LANG", "LC_ALL", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "SSL_CERT_FILE", "TMPDIR", "TZ",
    "USER", "VIRTUAL_ENV", "E2I_STORE_ALONE",
)  # fmt: skip
"""What a worker may inherit. Everything else of the engine's environment stays with the engine: secrets first of all,
and what changes which code runs (``PYTHONPATH``, ``PYTHONHOME``, ``PYTHONSTARTUP``, ``LD_PRELOAD`` and the like).
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


def for_delivery(environ: Mapping[str, str], *, threads: int, store: Path, sinks: Iterable[str]) -> dict[str, str]:
    """The environment of the process that delivers telemetry: a worker's, and what the sinks' clients read."""
    found = for_worker(environ, threads=threads, store=store)
    for name in sinks:
        found |= for_tool(environ, name)
    return found


def for_tool(environ: Mapping[str, str], name: str) -> dict[str, str]:
    """The variables that the tool's client reads, as far as they are set."""
    declared = registry.tool(name)
    names = (*declared.variables, *declared.credentials) if declared else ()
    return {name: environ[name] for name in names if environ.get(name)}


def credentials(environ: Mapping[str, str], tools: Iterable[str]) -> set[str]:
    """The values of the credentials among the variables of these tools."""
    declared = filter(None, map(registry.tool, tools))
    return {environ[name] for tool in declared for name in tool.credentials if environ.get(name)}
