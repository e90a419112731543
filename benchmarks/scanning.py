"""A step that stores a table of 100 MB and was given a secret, beside the same step without one; prints the ratio.

    python benchmarks/scanning.py [--rows 1000000] [--runs 5] [--json]

The table has eleven columns of numbers and one of texts. Each step runs in a worker of its own, both sides in turn,
and its seconds are those that e2i records: with the secret they hold the search of the table and of the outputs
and the filter of the log.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

from e2i import api
from e2i.settings import Settings

GOAL = 1.05
SECRET = "ghp_9fK2xLq7Vt4Zw8RmB3nYc5Jd6HsPa1Qe0UgT"
CODE = """
import numpy as np
import pandas as pd

def make(rows, text):
    chance = np.random.default_rng(7)
    names = pd.Series(np.arange(rows)).map("patient-{:07d}".format)
    return pd.DataFrame({f"c{number}": chance.standard_normal(rows) for number in range(11)} | {"name": names})
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    os.environ["BENCHMARK_TOKEN"] = SECRET
    seconds: dict[str, list[float]] = {"without": [], "with": []}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "make.py").write_text(CODE)
        settings = Settings(sinks=(), workers=1, secrets={"TOKEN": "BENCHMARK_TOKEN"})
        workspace = api.Workspace(root, root / ".e2i", settings)
        for _ in range(asked.runs):
            for side, token in (("without", "none"), ("with", "${{ secrets.TOKEN }}")):
                arguments = {"rows": asked.rows, "text": token}
                step = {"uses": "python.call", "with": {"file": "make.py", "function": "make", "arguments": arguments}}
                spec = {"version": 1, "name": "secrets", "steps": {"make": step}}
                record = api.run(spec, workspace=workspace, fresh=True)
                assert record.status == "succeeded", record.steps["make"].error
                seconds[side].append(record.steps["make"].seconds)
    medians = {side: statistics.median(values) for side, values in seconds.items()}
    ratio = medians["with"] / medians["without"]
    pairs = statistics.median(a / b for a, b in zip(seconds["with"], seconds["without"], strict=True))
    result = {"seconds": medians, "ratio": ratio, "median of the pairs' ratios": pairs, "goal": GOAL}
    print(json.dumps(result) if asked.json else "\n".join(f"{name}: {value}" for name, value in result.items()))


if __name__ == "__main__":
    main()
