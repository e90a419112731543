"""Render data docs as one page. In: a suite and its results. Out: HTML without external resources.

Great Expectations renders the sections. Its own page loads scripts and styles from six hosts, so ``pages/`` has our own
frame and the blocks that need a script. A content security policy in the page forbids all requests and any other
script. Data is escaped, because some of the library's templates insert it unescaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2i.tools.great_expectations.values import plain

if TYPE_CHECKING:
    from e2i.tools.great_expectations.suite import Suite


def render(suite: Suite, results: Sequence[Any], notes: Sequence[str] = ()) -> str:
    """Return the page for results in the given order, with ``notes`` at its top.

    Equal results give equal bytes: no clock, no random ids.
    """
    import great_expectations as gx
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer

    held = sum(bool(result.success) for result in results)
    shown = ExpectationSuiteValidationResult(
        success=held == len(results),
        results=[_printable(result) for result in results],
        suite_name=suite.name,
        statistics={
            "evaluated_expectations": len(results),
            "successful_expectations": held,
            "unsuccessful_expectations": len(results) - held,
            "success_percent": 100 * held / len(results),
        },
        meta={"great_expectations_version": gx.__version__},
    )
    content = ValidationResultsPageRenderer().render(shown)
    page: str = _view().render(content, description=suite.description or "", notes=list(notes))
    return page


def _printable(result: Any) -> Any:
    """Return the result with plain values: the library's renderers do not support the numbers of numpy 2."""
    printable = copy(result)
    printable.result = plain(dict(result.result))
    return printable


def _view() -> Any:
    from great_expectations.render.view import DefaultJinjaPageView
    from jinja2 import ChoiceLoader, FileSystemLoader, pass_context

    class OfflineView(DefaultJinjaPageView):  # type: ignore[misc]  # the library has no types
        """Return the library's view with our frame, and with text escaped where it would be read as markup."""

        def __init__(self) -> None:
            super().__init__()
            self.env.loader = ChoiceLoader([FileSystemLoader(Path(__file__).parent / "pages"), self.env.loader])

        @pass_context
        def render_content_block(self, context: Any, content_block: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(content_block, str):
                return escape(content_block)
            if isinstance(content_block, list):
                content_block = [escape(item) if isinstance(item, str) else item for item in content_block]
            return super().render_content_block(context, content_block, *args, **kwargs)

        def render_string_template(self, template: Any) -> Any:
            if isinstance(template, dict):  # the text of a section's heading contains a column's name
                template = {**template, "template": escape(template.get("template", ""))}
            return super().render_string_template(template)

    return OfflineView()
