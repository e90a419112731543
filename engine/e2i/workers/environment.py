"""Build the environment of worker processes: inherited variables, and settings that keep tools quiet and local.

In: the engine's environment. Out: the worker's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from e2i.catalog.registry import BUILT_IN, Registry

NO_TELEMETRY: dict[str, str] = {
    # MLflow and BentoML read the word "true"; "1" does not stop them.
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
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}
"""Variables that turn off what the tools would report to their makers."""
QUIET: dict[str, str] = {
    **NO_TELEMETRY,
    # Waiting threads of numeric libraries sleep. Spinning makes parallel steps 3 to 10 times slower.
    "OMP_WAIT_POLICY": "passive",
    # The value that glibc reaches by itself in a process that happens to free large arrays early. The memory of numpy's
    # intermediate results is reused, not released and requested again each time (half of the CPU of a mean).
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(32 << 20),
    # Otherwise MLflow searches for git and for a terminal.
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MPLBACKEND": "Agg",
    "PYTHONWARNINGS": "ignore",
}

INHERITED = (
    "HOME", "LANG", "LC_ALL", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "SSL_CERT_FILE", "TMPDIR", "TZ",
    "USER", "VIRTUAL_ENV", "E2I_STORE_ALONE", "E2I_STORE_GROUP",
)  # fmt: skip
"""Variables that a worker may inherit.

All others stay with the engine, above all secrets, and variables that change which code runs (``PYTHONPATH``,
``PYTHONHOME``, ``PYTHONSTARTUP``, ``LD_PRELOAD`` and the like).
"""


def for_worker(environ: Mapping[str, str], *, threads: int, store: Path) -> dict[str, str]:
    """Return a worker's environment: few inherited variables, quiet tools, divided threads, homes in the store."""
    homes = {
        "BENTOML_HOME": str(store / "bentoml"),
        "OPIK_CONFIG_PATH": str(store / "opik" / "config"),
        "MPLCONFIGDIR": str(store / "matplotlib"),
        "NUMBA_CACHE_DIR": str(store / "numba"),
    }
    inherited = {name: environ[name] for name in INHERITED if name in environ}
    return {**inherited, **QUIET, **homes, "OMP_NUM_THREADS": str(threads)}


def for_delivery(environ: Mapping[str, str], *, threads: int, store: Path, sinks: Iterable[str]) -> dict[str, str]:
    """Return the environment of the delivery process: a worker's, and the variables that the sinks' clients read."""
    found = for_worker(environ, threads=threads, store=store)
    for name in sinks:
        found |= for_tool(environ, name)
    return found


def asked(tools: Iterable[str], registry: Registry = BUILT_IN) -> tuple[str, ...]:
    """Return the tools, and those whose servers they ask, sorted."""
    named = set(tools)
    return tuple(sorted(named.union(*(tool.asks for tool in filter(None, map(registry.tool, named))))))


def for_tool(environ: Mapping[str, str], name: str, registry: Registry = BUILT_IN) -> dict[str, str]:
    """Return the variables that the clients of the tool and of the tools that it asks read, as far as they are set."""
    declared = filter(None, map(registry.tool, asked((name,), registry)))
    names = (name for tool in declared for name in (*tool.variables, *tool.credentials))
    return {name: environ[name] for name in names if environ.get(name)}


def credentials(environ: Mapping[str, str], tools: Iterable[str], registry: Registry = BUILT_IN) -> set[str]:
    """Return the values of the credentials among the variables of these tools, and of the tools that they ask."""
    declared = filter(None, map(registry.tool, asked(tools, registry)))
    return {environ[name] for tool in declared for name in tool.credentials if environ.get(name)}
