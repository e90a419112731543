"""Run a suite on a frame with Great Expectations. In: suite and frame. Out: results in order, and data docs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.errors import BadInput
from e2i.spec import patterns
from e2i.spec.suggest import few, hint
from e2i.tools.great_expectations import Outcome, Statistics, conditions, data_docs, literals
from e2i.tools.great_expectations.suite import Expectation, Suite
from e2i.tools.great_expectations.values import plain

if TYPE_CHECKING:
    import pandas as pd

EVERY_ROW = {
    "result_format": "COMPLETE",
    "include_unexpected_rows": False,
    "exclude_unexpected_values": True,
    "partial_unexpected_count": 0,
}
"""Form of results that list the labels of all unexpected rows, but not their values."""


class Validation(Struct, frozen=True):
    """Result of one suite: a result for each expectation, in order."""

    suite: Suite
    outcomes: tuple[Outcome, ...]
    results: list[Any]
    """Those of the library, for the page."""

    def page(self, notes: Sequence[str] = ()) -> str:
        """Return the data docs: one HTML page, with these notes at its top."""
        return data_docs.render(self.suite, self.results, notes)

    @property
    def statistics(self) -> Statistics:
        held = sum(outcome.success for outcome in self.outcomes)
        return Statistics(
            evaluated=len(self.outcomes),
            successful=held,
            unsuccessful=len(self.outcomes) - held,
            success_percent=100.0 * held / len(self.outcomes),
        )


def validate(frame: pd.DataFrame, suite: Suite, samples: int) -> Validation:
    """Check every expectation, with at most ``samples`` unexpected values each. The frame is not changed.

    Raises BadInput naming every expectation with invalid arguments. Leaves no files: the library's context is in
    memory, for this call only.
    """
    return of_results(suite, results_of(frame, suite, samples))


def of_results(suite: Suite, results: list[Any]) -> Validation:
    """Return the validation with these results of the library, which are in the order of the suite."""
    outcomes = tuple(_outcome(item, result) for item, result in zip(suite.expectations, results, strict=True))
    return Validation(suite, outcomes, results)


def results_of(frame: pd.DataFrame, suite: Suite, samples: int) -> list[Any]:
    """Return the library's results, in the order of the suite. Raises the errors of ``validate``."""
    return _of_frame(frame, suite, {"result_format": "SUMMARY", "partial_unexpected_count": samples})


def unexpected(frame: pd.DataFrame, suite: Suite, chosen: Sequence[int]) -> dict[int, Sequence[Any]]:
    """Return the labels of the rows that fail each of the chosen expectations, by their index in the suite.

    The labels are those of the frame's index, which has each once. An expectation that is about no single rows, or
    whose rows are not as many as the library counts, is left out.
    """
    part = suite.model_copy(update={"expectations": tuple(suite.expectations[index] for index in chosen)})
    found: dict[int, Sequence[Any]] = {}
    for index, result in zip(chosen, _of_frame(frame, part, EVERY_ROW) if chosen else (), strict=True):
        labels = result.result.get("unexpected_index_list")
        if labels is not None and len(labels) == result.result.get("unexpected_count"):
            found[index] = labels
    return found


def _of_frame(frame: pd.DataFrame, suite: Suite, form: Mapping[str, Any]) -> list[Any]:
    gx = library()
    checked = built(suite, literals.of_frame(frame))
    memory = context(gx)  # held until the end: a datasource refers to its context weakly
    asset = memory.data_sources.add_pandas("memory").add_dataframe_asset("table")
    batch = asset.add_batch_definition_whole_dataframe("rows").get_batch({"dataframe": frame})
    return _run(batch, checked, form)


def built(suite: Suite, conversion: literals.ConversionOf) -> Any:
    """Return the library's suite. Raises BadInput naming an expectation with invalid arguments."""
    import great_expectations as gx

    items = [_build(suite.name, item, index, conversion) for index, item in enumerate(suite.expectations)]
    return gx.ExpectationSuite(name=suite.name, expectations=items)


def run(batch: Any, checked: Any, samples: int) -> list[Any]:
    """Return the library's results of a suite for a batch, in the order of the suite."""
    return _run(batch, checked, {"result_format": "SUMMARY", "partial_unexpected_count": samples})


def _run(batch: Any, checked: Any, form: Mapping[str, Any]) -> list[Any]:
    found = batch.validate(checked, result_format=dict(form))
    # The library groups results by column, so each result has its position in the suite attached.
    return sorted(found.results, key=lambda result: int(result.expectation_config.meta["index"]))


def library() -> Any:
    """Suppress the output of Great Expectations."""
    import great_expectations as gx

    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    from e2i.tools.great_expectations import linear  # noqa: F401 - puts its metrics in place

    return gx


def context(gx: Any) -> Any:
    """Return a context in memory: no folder for a site, no progress bars, no telemetry to the library's authors."""
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
        analytics_enabled=False,
    )
    return opened(lambda: gx.data_context.EphemeralDataContext(project_config=config))


def opened(make: Callable[[], Any]) -> Any:
    """Return a new context that is not the current one of a program that uses the library by itself.

    The library needs some current context, though it asks it nothing here.
    """
    from great_expectations.data_context.data_context.context_factory import project_manager
    from great_expectations.exceptions.exceptions import DataContextRequiredError

    made = make()
    try:
        project_manager.get_current_project()
    except DataContextRequiredError:
        project_manager.set_project(made)
    return made


def _build(suite: str, item: Expectation, index: int, conversion: literals.ConversionOf) -> Any:
    """Return the library's own expectation. Raises BadInput for arguments that its type does not take."""
    from great_expectations.compatibility import pydantic
    from great_expectations.expectations.registry import get_expectation_impl

    kind = get_expectation_impl(item.type)
    where = f"suite {suite!r}, expectation {index + 1}, {item.type}"
    condition = item.condition
    chosen = {} if condition is None else {"row_condition": conditions.library_form(condition)}
    unknown = sorted({*item.arguments, *chosen} - set(kind.__fields__))
    try:
        for pattern in (item.arguments.get("regex"), *(item.arguments.get("regex_list") or ())):
            if isinstance(pattern, str):
                patterns.search(pattern)
        if not unknown:
            arguments = literals.fitted(item, index, conversion)
            return kind(**arguments, **chosen, severity=item.severity, notes=item.notes, meta={"index": index})
    except (pydantic.ValidationError, TypeError, ValueError) as error:
        raise BadInput(f"{where}: {_reason(error)}", code="bad-expectation") from error
    known = sorted({*kind.args_keys, *kind.domain_keys, *kind.success_keys} - {"batch_id", "table"})
    begun = [name for name in known if name.startswith(f"{unknown[0].lower()}_")]
    raise BadInput(
        f"{where}: takes no {', '.join(unknown)}",
        code="bad-expectation",
        hint=f'did you mean "{begun[0]}"?'
        if len(begun) == 1
        else hint(unknown[0], known) or f"arguments: {few(known)}",
    )


def _reason(error: Exception) -> str:
    """Return the library's error message in one line."""
    from great_expectations.compatibility import pydantic

    if not isinstance(error, pydantic.ValidationError):
        return str(error)[:300]
    first: dict[str, dict[str, Any]] = {}
    for detail in error.errors():
        first.setdefault(str(detail["loc"][0]), detail)
    return "; ".join(f"{name}: {detail['msg']}" for name, detail in first.items())[:500]


def _outcome(item: Expectation, result: Any) -> Outcome:
    found: Mapping[str, Any] = result.result
    percent = found.get("unexpected_percent")
    return Outcome(
        type=item.type,
        columns=columns_of(item),
        severity=item.severity,
        success=bool(result.success),
        broken=broken(result.exception_info),
        element_count=found.get("element_count"),
        missing_count=found.get("missing_count"),
        unexpected_count=found.get("unexpected_count"),
        unexpected_percent=None if percent is None else float(percent),
        observed_value=plain(found.get("observed_value")),
        samples=tuple(plain(value) for value in found.get("partial_unexpected_list") or ()),
        notes=item.notes,
    )


def columns_of(item: Expectation) -> tuple[str, ...]:
    """Return the columns that an expectation names, in the order of its arguments."""
    named = [item.arguments.get(name) for name in ("column", "column_A", "column_B")]
    listed = item.arguments.get("column_list") or ()
    return tuple(str(name) for name in [*named, *listed] if name is not None)


def broken(info: Mapping[str, Any] | None) -> str | None:
    """Return why an expectation could not be checked. The library reports it only here, flat or by metric."""
    reports = [info, *(item for item in (info or {}).values() if isinstance(item, Mapping))]
    for report in reports:
        if report and report.get("raised_exception"):
            return " ".join(str(report.get("exception_message") or "unknown reason").split())[:300]
    return None
