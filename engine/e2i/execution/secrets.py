"""Keep secrets as names until the step that uses them runs.

In: parameters with ``Secret`` in them, and the user's environment. Out: parameters with values, and the values
themselves. What leaves a step is masked by ``e2i.workers.masking``.
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from e2i.errors import Refused
from e2i.settings import weakness
from e2i.spec.expansion.nodes import SCALAR
from e2i.spec.values import Secret

COREDUMP_FILTER = Path("/proc/self/coredump_filter")
"""Which memory a core dump of this process contains (core(5)), as a hexadecimal number."""


def reveal(value: Any, declared: Mapping[str, str], environ: Mapping[str, str]) -> tuple[Any, set[str]]:
    """Returns the value with every secret replaced by its environment variable, and the texts that were filled in.

    ``declared`` maps the names that specs may use to variables. Only a ``Secret`` is replaced: data that looks like one
    stays data. Raises Refused for a name that is not declared, and for one that is not set.
    """
    revealed: set[str] = set()

    def fill(item: Any) -> Any:
        if isinstance(item, SCALAR):
            return item
        match item:
            case Secret():
                text = _secret(item.name, declared, environ)
                revealed.add(text)
                return text
            case dict():
                return {key: fill(inner) for key, inner in item.items()}
            case list():
                return [fill(inner) for inner in item]
        return item

    return fill(value), revealed


def held_back(texts: Iterable[str]) -> tuple[str, ...]:
    """Returns the texts that must never leave a step. Weak ones are left out: data could contain them by chance."""
    return tuple(sorted(text for text in texts if weakness(text) is None))


def values(declared: Mapping[str, str], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the texts of all declared secrets that are set, sorted."""
    return tuple(sorted({environ[variable] for variable in declared.values() if environ.get(variable)}))


@contextlib.contextmanager
def without_core_dumps() -> Iterator[None]:
    """Disables core dumps while secrets are in this process's memory: e2i may be embedded in another program."""
    before, chosen = resource.getrlimit(resource.RLIMIT_CORE), "33"
    with contextlib.suppress(OSError):
        chosen = COREDUMP_FILTER.read_text()
    resource.setrlimit(resource.RLIMIT_CORE, (0, before[1]))
    _filter("0")
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
        _filter(f"0x{chosen.strip()}")


def _filter(kinds: str) -> None:
    """Sets which memory a dump of this process would contain."""
    with contextlib.suppress(OSError):  # not Linux, or a kernel without core dumps
        COREDUMP_FILTER.write_text(kinds)


def _secret(name: str, declared: Mapping[str, str], environ: Mapping[str, str]) -> str:
    if name not in declared:
        raise Refused(
            f"the secret {name!r} is not declared in the settings",
            code="secret-refused",
            hint="declare it under `secrets:` in config/",
        )
    if not environ.get(declared[name]):
        raise Refused(f"the secret {name!r} is not set", code="secret-unset", hint=f"set {declared[name]}")
    return environ[declared[name]]
