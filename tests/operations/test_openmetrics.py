"""The text of metrics is valid OpenMetrics, and readable for Prometheus' older text format."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import parser as older
from prometheus_client.openmetrics import parser

from e2i.operations.openmetrics import Family, Sample, text
from operations import openmetrics_text

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


def test_each_family_is_written_once_with_its_metadata() -> None:
    written = text(
        [
            Family("a_runs", "counter", "Runs.", (Sample(3, {"pipeline": 'a"b\\c\nd'}), Sample(0, {"pipeline": ""}))),
            Family("none", "gauge", "Left out.", ()),
            Family("a_seconds", "gauge", "Time.", (Sample(0.25),), "seconds"),
        ]
    )
    assert written == (
        "# TYPE a_runs counter\n# HELP a_runs Runs.\n"
        'a_runs_total{pipeline="a\\"b\\\\c\\nd"} 3\na_runs_total{pipeline=""} 0\n'
        "# TYPE a_seconds gauge\n# UNIT a_seconds seconds\n# HELP a_seconds Time.\na_seconds 0.25\n# EOF\n"
    )
    openmetrics_text.read(written)


@given(st.dictionaries(TEXTS, st.floats(0, 1e18), min_size=1, max_size=5))
def test_any_label_and_number_is_read_back(values: dict[str, float]) -> None:
    written = text([Family("a_runs", "counter", "Runs.", tuple(Sample(v, {"x": k}) for k, v in values.items()))])
    (family,) = parser.text_string_to_metric_families(written)
    assert {sample.labels["x"]: sample.value for sample in family.samples} == values


@pytest.mark.parametrize(
    "wrong",
    [
        "a 1\n# EOF\n",
        "# TYPE a gauge\n# HELP a b\na 1\n",
        "# TYPE a counter\n# HELP a b\na 1\n# EOF\n",
        '# TYPE a gauge\n# HELP a b\na{x="1"} 1\na{x="1"} 2\n# EOF\n',
        "# TYPE a gauge\n# UNIT a seconds\n# HELP a b\na 1\n# EOF\n",
        '# TYPE a gauge\n# HELP a b\na{x="\n"} 1\n# EOF\n',
    ],
)
def test_the_reader_of_these_tests_is_strict(wrong: str) -> None:
    with pytest.raises((AssertionError, KeyError)):
        openmetrics_text.read(wrong)


def read_by_others(written: str) -> None:
    """Reads the text with Prometheus' own readers of both formats."""
    assert list(parser.text_string_to_metric_families(written))
    assert list(older.text_string_to_metric_families(written))
