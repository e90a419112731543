from __future__ import annotations

import pytest
from e2i.errors import Refused
from e2i.execution import secrets
from e2i.execution.executor import Failure

DECLARED = {"TOKEN": "MY_TOKEN", "UNSET": "NOT_THERE"}
ENVIRON = {"MY_TOKEN": "hunter2hunter2", "OTHER": "x"}


def test_placeholders_anywhere_are_replaced() -> None:
    value = {"a": [{"$secret": "TOKEN"}, 1], "b": {"$secret": "TOKEN", "more": 1}}
    assert secrets.reveal(value, DECLARED, ENVIRON) == {"a": ["hunter2hunter2", 1], "b": {"$secret": "TOKEN", "more": 1}}


@pytest.mark.parametrize(("name", "code"), [("OTHER", "secret-refused"), ("UNSET", "secret-unset"), (3, "secret-refused")])
def test_only_declared_secrets_that_are_set_are_given(name: object, code: str) -> None:
    with pytest.raises(Refused) as raised:
        secrets.reveal({"$secret": name}, DECLARED, ENVIRON)
    assert raised.value.code == code


def test_secrets_are_masked_in_data_and_failures() -> None:
    hidden = secrets.values(DECLARED, ENVIRON)
    value = {"key": ["Bearer hunter2hunter2", 7, None], "hunter2hunter2": "hunter2"}
    assert secrets.mask(value, hidden) == {"key": ["Bearer ***", 7, None], "hunter2hunter2": "hunter2"}
    failure = Failure("code", "hunter2hunter2 was wrong", details={"trace": ["hunter2hunter2"]}, lost=True)
    assert secrets.mask(failure, hidden) == Failure("code", "*** was wrong", details={"trace": ["***"]}, lost=True)
    assert secrets.mask(None, hidden) is None


def test_a_short_secret_is_masked_only_as_a_whole() -> None:
    hidden = secrets.values({"PIN": "PIN"}, {"PIN": "12ab"})
    assert secrets.mask(["12ab", "sha256:12ab"], hidden) == ["***", "sha256:12ab"]


def test_a_secret_within_a_secret_is_masked_whole() -> None:
    hidden = secrets.values({"A": "A", "B": "B"}, {"A": "password", "B": "password-longer"})
    assert secrets.mask("password-longer", hidden) == "***"
