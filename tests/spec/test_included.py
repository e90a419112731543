from __future__ import annotations

import pytest

from e2i.spec.included import MAX_DEPTH, NoIncludedSpecError, ReadIncluded, gather
from e2i.spec.load import LoadedSpec, load
from e2i.spec.operations import Replace
from e2i.spec.problems import Problem

PART = "version: 1\nname: part\nsteps:\n  a: {uses: debug.echo}\n"


def reader(files: dict[str, str]) -> ReadIncluded:
    def read(file: str) -> str:
        if file not in files:
            raise NoIncludedSpecError(f"there is no file {file}", "look again")
        return files[file]

    return read


def gathered(files: dict[str, str], main: str = "specs/main.yaml") -> tuple[LoadedSpec, list[Problem]]:
    loaded, problems = load(files[main], main)
    assert loaded is not None, problems
    return gather(loaded, main, reader(files))


def including(*uses: str) -> str:
    steps = "".join(f"  s{index}: {{uses: {name}}}\n" for index, name in enumerate(uses))
    return f"version: 1\nname: p\nsteps:\n{steps}"


def test_a_part_is_found_from_the_file_that_names_it() -> None:
    files = {
        "specs/main.yaml": including("./parts/a.yaml", "../shared/b.yml"),
        "specs/parts/a.yaml": including("./c.yaml"),
        "specs/parts/c.yaml": PART,
        "shared/b.yml": PART,
    }
    loaded, problems = gathered(files)
    assert problems == []
    assert [included_spec.document.file for included_spec in loaded.files()] == [
        "specs/main.yaml", "specs/parts/a.yaml", "shared/b.yml", "specs/parts/c.yaml"
    ]  # fmt: skip


def test_a_file_is_read_once_however_often_it_is_included() -> None:
    files = {
        "m.yaml": including("./a.yaml", "./b.yaml", "./././a.yaml"),
        "a.yaml": including("./b.yaml"),
        "b.yaml": PART,
    }
    read: list[str] = []
    loaded, _ = load(files["m.yaml"], "m.yaml")
    assert loaded is not None

    def once(file: str) -> str:
        read.append(file)
        return files[file]

    found, problems = gather(loaded, "m.yaml", once)
    assert (problems, sorted(read)) == ([], ["a.yaml", "b.yaml"])
    assert found.included["./a.yaml"] is found.included["./././a.yaml"]


def test_a_circle_is_named_whole() -> None:
    files = {"m.yaml": including("./a.yaml"), "a.yaml": including("./b.yaml"), "b.yaml": including("./a.yaml")}
    _, problems = gathered(files, "m.yaml")
    assert [(problem.code, str(problem.location)) for problem in problems] == [("include-cycle", "b.yaml:4:14")]
    assert "a.yaml → b.yaml → a.yaml" in problems[0].message


def test_a_spec_cannot_include_itself_by_another_spelling() -> None:
    _, problems = gathered({"x/m.yaml": including("../x/./m.yaml")}, "x/m.yaml")
    assert "x/m.yaml → x/m.yaml" in problems[0].message


def test_parts_are_nested_so_deep_and_no_deeper() -> None:
    def chain(length: int) -> dict[str, str]:
        files = {f"p{index}.yaml": including(f"./p{index + 1}.yaml") for index in range(length)}
        return {**files, f"p{length}.yaml": PART}

    assert gathered(chain(MAX_DEPTH), "p0.yaml")[1] == []
    _, problems = gathered(chain(MAX_DEPTH + 1), "p0.yaml")
    assert [problem.code for problem in problems] == ["bad-include"]


@pytest.mark.parametrize("uses", ["./part.txt", "/etc/part.yaml", "part.yaml", "~/part.yaml", "'.\\part.yaml'", "./.."])
def test_what_does_not_name_a_part_is_refused_unread(uses: str) -> None:
    _, problems = gathered({"m.yaml": including(uses)}, "m.yaml")
    assert [problem.code for problem in problems] == ["bad-include"]


def test_a_path_that_lacks_its_start_is_mended() -> None:
    _, problems = gathered({"m.yaml": including("parts/a.yaml")}, "m.yaml")
    assert problems[0].fixes == (Replace(path="/steps/s0/uses", value="./parts/a.yaml"),)


def test_problems_of_a_part_stand_in_its_file_once() -> None:
    files = {"m.yaml": including("./a.yaml", "./a.yaml"), "a.yaml": "version: 1\nname: a\nstep: {}\n"}
    loaded, problems = gathered(files, "m.yaml")
    assert {problem.location.file for problem in problems} == {"a.yaml"}
    assert [problem.code for problem in problems] == ["unknown-key"]
    assert loaded.included == {"./a.yaml": None}


def test_a_part_that_is_not_there_is_a_problem_of_the_step() -> None:
    _, problems = gathered({"m.yaml": including("./a.yaml")}, "m.yaml")
    assert (problems[0].code, problems[0].path, problems[0].hint) == ("no-such-include", "/steps/s0/uses", "look again")
