"""Changes of columns and types between two git revisions: which steps and cases they break, and which they do not."""

from __future__ import annotations

import random
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from e2i.errors import BadInput
from e2i.impact import running
from e2i.impact.results import ImpactDocument
from project import Project

KINDS = {"id": pa.int64(), "age": pa.int64(), "amount": pa.int64(), "rate": pa.float64(), "name": pa.string()}


class Repository(Project):
    """A project in a git repository of its own."""

    def git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        subprocess.run(["git", *identity, *arguments], cwd=self.root, check=True, capture_output=True)

    def commit(self) -> None:
        if not (self.root / ".git").is_dir():
            self.git("init", "-q")
        self.git("add", "-A")
        self.git("commit", "-qm", "a change", "--allow-empty")

    def impact(self, text: str = "HEAD~1..HEAD") -> ImpactDocument:
        return running.impact(text, self.workspace)

    def table(self, name: str, kinds: dict[str, pa.DataType]) -> None:
        columns = {column: pa.array([1, 2, 3]).cast(kind) for column, kind in kinds.items()}
        parquet.write_table(pa.table(columns), self.root / name)


@dataclass
class Written:
    """A generated spec, with the columns that each step names, and how."""

    text: str
    named: dict[str, set[str]] = field(default_factory=dict)
    """Step → the columns that it names and that come from the file."""
    numbers: dict[str, set[str]] = field(default_factory=dict)
    """Step → those of them that must be numbers."""
    upstream: dict[str, str] = field(default_factory=dict)


def written(index: int, chance: random.Random) -> Written:
    """A spec of a table and up to seven steps, each on the table of an earlier one."""
    lines = [f"version: 1\nname: s{index}\nsteps:", f"  load: {{uses: data.load, with: {{path: t{index}.parquet}}}}"]
    made = Written("")
    there = {"load": set(KINDS)}
    for number in range(chance.randint(2, 7)):
        above = chance.choice(list(there))
        columns, step = there[above], f"s{number}"
        table = f'table: "${{{{ steps.{above}.table }}}}"'
        made.upstream[step] = above
        kind = chance.choice(["select", "where", "mean", "split"])
        numeric = sorted(columns & {"age", "amount", "rate"})
        if kind == "mean" and numeric:
            by, of = chance.choice(sorted(columns)), chance.choice(numeric)
            lines.append(
                f"  {step}: {{uses: table.aggregate, with: {{{table}, by: [{by}], columns: {{m: {{fn: mean, of: {of}}}}}}}}}"
            )
            made.named[step], made.numbers[step] = {by, of}, {of}
            continue  # no column of the file goes on, but `by`
        if kind == "where" and numeric:
            of = chance.choice(numeric)
            lines.append(
                f"  {step}: {{uses: data.select, with: {{{table}, where: [{{column: {of}, op: ge, value: 1}}]}}}}"
            )
            made.named[step], made.numbers[step], there[step] = {of}, {of}, set(columns)
        elif kind == "split":
            by = chance.choice(sorted(columns))
            lines.append(f"  {step}: {{uses: data.split, with: {{{table}, strategy: entity, by: {by}}}}}")
            made.named[step] = {by}
        else:
            kept = set(chance.sample(sorted(columns), chance.randint(1, len(columns))))
            lines.append(f"  {step}: {{uses: data.select, with: {{{table}, columns: [{', '.join(sorted(kept))}]}}}}")
            made.named[step], there[step] = kept, kept
    made.text = "\n".join(lines) + "\n"
    return made


def _judged(project: Repository, specs: list[Written], chance: random.Random, edits: int) -> tuple[int, int, int]:
    """Makes edits, one a commit. Returns how many steps were rightly found, wrongly found, and missed."""
    right = wrong = missed = 0
    for _ in range(edits):
        index = chance.randrange(len(specs))
        column = chance.choice(sorted(KINDS))
        kind = chance.choice(["drop", "rename", "text", "double"])
        new = {
            "drop": {name: own for name, own in KINDS.items() if name != column},
            "rename": {f"{name}2" if name == column else name: own for name, own in KINDS.items()},
            "text": {name: pa.string() if name == column else own for name, own in KINDS.items()},
            "double": {name: pa.float32() if name == column else own for name, own in KINDS.items()},
        }[kind]
        project.table(f"t{index}.parquet", new)
        project.commit()
        spec = specs[index]
        naming = {step for step, columns in spec.named.items() if column in columns}
        if kind in ("drop", "rename"):
            expected = {(step, "breaks") for step in naming}
        elif new[column] == KINDS[column]:
            expected = set()
        else:
            numbers = {step for step in naming if kind == "text" and column in spec.numbers.get(step, ())}
            expected = {(step, "breaks" if step in numbers else "retyped") for step in naming}
        document = project.impact()
        assert {one.spec for one in document.specs} <= {f"s{index}.yaml"}
        found = {(one.step, one.effect) for spec in document.specs for one in spec.steps if one.effect != "blocked"}
        if found != expected:
            print(kind, column, spec.text, "found", found - expected, "missed", expected - found)
        right, wrong, missed = (
            right + len(found & expected),
            wrong + len(found - expected),
            missed + len(expected - found),
        )
        project.table(f"t{index}.parquet", KINDS)
        project.commit()
    return right, wrong, missed


def _project(root: Path, count: int, chance: random.Random) -> tuple[Repository, list[Written]]:
    project = Repository(root)
    specs = [written(index, chance) for index in range(count)]
    for index, spec in enumerate(specs):
        project.write(f"s{index}.yaml", spec.text)
        project.table(f"t{index}.parquet", KINDS)
    project.commit()
    return project, specs


def test_steps_that_name_a_changed_column_are_found_and_no_others(tmp_path: Path) -> None:
    chance = random.Random(16)
    project, specs = _project(tmp_path, 2, chance)
    assert all(project.plan(project.root / f"s{index}.yaml").steps for index in range(2))
    right, wrong, missed = _judged(project, specs, chance, 3)
    assert right > 0 and wrong == missed == 0


@pytest.mark.parametrize(
    "text", ["steps: [a]\n", "steps: {a: {uses: debug.echo}\n", "[]\n", "\x00", "a: &a [*a]\n", "#" * (9 << 20)]
)
def test_a_spec_that_can_no_longer_be_read_breaks(tmp_path: Path, text: str) -> None:
    repository = Repository(tmp_path)
    repository.write("s.yaml", "version: 1\nname: s\nsteps: {a: {uses: debug.echo, with: {value: 1}}}\n")
    repository.commit()
    repository.write("s.yaml", text)
    repository.commit()
    found = repository.impact()
    assert (found.compared, [spec.spec for spec in found.specs]) == (1, ["s.yaml"]) and found.breaks >= 1


@pytest.mark.sweep
def test_50_edits_over_30_specs(tmp_path: Path) -> None:
    chance = random.Random(7)
    project, specs = _project(tmp_path, 30, chance)
    right, wrong, missed = _judged(project, specs, chance, 50)
    print(f"{right} steps found, {wrong} of them wrongly, {missed} missed")
    assert right >= 50 and wrong == missed == 0


SPEC = """\
version: 1
name: s
steps:
  load: {uses: data.load, with: {path: t.parquet}}
  keep: {uses: data.select, with: {table: "${{ steps.load.table }}", columns: [id, age]}}
  end: {uses: debug.echo, with: {value: "${{ steps.keep.table.rows }}"}}
"""
TESTS = """\
tests: ./s.yaml
cases:
  keeps: {given: {load: {table: {rows: [{id: 1, age: 2}]}}}, run: [keep], expect: {holds: "${{ true }}"}}
  names: {given: {load: {table: {rows: [{id: 1, name: x}]}}}, run: [keep]}
  wrong: {given: {}, run: [keep], expect: {problem: unknown-column}}
"""


def test_cases_that_fail_for_certain_are_named_with_their_reason(tmp_path: Path) -> None:
    project = Repository(tmp_path)
    project.write("s.yaml", SPEC)
    project.write(
        "s.test.yaml", TESTS.replace("  wrong: {given: {}, run: [keep], expect: {problem: unknown-column}}\n", "")
    )
    project.table("t.parquet", KINDS)
    project.commit()
    project.table("t.parquet", {name: kind for name, kind in KINDS.items() if name != "name"})
    project.commit()
    (spec,) = project.impact().specs
    assert [(one.column, one.before, one.after) for one in spec.columns] == [("name", "string", None)]
    assert spec.steps == [] and [(one.case, one.effect) for one in spec.cases] == [("names", "breaks")]
    project.table("t.parquet", {name: kind for name, kind in KINDS.items() if name != "age"})
    project.commit()
    (spec,) = project.impact("HEAD~2..").specs
    assert [(one.step, one.effect) for one in spec.steps] == [("keep", "breaks"), ("end", "blocked")]
    assert [(one.case, one.effect) for one in spec.cases] == [("keeps", "breaks"), ("names", "breaks")]
    done = project.cli("impact", "HEAD~2..HEAD")
    assert done.returncode == 1 and "✗ keep: s.yaml:5:" in done.stdout and "2 test cases break" in done.stdout
    assert project.cli("impact", "HEAD..HEAD").returncode == 0
    assert project.cli("impact", "nothing..HEAD").returncode == 2
    with pytest.raises(BadInput):
        project.impact("..HEAD")
