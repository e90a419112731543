"""Key files: encrypted, private, and refused where steps could read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from approvals_project import Approved
from e2i.approvals import keyfile
from e2i.documents import plain
from e2i.errors import BadInput, Refused

CHEAP = 2**14


def test_the_commands_make_a_key_approve_list_and_revoke(project: Approved) -> None:
    home = project.root.parent / "home"
    words, other = project.root.parent / "words", project.root.parent / "other"
    words.write_text("correct horse battery\n")
    other.write_text("another passphrase\n")
    env = {"XDG_CONFIG_HOME": str(home)}
    secret = ("--passphrase-file", str(words))
    made = plain(keyfile.make(home / "e2i/keys/bob.key", "bob", "correct horse battery", cost=CHEAP))
    project.write("plan.json", json.dumps(project.planned().to_json()))
    assert "lists no key of yours" in project.cli("approve", "plan.json", *secret, env=env).stderr
    project.write(
        "config/policy.yaml",
        (project.root / "config/policy.yaml").read_text().replace("alice: '", f"bob: '{made['public']}', alice: '"),
    )
    wrong = project.cli("approve", "plan.json", "--passphrase-file", str(other), env=env)
    assert (wrong.returncode, "bad-passphrase" in wrong.stderr) == (3, True)
    assert project.cli("approve", "plan.json", *secret, env={**env, "E2I_ORIGIN": "agent"}).returncode == 3
    long = project.cli("approve", "plan.json", "--expires", "91d", *secret, env=env)
    assert (long.returncode, "at most 90d" in long.stderr) == (2, True)
    written = project.cli(
        "approve", "plan.json", "--once", "--note", "seen", "-o", "ok.json", *secret, "--json", env=env
    )
    approval = json.loads(written.stdout)
    assert (approval["by"], approval["once"], approval["note"]) == ("bob", True, "seen")
    assert project.outcome().startswith("not-approved"), "it is in no store yet"
    assert project.cli("approvals", "--add", "ok.json").returncode == 0
    assert project.outcome() == "succeeded"
    (listed,) = json.loads(project.cli("approvals", "--json").stdout)["approvals"]
    assert (listed["state"], listed["approval"], len(listed["runs"])) == ("used", approval, 1)
    assert project.cli("revoke", approval["id"][:6]).returncode == 0
    assert "revoked" in project.cli("approvals").stdout


def test_the_command_makes_a_key_that_only_its_owner_may_read(project: Approved) -> None:
    words = project.write("words", "correct horse battery\n")
    env = {"XDG_CONFIG_HOME": str(project.root.parent / "home")}
    made = json.loads(project.cli("keys", "make", "bob", "--passphrase-file", str(words), "--json", env=env).stdout)
    (key,) = made["keys"]
    file = Path(key["file"])
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert "correct" not in file.read_text()
    assert json.loads(project.cli("keys", "list", "--json", env=env).stdout) == made


def test_a_key_is_refused_where_steps_or_others_could_read_it(project: Approved) -> None:
    words = project.write("words", "correct horse battery\n")
    for place in ("alice.key", ".e2i/alice.key"):
        refused = project.cli("keys", "make", "alice", "--file", place, "--passphrase-file", str(words))
        assert (refused.returncode, "where steps may read it" in refused.stderr) == (2, True)
    with pytest.raises(BadInput, match="fewer than 8"):
        keyfile.make(project.root / "k.key", "alice", "short")
    path = project.root.parent / "k.key"
    keyfile.make(path, "alice", "correct horse battery", cost=CHEAP)
    with pytest.raises(BadInput, match="exists"):
        keyfile.make(path, "alice", "correct horse battery", cost=CHEAP)
    renamed = path.read_text().replace(keyfile.named(path).public, keyfile.public_text(project.alice))
    path.write_text(renamed)
    with pytest.raises(Refused, match="does not open"):
        keyfile.opened(path, "correct horse battery")
    path.chmod(0o640)
    with pytest.raises(Refused, match="others may read"):
        keyfile.opened(path, "correct horse battery")
