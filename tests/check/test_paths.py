from __future__ import annotations

import pytest

from e2i import policy
from e2i.check import paths
from e2i.policy import Rules

HUMAN, AGENT = policy.default().human, policy.default().agent


def code(text: str, rules: Rules = HUMAN, found: str = "file") -> str | None:
    problem = paths.check(text, rules, lambda path: found)  # type: ignore[arg-type, return-value]  # one of its words
    return problem.code if problem else None


@pytest.mark.parametrize(
    "text", ["data.csv", "data/a.csv", "./data/../a.csv", "a..csv", "..%2f..%2fetc", "~/x", "a b/ü.csv"]
)
def test_files_of_the_workspace_are_allowed(text: str) -> None:
    assert code(text) is None


@pytest.mark.parametrize(
    "text", ["../x", "a/../../x", "..", "/etc/passwd", "//etc/passwd", "/proc/self/environ", "/dev/zero"]
)
def test_what_is_elsewhere_is_not(text: str) -> None:
    assert code(text) == "policy-path"


@pytest.mark.parametrize("text", ["", "a\0b", "a\nb", "https://x/y.csv", "file:///etc/passwd", "s3://b/k", "a/" * 600])
def test_what_is_no_path_is_told_apart(text: str) -> None:
    assert code(text) == "bad-path"


def test_links_folders_and_devices_are_told_by_looking() -> None:
    assert [code("x", found=found) for found in ("outside", "directory", "special", "missing")] == [
        "policy-path", "bad-path", "bad-path", None,
    ]  # fmt: skip


def test_roots_open_up_folders_and_shut_out_others() -> None:
    rules = HUMAN.model_copy(update={"roots": ("data", "/srv/shared")})
    texts = ("data/a.csv", "/srv/shared/a.csv", "other/a.csv", "/srv/sharedx/a.csv", "data/../a")
    assert [code(text, rules) for text in texts] == [
        None, None, "policy-path", "policy-path", "policy-path",
    ]  # fmt: skip
    everything = HUMAN.model_copy(update={"roots": ("/",)})
    assert [code(text, everything) for text in ("/etc/hosts", "/proc/1/environ")] == [None, "policy-path"]


def test_hidden_names_are_for_people() -> None:
    assert code(".env") is None
    assert code(".env", AGENT) == code("data/.git/config", AGENT) == "policy-path"
    assert code("./data/x.csv", AGENT) is None


def test_a_pattern_in_the_folder_of_the_settings_is_not_allowed() -> None:
    looked = {
        text: paths.check(text, HUMAN, lambda path: "directory", many=True) for text in ("config/*.yaml", "./config/*")
    }
    assert {text: found.code if found else None for text, found in looked.items()} == dict.fromkeys(
        looked, "policy-path"
    )
    assert paths.check("config/expectations/*.csv", HUMAN, lambda path: "directory", many=True) is None
