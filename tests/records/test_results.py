"""Results are found by the name of an output, of a step's output, or of a part."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from e2i.errors import BadInput
from e2i.records import results
from records.past import past_run, recorded, table


def test_an_output_with_the_name_of_a_step_hides_none_of_its_outputs() -> None:
    effect = {"value": 1.5, "low": 1.0}
    steps = (recorded("levels", "causal.estimate", 0, {"levels": table("a"), "effect": effect}),)
    run = replace(past_run().run, steps=steps, outputs={"levels": table("a"), "effect": effect})
    assert results.find(run, "levels") == results.find(run, "levels.levels") == table("a")
    assert results.find(run, "levels.rows") == 9  # a part of the output
    assert results.find(run, "levels.effect.low") == results.find(run, "effect.low") == 1.0
    for name in ("levels.no", "effect.no", "no", "levels.effect.low.no"):
        with pytest.raises(BadInput, match="has no output"):
            results.find(run, name)
