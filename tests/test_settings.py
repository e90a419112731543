from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from e2i import settings
from e2i.errors import BadInput, E2IError, Exit, InvalidSpec


def load(
    folder: Path, profile: str | None = None, environ: Mapping[str, str] | None = None, **files: str
) -> settings.Settings:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return settings.load(folder, profile, environ or {})


def test_without_files_there_are_defaults(tmp_path: Path) -> None:
    found = load(tmp_path / "none")
    assert found.profile == "default"
    assert found.sinks == ("mlflow", "opik")


def test_a_profile_lies_over_the_default_key_by_key(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        "prod",
        default="workers: 2\nenv: {A: a, B: b}\nsinks: [opik]\n",
        prod="env: {B: other}\nsinks: []\n",
    )
    assert (found.profile, found.workers, dict(found.env), found.sinks) == ("prod", 2, {"A": "a", "B": "other"}, ())


def test_a_profile_without_a_file_is_refused_and_the_others_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as raised:
        load(tmp_path, "prdo", prod="{}\n", dev="{}\n", policy="{}\n")
    assert raised.value.hint == "profiles here: dev, prod"


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        ("${PORT}", {"PORT": "5000"}, 5000),
        ("${PORT:-6000}", {}, 6000),
        ("${PORT:-6000}", {"PORT": ""}, 6000),
        ("a-${PORT:-x}-b", {}, "a-x-b"),
        ("a${EMPTY}b", {"EMPTY": ""}, "ab"),
        ("${A:-}", {}, None),
        ("$A $$ {B}", {}, "$A $$ {B}"),
        ("${A}", {"A": "${B}"}, "${B}"),
        ("${NO}", {"NO": "no"}, "no"),
    ],
)
def test_variables_are_filled_in(text: str, environ: dict[str, str], expected: object) -> None:
    assert settings._substitute({"x": [text]}, environ, Path("f"))["x"] == [expected]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("wokrers: 2\n", "wokrers"),
        ("workers: 0\n", "workers"),
        ("timeout: soon\n", "soon"),
        ("tools: {mlfow: {}}\n", "mlfow"),
        ("tools: {mlflow: {trackign: x}}\n", "trackign"),
        ("sinks: [mlfow]\n", "mlfow"),
        ("sinks: [debug]\n", "debug"),
        ("env: {A: '${NOT_SET}'}\n", "NOT_SET"),
    ],
)
def test_a_wrong_setting_is_found_before_anything_runs(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(E2IError, match=said) as raised:
        load(tmp_path, default=text).check()
    assert raised.value.exit_code is Exit.BAD_INPUT


def test_settings_of_tools_that_are_not_used_are_not_looked_at(tmp_path: Path) -> None:
    found = load(tmp_path, default="tools: {mlflow: {trackign: x}, debug: {deadline: 5}}\nsinks: [debug]\n")
    found.check(["debug", "python"])
    with pytest.raises(BadInput, match="trackign"):
        found.check(["mlflow"])


def test_a_file_of_comments_is_the_defaults_but_an_empty_one_was_cut_off(tmp_path: Path) -> None:
    assert load(tmp_path, default="# workers: 2\n") == load(tmp_path / "none")
    with pytest.raises(BadInput, match=r"default\.yaml is empty") as raised:
        load(tmp_path, default="\n")
    assert raised.value.hint == "write {} or a comment for the defaults, or remove the file"


def test_yaml_that_cannot_be_read_has_a_place(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec) as raised:
        load(tmp_path, default="workers: 1\nworkers: 2\n")
    (problem,) = raised.value.problems
    assert (problem.location.file, problem.location.line, problem.code) == (
        str(tmp_path / "default.yaml"),
        2,
        "duplicate-key",
    )


def test_settings_of_a_tool_are_its_own_model(tmp_path: Path) -> None:
    found = load(tmp_path, default="tools: {debug: {deadline: 5}}\n")
    assert found.tool("debug").deadline == 5
    assert found.tool("python").deadline == 30
    with pytest.raises(BadInput):
        found.tool("nothing")


def test_settings_survive_the_way_to_a_worker(tmp_path: Path) -> None:
    found = load(tmp_path, default="tools: {debug: {deadline: 5}}\nsecrets: {A: B}\n")
    assert settings.Settings.model_validate_json(found.model_dump_json()).model_dump() == found.model_dump()


def test_the_credentials_of_tools_are_known_whatever_holds_them() -> None:
    known = settings.Settings(
        tools={
            "optuna": {"study_storage": "postgresql+psycopg://u:k9Xq%2FmZvT@host/db"},
            "feast": {"online": {"address": "redis://:tR7wPz3Qb8@host", "password": "Yb5hQn8Wd2"}},
            "opik": {"url": "https://host/api?token=Jd4Kp9Zt6x", "api_key": "Hs6Gv2Mc9q", "workspace": "mine"},
            "mlflow": {"tracking_uri": "http://mlflow:postgres@host"},
        }
    )
    assert known.credentials(["optuna"]) == {"u:k9Xq%2FmZvT@", "k9Xq%2FmZvT", "k9Xq/mZvT"}
    assert known.credentials(["feast", "opik"]) == {
        ":tR7wPz3Qb8@",
        "tR7wPz3Qb8",
        "Yb5hQn8Wd2",
        "Jd4Kp9Zt6x",
        "Hs6Gv2Mc9q",
    }
    assert known.credentials(["mlflow"]) == {"mlflow:postgres@"}  # the word alone may be data
    assert known.credentials(["python"]) == set()


def test_plug_ins_are_listed_with_their_location_and_a_profile_replaces_the_list(tmp_path: Path) -> None:
    (tmp_path / "default.yaml").write_text("sinks: []\nplugins:\n  - words\n  - '${ANOTHER}'\n")
    (tmp_path / "none.yaml").write_text("plugins: []\n")
    (tmp_path / "prod.yaml").write_text("plugins: [maps]\n")
    (tmp_path / "dev.yaml").write_text("workers: 2\n")
    default = load(tmp_path, None, {"ANOTHER": "charts"})
    assert {name: str(where) for name, where in default.registry.plugins.items()} == {
        "words": f"{tmp_path}/default.yaml:3:5",
        "charts": f"{tmp_path}/default.yaml:4:5",
    }
    assert settings.Settings.model_validate_json(default.model_dump_json()).registry.plugins == default.registry.plugins
    plugins = {name: load(tmp_path, name, {"ANOTHER": "a"}).registry.plugins for name in ("none", "prod", "dev")}
    assert {name: sorted(found) for name, found in plugins.items()} == {
        "none": [],
        "prod": ["maps"],
        "dev": ["a", "words"],
    }


@pytest.mark.parametrize(
    "written", ["words", "{words: true}", "[1]", "[[words]]", "[{name: words}]", "['a.b']", "[mlflow]"]
)
def test_a_list_of_plug_ins_that_is_none_is_refused_at_its_location(tmp_path: Path, written: str) -> None:
    (tmp_path / "default.yaml").write_text(f"plugins: {written}\n")
    with pytest.raises(InvalidSpec) as raised:
        load(tmp_path, None, {})
    (problem,) = raised.value.problems
    assert (problem.location.line, problem.path.split("/")[1]) == (1, "plugins")


def test_settings_of_a_tool_that_is_not_listed_are_refused(tmp_path: Path) -> None:
    (tmp_path / "default.yaml").write_text("tools: {words: {deadline: 3}}\n")
    with pytest.raises(BadInput, match="there is no tool 'words'"):
        load(tmp_path, None, {})
    (tmp_path / "default.yaml").write_text("plugins: [words]\ntools: {words: {deadline: 3}}\n")
    load(tmp_path, None, {}).check()  # it is not installed, and nothing uses it
