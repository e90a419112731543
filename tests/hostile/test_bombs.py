"""Each documented limit: an input at it and one beyond are answered rightly, in 5 s of processor time and 300 MB."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from hostile import bombs

ENGINE = Path(__file__).parents[2] / "engine"
CPU_SECONDS = 5.0
RSS_MB = 300
TRIES = 3
"""A busy machine makes processor time longer, never shorter: the quickest of these counts."""
MEASURE = (
    "import os, resource, subprocess, sys; code = subprocess.call(sys.argv[1:]);"
    "used = resource.getrusage(resource.RUSAGE_CHILDREN);"
    "print('\\n', code, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, file=sys.stderr)"
)
"""A small process of its own: the peak of a child begins with that of its parent."""


class Bomb(NamedTuple):
    """One input: its builder and size, the exit code that is right, and what the answer names."""

    build: bombs.Builder
    size: int
    code: int
    named: str = ""
    origin: str = "human"


AT_AND_BEYOND = [
    Bomb(bombs.matrix_values, 1_000, 0), Bomb(bombs.matrix_values, 1_001, 2, "bad-matrix"),
    Bomb(bombs.matrix_values, 100, 0, origin="agent"), Bomb(bombs.matrix_values, 101, 3, "policy-budget", "agent"),
    Bomb(bombs.matrix_names, 50_000, 0), Bomb(bombs.matrix_names, 100_001, 2, "bad-matrix"),
    Bomb(bombs.params, 1_000, 0), Bomb(bombs.params, 1_001, 2, "1,000"), Bomb(bombs.params, 100_000, 2, "1,000"),
    Bomb(bombs.steps, 10_000, 0), Bomb(bombs.steps, 10_001, 3, "policy-budget"), Bomb(bombs.steps, 100_000, 2, "too-large"),
    Bomb(bombs.steps, 1_000, 0, origin="agent"), Bomb(bombs.steps, 1_001, 3, "policy-budget", "agent"),
    Bomb(bombs.literal_list, 249_990, 0), Bomb(bombs.literal_list, 250_001, 2, "too-large"),
    Bomb(bombs.literal_list, 49_990, 0, origin="agent"), Bomb(bombs.literal_list, 50_001, 2, "too-large", "agent"),
    Bomb(bombs.depth, 59, 0), Bomb(bombs.depth, 65, 2, "too-deep"), Bomb(bombs.depth, 1_000_000, 2, "too-deep"),
    Bomb(bombs.literal_text, 8_000_000, 0), Bomb(bombs.literal_text, 9_000_000, 3, "policy-budget"),
    Bomb(bombs.expression_text, 100, 0), Bomb(bombs.expression_text, 101, 2, "bad-expression"),
    Bomb(bombs.expression_length, 2_001, 2, "bad-expression"),
    Bomb(bombs.parts, 999, 0), Bomb(bombs.parts_same, 1_001, 2, "too-many-steps"),
    Bomb(bombs.parts_chain, 16, 0), Bomb(bombs.parts_chain, 17, 2, "bad-include"),
    Bomb(bombs.parts_big, 2, 0), Bomb(bombs.parts_big, 11, 3, "policy-budget"),
    Bomb(bombs.aliases, 50_000, 0), Bomb(bombs.aliases, 200_000, 2, "alias"),
    Bomb(bombs.csv_expectations, 1_000, 2, "unknown-column"), Bomb(bombs.csv_expectations, 1_001, 2, "bad-action-parameter"),
    Bomb(bombs.hyperparameters, 20_000, 0), Bomb(bombs.space, 20_000, 0), Bomb(bombs.matrix_labels, 7_000, 0),
    Bomb(bombs.matrix_label, 10_000, 0), Bomb(bombs.feast_views, 5, 0), Bomb(bombs.feast_views, 9_000, 0),
    Bomb(bombs.feast_entities, 20_000, 0), Bomb(bombs.select_chain, 10_000, 0), Bomb(bombs.sarif, 9_000, 2),
    Bomb(bombs.sarif_clashing, 2_000, 2), Bomb(bombs.fix, 2_000, 0), Bomb(bombs.fix, 9_000, 2), Bomb(bombs.fix_texts, 9_000, 2),
    Bomb(bombs.diff, 10_000, 0), Bomb(bombs.plan_page, 1_000, 0), Bomb(bombs.plan_page_chain, 1_001, 0),
    Bomb(bombs.suite_bytes, 140_000, 0), Bomb(bombs.suite_bytes, 25_000_000, 2, "too-large"),
]  # fmt: skip
"""By limit."""
WIDE = [
    Bomb(bombs.matrix_exclude, 5_000, 0), Bomb(bombs.matrix_include, 20_000, 0), Bomb(bombs.matrix_big_values, 20_000, 0),
    Bomb(bombs.csv_header, 40_000, 0), Bomb(bombs.csv_duplicates, 40_000, 2, "duplicate-column"),
    Bomb(bombs.csv_columns, 40_000, 0), Bomb(bombs.csv_wrong_columns, 40_000, 2, "more problems than the"),
    Bomb(bombs.csv_wrong_types, 40_000, 2, "unknown-column"), Bomb(bombs.csv_training, 20_000, 0),
    Bomb(bombs.csv_filters, 20_000, 2, "unknown-column"), Bomb(bombs.csv_steps, 2_000, 0),
    Bomb(bombs.csv_loads, 5_000, 0), Bomb(bombs.csv_fan, 9_000, 2, "more problems than the"), Bomb(bombs.csv_line, 2_000_000, 0),
    Bomb(bombs.gz_bomb, 100, 0), Bomb(bombs.parquet_columns, 60_000, 0), Bomb(bombs.suite_set, 100_000, 0),
    Bomb(bombs.parquet_schema, 90_000, 0), Bomb(bombs.parquet_schema, 400_000, 0), Bomb(bombs.parquet_metadata, 50_000_000, 0),
    Bomb(bombs.chain, 10_000, 0), Bomb(bombs.dense, 450, 0), Bomb(bombs.outputs, 20_000, 0),
    Bomb(bombs.needs_unknown, 9_000, 2, "unknown-step"), Bomb(bombs.unknown_actions, 9_000, 2, "more problems than the"),
    Bomb(bombs.unknown_keys, 9_000, 2, "more problems than the"), Bomb(bombs.bad_values, 9_000, 2, "more problems than the"),
    Bomb(bombs.params_wrong, 9_000, 2, "unknown-parameter"), Bomb(bombs.choices, 100_000, 2, "and 99,980 more"),
    Bomb(bombs.long_line_problem, 100_000, 2, "unknown-key"), Bomb(bombs.expression_unclosed, 100_000, 2, "bad-expression"),
]  # fmt: skip
"""By what a spec may name much of."""
SAMPLE = [
    Bomb(bombs.matrix_exclude, 5_000, 0), Bomb(bombs.csv_duplicates, 40_000, 2, "duplicate-column"),
    Bomb(bombs.steps, 1_001, 3, "policy-budget", "agent"),
]  # fmt: skip


def name(bomb: Bomb) -> str:
    return f"{bomb.build.__name__}-{bomb.size}-{bomb.origin}"


@pytest.mark.parametrize("bomb", SAMPLE, ids=name)
def test_a_large_input_is_answered_rightly_and_soon(bomb: Bomb, tmp_path: Path) -> None:
    answered(bomb, tmp_path)


@pytest.mark.sweep
@pytest.mark.parametrize("bomb", [*AT_AND_BEYOND, *WIDE], ids=name)
def test_what_is_at_a_limit_and_beyond_is_answered_rightly_and_soon(bomb: Bomb, tmp_path: Path) -> None:
    answered(bomb, tmp_path)


def answered(bomb: Bomb, folder: Path) -> None:
    (folder / "config").mkdir()
    (folder / "config/default.yaml").write_text("sinks: []\n")
    arguments = bomb.build(folder, bomb.size)
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ENGINE), "HOME": str(folder), "E2I_ORIGIN": bomb.origin}
    found = []
    for _ in range(TRIES):
        command = [sys.executable, "-S", "-c", MEASURE, sys.executable, "-m", "e2i.cli.main", *arguments]
        ended = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
        said, _, measured = ended.stderr.rpartition("\n ")
        code, cpu, rss = map(float, measured.split())
        assert int(code) == bomb.code, said[:500]
        assert bomb.named in said
        assert len(said) < 100_000
        print(f"{name(bomb)}: {cpu:.2f} s, {rss:.0f} MB")
        assert rss <= RSS_MB
        found.append(cpu)
        if cpu <= CPU_SECONDS:
            return
    raise AssertionError(f"{found} s of processor time")
