"""A spec's file goes in; its steps in an order that works come out: the floor of ``e2i validate``, written by hand.

    python benchmarks/sorted_by_hand.py SPEC

What cannot be left out, in the fewest lines: PyYAML's C parser, one pydantic model, a regular expression for
references, and the standard library's sort. No limits, no positions, no types, no checks of actions: what e2i does
besides is its overhead.
"""

from __future__ import annotations

import json
import re
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Literal

import click
import yaml
from pydantic import BaseModel, ConfigDict, Field

REFERENCE = re.compile(r"steps\.(\w+)")


class Step(BaseModel):
    model_config = ConfigDict(extra="forbid")

    uses: str
    with_: dict[str, Any] = Field(default={}, alias="with")
    needs: list[str] = []


class Pipeline(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Literal[1]
    name: str
    steps: dict[str, Step]


def order(text: str) -> list[str]:
    pipeline = Pipeline.model_validate(yaml.load(text, Loader=yaml.CSafeLoader))
    return list(
        TopologicalSorter(
            {name: [*step.needs, *REFERENCE.findall(json.dumps(step.with_))] for name, step in pipeline.steps.items()}
        ).static_order()
    )


if __name__ == "__main__":
    click.echo(f"{len(order(Path(sys.argv[1]).read_text('utf-8')))} steps")
