"""Build one Bento in a process of its own. In: what ``build`` takes. Out: nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from e2i.tools.bentoml import apart
from e2i.tools.bentoml.build import Recipe, build, use_here
from e2i.tools.bentoml.contents import Contents


class Order(Struct, frozen=True):
    """What ``build`` takes."""

    home: Path
    tag: str
    digest: str
    contents: Contents
    recipe: Recipe


def build_apart(
    environ: Mapping[str, str], seconds: float, home: Path, tag: str, digest: str, contents: Contents, recipe: Recipe
) -> None:
    """Build the Bento as ``build`` does, in another process. Raises StepError; ToolUnavailable after ``seconds``."""
    apart.call(__file__, Order(home.resolve(), tag, digest, contents, recipe), type(None), environ, home, seconds)


def execute(order: Order) -> None:
    """Execute the order in this process."""
    use_here(order.home)
    build(order.home, order.tag, order.digest, order.contents, order.recipe)


if __name__ == "__main__":
    apart.main(Order, execute)
