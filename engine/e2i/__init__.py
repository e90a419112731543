"""Machine-learning pipelines as configuration: turns specs into checked plans and durable runs.

``e2i.validate(spec)``, ``e2i.fix(spec)``, ``e2i.plan(spec)`` and ``e2i.run(spec)`` match the commands of the same
names. ``e2i.llm_call(model)`` reports a call of a language model from a function of a ``python.call``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from e2i.api import fix, plan, run, validate
    from e2i.telemetry.llm import llm_call

__all__ = ["fix", "llm_call", "plan", "run", "validate"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Imported on first use, so that `import e2i.spec` or a tool's declaration stays as light as it is.
    if name == "llm_call":
        from e2i.telemetry import llm

        return llm.llm_call
    if name in __all__:
        from e2i import api

        return getattr(api, name)
    raise AttributeError(f"module 'e2i' has no attribute {name!r}")
