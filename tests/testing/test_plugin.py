"""A plug-in from another distribution, ``examples/plugin``: built, installed beside e2i, and used like a tool of e2i."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it has no types of its own
import pytest

from project import LONGEST

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "plugin"
NOTES = "id,note\n1,one two\n2,Two\n3,\n"
SPEC = (EXAMPLE / "e2i_words" / "example.yaml").read_text("utf-8")
PLAIN = "version: 1\nname: plain\nsteps:\n  echo:\n    uses: debug.echo\n"


class Installation:
    """An environment with e2i, and a project that uses it."""

    def __init__(self, folder: Path) -> None:
        self.python = folder / "venv" / "bin" / "python"
        self.project = folder / "project"
        venv.create(folder / "venv", symlinks=True)
        self.packages = next((folder / "venv" / "lib").glob("python*")) / "site-packages"
        host = sysconfig.get_path("purelib")
        (self.packages / "host.pth").write_text(f"import site; site.addsitedir({host!r})\n")
        for name, text in {"data/notes.csv": NOTES, "words.yaml": SPEC, "plain.yaml": PLAIN}.items():
            self.write(name, text)

    def install(self, wheel: Path) -> None:
        options = ["--no-index", "--no-deps", "--quiet", "--upgrade", "--disable-pip-version-check"]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", self.packages, wheel], check=True)

    def write(self, name: str, text: str) -> None:
        (self.project / name).parent.mkdir(parents=True, exist_ok=True)
        (self.project / name).write_text(text, "utf-8")

    def list(self, *plugins: str, policy: str = "") -> None:
        """Writes settings that list these plug-ins."""
        self.write("config/default.yaml", f"sinks: []\nplugins: [{', '.join(plugins)}]\n")
        self.write("config/policy.yaml", policy or "{}\n")

    def __call__(self, *command: str, flag: str = "-P") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, "-P", flag, "-m", "e2i", *command],
            cwd=self.project,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.project)},
            capture_output=True,
            text=True,
            timeout=LONGEST,
        )

    def imported(self, *command: str) -> set[str]:
        """The modules that a command imports."""
        return set(re.findall(r"^import '([\w.]+)'", self(*command, flag="-v").stderr, flags=re.M))

    def json(self, *command: str) -> Any:
        """The document that a command prints; the last event of a run."""
        printed = self(*command, "--json").stdout
        return json.loads(printed.splitlines()[-1] if command[0] == "run" else printed)


def build(source: Path, to: Path) -> Path:
    """The wheel of a distribution, by its own build backend in this environment."""
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", to], cwd=source, check=True)
    return next(to.glob("*.whl"))


@pytest.fixture(scope="module")
def e2i(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder = tmp_path_factory.mktemp("installation")
    source = folder / "source"
    shutil.copytree(EXAMPLE, source)
    installation = Installation(folder)
    installation.install(build(source, folder / "wheels"))
    return installation


@pytest.mark.slow
def test_a_listed_plug_in_runs_with_its_version_in_the_fingerprint_and_is_reused(e2i: Installation) -> None:
    e2i.list("words")
    first = e2i.json("run", "words.yaml")
    assert (first["status"], first["outputs"]["frequent"]) == ("succeeded", {"two": 2, "one": 1})
    assert [column["name"] for column in first["outputs"]["counted"]["columns"]] == ["id", "note", "words"]
    assert {step["status"] for step in e2i.json("run", "words.yaml")["steps"].values()} == {"reused"}
    info = e2i.packages / "e2i_words-1.0.0.dist-info" / "METADATA"
    text = info.read_text("utf-8")
    info.write_text(text.replace("Version: 1.0.0", "Version: 1.0.1"), "utf-8")
    try:
        reasons = {step["id"]: step["reason"] for step in e2i.json("plan", "words.yaml")["steps"]}
    finally:
        info.write_text(text, "utf-8")
    assert reasons["count"] == {"code": "library-changed", "detail": "e2i-words 1.0.0 → 1.0.1"}
    assert reasons["notes"]["code"] != "library-changed"
    e2i.list()  # what it did is still known
    run = first["run"]
    for command in (["runs"], ["show", run], ["report", run], ["diff", run, run], ["provenance", f"{run}.count"]):
        done = e2i(*command)
        assert done.returncode == 0, done.stderr


def test_a_plug_in_that_is_not_listed_is_not_there_and_not_imported(e2i: Installation) -> None:
    e2i.list()
    done = e2i("validate", "words.yaml")
    assert done.returncode == 2 and 'unknown action "words.count" [unknown-action]' in done.stderr
    for command in (["validate", "words.yaml"], ["catalog"], ["doctor"], ["schema"]):
        assert not {"e2i_words", "e2i.catalog.plugins"} & e2i.imported(*command), command
    assert "words" not in e2i("catalog").stdout


def test_entry_points_are_looked_for_only_for_a_plug_in_that_a_spec_uses(e2i: Installation) -> None:
    e2i.list("words")
    assert not {"importlib.metadata", "e2i.catalog.plugins", "e2i_words"} & e2i.imported("validate", "plain.yaml")
    found = e2i.imported("validate", "words.yaml")
    assert {"e2i_words", "e2i_words.columns"} <= found and "e2i_words.actions" not in found


def test_catalog_schema_and_doctor_know_it(e2i: Installation) -> None:
    e2i.list("words")
    listed = {action["action"]: action for action in e2i.json("catalog")["actions"]}
    assert listed["words.count"]["required"] == ["table", "column"]
    assert "uses: words.count" in e2i("catalog", "words.count").stdout
    schema = json.loads(e2i("schema").stdout)
    step = {"uses": "words.rank", "with": {"table": "${{ steps.a.t }}", "column": "note", "top": 0}}
    wrong = {"version": 1, "name": "x", "steps": {"a": step}}
    assert [error.json_path for error in jsonschema.Draft202012Validator(schema).iter_errors(wrong)]
    row = next(tool for tool in e2i.json("doctor")["tools"] if tool["tool"] == "words")
    assert (row["installed"], row["mode"], row["reachable"]) == ("1.0.0", "embedded", True)


def test_columns_are_followed_and_parameters_checked(e2i: Installation) -> None:
    e2i.list("words")
    e2i.write("wrong.yaml", SPEC.replace("column: note}", "column: nota}").replace("top: 5", "top: 0"))
    problems = e2i.json("validate", "wrong.yaml")["problems"]
    assert [problem["path"] for problem in problems] == ["/steps/count/with/column", "/steps/rank/with/top"]


TRAIN = """version: 1
name: train
steps:
  data: {uses: dataset.hcp, with: {rows: 1000}}
  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: entity, by: hcp_id}}
  train:
    uses: model.train
    with: {table: "${{ steps.split.train }}", target: target, features: [brand, region], algorithm: small_tree}
  tune:
    uses: optuna.tune
    with:
      train: ${{ steps.split.train }}
      validation: ${{ steps.split.validation }}
      target: target
      features: [brand, region]
      algorithm: DecisionTree
      trials: 2
  explain:
    uses: shap.explain
    with: {model: "${{ steps.tune.model }}", table: "${{ steps.split.test }}", explainer: tree}
outputs: {algorithm: "${{ steps.train.model.algorithm }}"}
"""
SMALL = "algorithms:\n  small_tree: {of: DecisionTree, params: {max_depth: 2}}\n"


def test_its_algorithms_and_those_of_the_settings_are_checked_and_listed(e2i: Installation) -> None:
    e2i.list("words")
    e2i.write("config/default.yaml", f"sinks: []\nplugins: [words]\n{SMALL}")
    e2i.write("train.yaml", TRAIN)
    assert e2i("validate", "train.yaml").returncode == 0
    assert "|Dummy|DecisionTree|small_tree" in e2i("catalog", "model.train").stdout
    assert '"small_tree"' in e2i("schema").stdout
    e2i.write("wrong.yaml", TRAIN.replace("trials: 2", "fixed: {max_dept: 2}").replace("er: tree", "er: linear"))
    problems = e2i.json("validate", "wrong.yaml")["problems"]
    assert {problem["code"] for problem in problems} == {"unknown-hyperparameter", "wrong-explainer"}
    e2i.write("config/default.yaml", f"sinks: []\n{SMALL}")
    done = e2i("validate", "train.yaml")
    assert done.returncode == 2 and "default.yaml:3:15: error: algorithms.small_tree: there is no" in done.stderr


@pytest.mark.slow
def test_its_algorithms_run_in_workers_with_its_version_in_the_fingerprint(e2i: Installation) -> None:
    e2i.list("words")
    e2i.write("config/default.yaml", f"sinks: []\nplugins: [words]\n{SMALL}")
    e2i.write("train.yaml", TRAIN)
    run = e2i.json("run", "train.yaml")
    assert (run["status"], run["outputs"]["algorithm"]) == ("succeeded", "DecisionTree")
    e2i.write("config/default.yaml", f"sinks: []\nplugins: [words]\n{SMALL.replace('depth: 2', 'depth: 3')}")
    reasons = {step["id"]: step["reason"] for step in e2i.json("plan", "train.yaml")["steps"]}
    assert reasons["train"] == {"code": "parameter-changed", "detail": "small_tree.params.max_depth 2 → 3"}
    assert reasons["tune"]["code"] == "unchanged"
    info = e2i.packages / "e2i_words-1.0.0.dist-info" / "METADATA"
    text = info.read_text("utf-8")
    info.write_text(text.replace("Version: 1.0.0", "Version: 1.0.1"), "utf-8")
    try:
        reasons = {step["id"]: step["reason"] for step in e2i.json("plan", "train.yaml")["steps"]}
    finally:
        info.write_text(text, "utf-8")
    assert reasons["tune"] == {"code": "library-changed", "detail": "e2i-words 1.0.0 → 1.0.1"}
    assert reasons["split"]["code"] == "unchanged"


def test_the_policy_names_its_actions_like_any_others(e2i: Installation) -> None:
    e2i.list("words", policy='agent: {refused: ["words.rank"]}\n')
    done = e2i("validate", "words.yaml", "--origin", "agent", "--json")
    problems = json.loads(done.stdout)["problems"]
    assert (done.returncode, [problem["path"] for problem in problems]) == (3, ["/steps/rank/uses"])
    e2i.list("words", policy='agent: {refused: ["words.rnk"]}\n')
    assert "there is no action 'words.rnk'" in e2i("validate", "words.yaml", "--origin", "agent").stderr
    e2i.list(policy='agent: {refused: ["words.rank"]}\n')
    assert "there is no tool 'words'" in e2i("validate", "plain.yaml").stderr


def test_a_spec_cannot_enable_a_plug_in(e2i: Installation) -> None:
    e2i.list()
    e2i.write("own.yaml", f"plugins: [words]\n{SPEC}")
    problems = e2i.json("validate", "own.yaml", "--origin", "agent")["problems"]
    assert ("unknown-key", "/plugins") in {(problem["code"], problem["path"]) for problem in problems}


@pytest.mark.parametrize(
    ("listed", "wrong", "location", "code"),
    [
        (["debug"], '"debug" is a tool of e2i, which no plug-in replaces', "2:11", "bad-plugin"),
        (["words", "words"], '"words" is listed twice', "2:18", "bad-plugin"),
        (["Words"], "a plug-in is listed by the name of its tool", "2:11", "bad-plugin"),
    ],
)
def test_a_name_that_no_plug_in_can_have_is_refused_at_once(
    e2i: Installation, listed: list[str], wrong: str, location: str, code: str
) -> None:
    e2i.list(*listed)
    done = e2i("validate", "plain.yaml")
    assert done.returncode == 2
    assert f"config/default.yaml:{location}: error: {wrong}" in done.stderr and f"[{code}]" in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "wrong", "code"),
    [
        ("wards", None, 'the plug-in "wards" is not installed', "plugin-missing"),
        ("broken", "import nothing_of_this_name", "No module named 'nothing_of_this_name'", "bad-plugin"),
    ],
)
def test_one_that_cannot_be_loaded_is_an_error_at_its_setting_and_only_for_specs_that_use_it(
    e2i: Installation, name: str, content: str | None, wrong: str, code: str
) -> None:
    if content is not None:
        add(e2i, "broken", content)
    e2i.list("words", name)
    e2i.write("use.yaml", PLAIN.replace("debug.echo", f"{name}.echo"))
    for command in (["validate", "use.yaml"], ["run", "use.yaml"], ["plan", "use.yaml"], ["catalog", f"{name}.echo"]):
        done = e2i(*command)
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
        assert done.stderr.count("config/default.yaml:2:18: error: ") == 1
        assert wrong in done.stderr and f"[{code}]" in done.stderr
    problem = e2i.json("validate", "use.yaml")["problems"][0]
    assert (problem["code"], problem["line"], problem["column"], problem["path"]) == (code, 2, 18, "/plugins")
    assert e2i("validate", "words.yaml").returncode == 0
    assert e2i("run", "plain.yaml").returncode == 0
    catalog = e2i("catalog")
    assert catalog.returncode == 0 and "words.count" in catalog.stdout and wrong in catalog.stderr
    row = next(tool for tool in e2i.json("doctor")["tools"] if tool["tool"] == name)
    assert not row["reachable"] and row["services"][0]["code"] == code


def test_two_distributions_of_one_tool_are_refused(e2i: Installation) -> None:
    add(e2i, "words", "", package="other_words", distribution="other")
    try:
        e2i.list("words")
        done = e2i("validate", "words.yaml")
        assert (
            done.returncode == 2
            and 'more than one distribution provides the tool "words": e2i-words and other' in done.stderr
        )
    finally:
        shutil.rmtree(e2i.packages / "other-1.dist-info")


def test_a_defect_of_a_plug_in_is_not_one_of_e2i(e2i: Installation) -> None:
    text = (EXAMPLE / "e2i_words" / "__init__.py").read_text("utf-8")
    declaration = text.replace('name="words"', 'name="broken"').replace("e2i_words", "broken")
    add(e2i, "broken", declaration)
    (e2i.packages / "broken" / "columns.py").write_text("def count(given, files):\n    return 1 / 0\n")
    e2i.list("broken")
    e2i.write("use.yaml", SPEC.replace("words.", "broken."))
    done = e2i("validate", "use.yaml")
    assert done.returncode == 2 and "the column flow of broken.count failed (ZeroDivisionError" in done.stderr
    validator = "    def model_post_init(self, context):\n        raise RuntimeError('of mine')\n"
    add(e2i, "broken", declaration.replace("\n\nclass RankOutputs", f"{validator}\n\nclass RankOutputs"))
    (e2i.packages / "broken" / "columns.py").write_text("from e2i_words.columns import count\n")
    done = e2i("validate", "use.yaml")
    assert done.returncode == 2 and "the validation of broken.rank failed (RuntimeError: of mine)" in done.stderr
    add(e2i, "broken", declaration)
    (e2i.packages / "broken" / "columns.py").write_text("from e2i_words.columns import count\n")
    done = e2i("run", "use.yaml", "--json")  # it has no module of actions
    steps = json.loads(done.stdout.splitlines()[-1])["steps"]
    assert done.returncode == 1 and steps["rank"]["error"]["code"] == "bad-plugin"
    (e2i.packages / "broken" / "actions.py").write_text("def rank(params, ctx):\n    import nothing_of_this_name\n")
    error = e2i.json("run", "use.yaml")["steps"]["rank"]["error"]
    assert (error["code"], error["hint"]) == ("tool-missing", "install the requirements of the plug-in broken")


def test_the_example_passes_its_own_tests(e2i: Installation) -> None:
    shutil.copytree(EXAMPLE / "tests", e2i.project / "tests", dirs_exist_ok=True)
    done = subprocess.run(
        [e2i.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:opik", "tests"],
        cwd=e2i.project,
        capture_output=True,
        text=True,
        timeout=LONGEST,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def add(e2i: Installation, name: str, content: str, *, package: str = "", distribution: str = "") -> None:
    """Adds a distribution with a tool, as an installer would leave it."""
    package, distribution = package or name, distribution or name
    shutil.rmtree(e2i.packages / package, ignore_errors=True)
    info = e2i.packages / f"{distribution}-1.dist-info"
    for folder in (e2i.packages / package, info):
        folder.mkdir(exist_ok=True)
    (e2i.packages / package / "__init__.py").write_text(content)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[e2i.tools]\n{name} = {package}:TOOL\n")
