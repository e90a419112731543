"""``e2i init``: a project that runs, and a first spec for tables of several kinds."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from e2i import api
from e2i.cli.main import e2i
from e2i.scaffold import project as scaffold
from e2i.scaffold.spec import for_table
from e2i.scaffold.table import TableFacts, examine
from project import Project

ROOT = Path(__file__).parents[2]


@pytest.fixture
def init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs ``e2i init`` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("E2I_STORE", raising=False)
    return lambda *arguments: CliRunner().invoke(e2i, ["init", *arguments])


def csv(names: str, rows: list[list[object]]) -> str:
    return "\n".join([names, *(",".join("" if cell is None else str(cell) for cell in row) for row in rows)]) + "\n"


def customers() -> tuple[str, bytes, str]:
    """Text classes, identifiers with leading zeros that rows share, times."""
    chance = random.Random(1)
    rows = [
        [f"{index % 80:05}", f"2026-01-{index % 28 + 1:02}", chance.choice("abc"), x := chance.random(), "yn"[x > 0.4]]
        for index in range(400)
    ]
    return "data/customers.csv", csv("customer_id,day,group,amount,churned", rows).encode(), "churned"


def prices() -> tuple[str, bytes, str]:
    """Numbers to predict, some of them missing; a unique key; odd names."""
    chance = random.Random(2)
    rows = [
        [f"h-{index}", x := chance.random() * 90, chance.choice(["north", "south"]), None if index % 9 == 0 else 3 * x]
        for index in range(300)
    ]
    return "houses 2026.csv", csv('house,"size: m²","the region","price #"', rows).encode(), "price #"


def grades() -> tuple[str, bytes, str]:
    """Whole numbers as classes; a constant and an empty column."""
    chance = random.Random(3)
    rows = [[x := chance.random(), chance.random(), "same", None, int(x * 3)] for _ in range(300)]
    return "grades.csv", csv("x,y,constant,nothing,grade", rows).encode(), "grade"


def sensors() -> tuple[str, bytes, str]:
    """Compressed; times with an offset; a target of true and false; missing numbers."""
    chance = random.Random(4)
    rows = [
        [f"2026-02-01T10:00:{index % 60:02}+01:00", x := chance.random(), None if index % 5 == 0 else 1, x > 0.5]
        for index in range(300)
    ]
    return "raw/sensors.csv.gz", gzip.compress(csv("at,level,flag,alarm", rows).encode()), "alarm"


def texts() -> tuple[str, bytes, str]:
    """Free text, words that YAML takes for something else, a count to predict."""
    chance = random.Random(5)
    rows = [
        [f"remark {chance.random()} {index}", x := chance.randrange(50), ["on", "off"][x % 2], 2 * x + index % 3]
        for index in range(300)
    ]
    return "t.csv", csv("remark,null,yes,count", rows).encode(), "count"


def passengers() -> tuple[str, bytes, str]:
    """Semicolons and decimal commas; rows that are numbered; a name like those of other programs."""
    chance = random.Random(6)
    rows = [
        [f"{index};{2 * index + 5};{index % 90};{x:.3f}".replace(".", ",") + f";{int(x > 0.5)}"]
        for index, x in ((index, chance.random()) for index in range(300))
    ]
    return "passengers.csv", csv("position;PassengerId;paid;fare;survived", rows).encode(), "survived"


KINDS = (customers, prices, grades, sensors, texts, passengers)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_spec_for_a_table_is_valid(kind: Callable[[], tuple[str, bytes, str]], init: Callable[..., Result]) -> None:
    path, content, target = kind()
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_bytes(content)
    made = init("--from", path, "--target", target, "--json")
    assert made.exit_code == 0, made.output
    document = json.loads(made.stdout)
    assert api.validate(Path(document["spec"])).problems == ()
    assert document["kept"] == []


@pytest.mark.parametrize(
    "kind",
    [
        customers,
        pytest.param(prices, marks=pytest.mark.slow),
        *(pytest.param(kind, marks=pytest.mark.sweep) for kind in (grades, sensors, texts, passengers)),
    ],
)
def test_the_spec_for_a_table_runs(kind: Callable[[], tuple[str, bytes, str]], project: Project) -> None:
    project.write("config/default.yaml", "sinks: []\nworkers: 1\n")
    path, content, target = kind()
    (project.root / path).parent.mkdir(exist_ok=True)
    (project.root / path).write_bytes(content)
    spec = for_table("first", path, examine(project.root / path, path, target))
    record = project.run(spec)
    assert record.status == "succeeded", record.to_json()
    metrics = record.outputs["test"]
    assert metrics.get("roc_auc", metrics.get("r2", metrics.get("accuracy", 0))) > 0.8, metrics


def facts(tmp_path: Path, kind: Callable[[], tuple[str, bytes, str]]) -> TableFacts:
    path, content, target = kind()
    file = tmp_path / Path(path).name
    file.write_bytes(content)
    return examine(file, path, target)


def test_each_column_has_its_role(tmp_path: Path) -> None:
    found = facts(tmp_path, customers)
    assert [(column.name, column.role, column.read_as) for column in found.columns] == [
        ("customer_id", "key", "string"), ("day", "time", "time"), ("group", "feature", None),
        ("amount", "feature", None), ("churned", "target", None),
    ]  # fmt: skip
    assert (found.task, found.entity, found.is_target_complete) == ("classification", "customer_id", True)
    found = facts(tmp_path, prices)
    assert (found.task, found.names("key"), found.entity, found.is_target_complete) == (
        "regression", ["house"], None, False,
    )  # fmt: skip
    found = facts(tmp_path, grades)
    assert (found.task, found.names("constant"), found.names("empty")) == ("classification", ["constant"], ["nothing"])
    assert facts(tmp_path, texts).names("key", "text") == ["remark"]
    found = facts(tmp_path, passengers)
    assert found.names("key") == ["position", "PassengerId"]
    assert found.names("feature") == ["paid", "fare"]


def test_how_the_file_is_written_is_stated(tmp_path: Path) -> None:
    assert facts(tmp_path, passengers).dialect == {"delimiter": ";", "decimal": ","}
    assert facts(tmp_path, sensors).dialect == {}


def test_a_project_that_is_there_is_kept(init: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "policy.yaml").write_text("human: {}\n")
    made = init()
    assert made.exit_code == 0, made.output
    assert "kept   config/policy.yaml, which exists already" in made.stdout
    assert (tmp_path / "config" / "policy.yaml").read_text() == "human: {}\n"
    again = init()
    assert (again.exit_code, "specs/starter.yaml exists already" in again.stderr) == (2, True)
    assert init("--name", "second").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--target", "y"], "bad-option"),
        (["--from", "x.csv"], "bad-option"),
        (["--from", "x.csv", "--target", "y"], "no-such-file"),
        (["--name", "Not A Name"], "bad-option"),
        (["--from", "there.csv", "--target", "z"], "unknown-column"),
        (["--from", "there.csv", "--target", "a"], "bad-target"),
        (["--from", "/etc/passwd", "--target", "a"], "bad-path"),
        (["--from", "there.txt", "--target", "a"], "unknown-format"),
    ],
)
def test_bad_input_writes_nothing(init: Callable[..., Result], tmp_path: Path, arguments: list[str], code: str) -> None:
    (tmp_path / "there.csv").write_text("a,b\n1,2\n1,3\n")
    (tmp_path / "there.txt").write_text("a,b\n1,2\n1,3\n")
    made = init(*arguments)
    assert (made.exit_code, f"[{code}]" in made.stderr) == (2, True), made.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there.csv", "there.txt"]


@pytest.mark.parametrize("name", scaffold.TEMPLATES)
def test_the_templates_are_the_files_of_this_project(name: str) -> None:
    template = ROOT / "engine" / "e2i" / "scaffold" / "templates" / name
    assert template.read_bytes() == (ROOT / "config" / name).read_bytes()


def test_the_starter_is_valid(init: Callable[..., Result]) -> None:
    assert init().exit_code == 0
    assert api.validate(Path("specs/starter.yaml")).problems == ()
