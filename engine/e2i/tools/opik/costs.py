"""Estimate the cost of a call to a language model. In: model and tokens. Out: US dollars, where the price is known.

Prices are those that ship with Opik's SDK (its dependency LiteLLM), the table that an Opik server uses too. Only the
file is read: importing LiteLLM takes seconds, and would ask the network for newer prices.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import msgspec
from msgspec import Struct

PRICES = "model_prices_and_context_window_backup.json"


class Tokens(Struct, frozen=True):
    """Tokens of one call."""

    input: int
    output: int

    @property
    def usage(self) -> dict[str, int]:
        """In Opik's words."""
        return {
            "prompt_tokens": self.input,
            "completion_tokens": self.output,
            "total_tokens": self.input + self.output,
        }


class Price(Struct, frozen=True):
    """Price of one token of a model, in US dollars."""

    input_cost_per_token: float | None = None
    output_cost_per_token: float | None = None
    litellm_provider: str | None = None


def price(model: str, provider: str | None = None) -> Price | None:
    """Returns the price of a model; None when it is not known. ``provider`` is used where names need it."""
    table = _prices()
    # Anthropic's older models are listed by their name at Amazon only, where they have the same price.
    for name in (model, f"{provider}/{model}", f"anthropic.{model}-v1:0", model.partition("/")[2]):
        found = table.get(name)
        if found is not None and found.input_cost_per_token is not None and found.output_cost_per_token is not None:
            return found
    return None


def cost(tokens: Tokens, found: Price) -> float:
    """Returns the cost of these tokens, in US dollars."""
    return tokens.input * (found.input_cost_per_token or 0.0) + tokens.output * (found.output_cost_per_token or 0.0)


@cache
def _prices() -> dict[str, Price]:
    """Returns the table, read once (about 20 ms)."""
    spec = find_spec("litellm")
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in map(Path, folders):
        try:
            raw = msgspec.json.decode((folder / PRICES).read_bytes(), type=dict[str, msgspec.Raw])
        except (OSError, msgspec.DecodeError):
            continue
        return {name: found for name, text in raw.items() if (found := _read(text)) is not None}
    return {}


def _read(text: msgspec.Raw) -> Price | None:
    try:
        return msgspec.json.decode(text, type=Price)
    except msgspec.ValidationError:
        return None
