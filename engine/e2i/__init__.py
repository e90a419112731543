"""Machine-learning pipelines as configuration: turns specs into checked plans and durable runs.

``e2i.validate(spec)``, ``e2i.fix(spec)``, ``e2i.plan(spec)`` and ``e2i.run(spec)`` match the commands of the same
names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from e2i.api import fix, plan, run, validate

__all__ = ["fix", "plan", "run", "validate"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Imported on first use, so that `import e2i.spec` or a tool's declaration stays as light as it is.
    if name in __all__:
        from e2i import api

        return getattr(api, name)
    raise AttributeError(f"module 'e2i' has no attribute {name!r}")
