"""Build MLflow's filter text. In: structured conditions. Out: the filter. Text from a spec never becomes a filter."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from e2i.errors import BadInput

SYMBOLS = {"eq": "=", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


class Condition(BaseModel):
    """One condition on a run, a model or a version. Numbers compare metrics; text compares everything else."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: Annotated[Literal["tags", "params", "metrics", "attributes"], Field(description="Type of the compared item.")]
    key: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:/ -]+$", max_length=250, description="Name of the item.")]
    op: Annotated[Literal["eq", "ne", "lt", "le", "gt", "ge"], Field(description="Comparison.")] = "eq"
    value: Annotated[str | FiniteFloat, Field(description="Value to compare with.")]


def render(*conditions: Condition) -> str:
    """Return MLflow's filter for all conditions together. Raises BadInput for values that cannot be quoted safely."""
    return " AND ".join(f"{_name(c)} {SYMBOLS[c.op]} {_literal(c)}" for c in conditions)


def tag(key: str, value: str) -> Condition:
    return Condition(of="tags", key=key, value=value)


def attribute(key: str, value: str) -> Condition:
    return Condition(of="attributes", key=key, value=value)


def _name(condition: Condition) -> str:
    if condition.of == "attributes":
        if not condition.key.replace("_", "").isalnum():
            raise BadInput(f"not an attribute: {condition.key!r}", code="bad-filter")
        return condition.key
    return f"{condition.of}.`{condition.key}`"


def _literal(condition: Condition) -> str:
    numeric = isinstance(condition.value, float)
    if numeric != (condition.of == "metrics"):
        raise BadInput("compare a metric with a number, anything else with text", code="bad-filter")
    if numeric:
        return repr(condition.value)
    text = str(condition.value)
    if not text.isprintable() or any(quote in text for quote in "'\"`\\"):
        raise BadInput(f"text with quotes is not supported in a search: {text[:80]!r}", code="bad-filter")
    return f"'{text}'"
