"""Settings name stores by plain fields: no class path, no secret in sight, nothing heavy to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from context import LocalContext
from e2i.errors import ToolUnavailable
from e2i.settings import Settings
from e2i.tools.feast import TOOL, FeastSettings
from tools.feast.feast_case import apply, log

REDIS = {"type": "redis", "host": "redis.internal", "db": 2, "password": "hush", "ssl": True}
POSTGRES = {"type": "postgres", "host": "db", "database": "e2i", "user": "u", "password": "hush", "sslmode": "disable"}


@pytest.mark.parametrize(
    "settings",
    [
        {"online_store": {"type": "evil.module.Store"}},
        {"registry": {"type": "evil.module.Registry", "url": "x"}},
        {"offline_store": "evil.module.OfflineStore"},
        {"provider": "evil.module.Provider"},
        {"online_store": {**REDIS, "host": "redis:1,ssl=false"}},
        {"online_store": {**REDIS, "password": "a,db=1"}},
    ],
)
def test_nothing_but_the_named_stores_and_plain_hosts_is_accepted(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FeastSettings.model_validate(settings)


def test_a_redis_store_is_given_to_feast_with_the_deadline_as_its_time_outs() -> None:
    from e2i.tools.feast.repository import configuration

    document = configuration(
        FeastSettings.model_validate({"online_store": REDIS, "deadline": 2}), Path("version"), "e2i"
    )
    assert document["online_store"] == {
        "type": "redis",
        "connection_string": (
            "redis.internal:6379,db=2,ssl=true,socket_timeout=2.0,socket_connect_timeout=2.0,retry=null,password=hush"
        ),
    }


def test_a_postgres_store_is_given_to_feast_by_its_fields() -> None:
    from e2i.tools.feast.repository import configuration

    online = configuration(FeastSettings.model_validate({"online_store": POSTGRES}), Path("version"), "e2i")[
        "online_store"
    ]
    assert online == {**POSTGRES, "port": 5432, "db_schema": "public"}


def test_no_secret_is_shown() -> None:
    settings = FeastSettings.model_validate(
        {"online_store": REDIS, "registry": {"type": "sql", "url": "postgresql+psycopg://u:hush@db/e2i"}}
    )
    assert "hush" not in repr(settings) + settings.model_dump_json()


def test_a_store_whose_library_is_missing_is_unavailable_and_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith(("redis", "feast.infra.online_stores.redis"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)  # importing it fails as if it were not installed
    context = LocalContext(tmp_path, settings=Settings(tools={"feast": {"online_store": REDIS}}))
    with pytest.raises(ToolUnavailable, match="redis") as caught:
        apply(context, log())
    assert caught.value.code == "tool-missing"
    assert caught.value.hint == 'pip install "feast[redis]"'
    context.close()


def test_declarations_are_light_and_need_no_feast() -> None:
    code = (
        "import sys; import e2i.tools.feast; "
        "heavy = {'feast', 'pandas', 'numpy', 'pyarrow', 'typeguard'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": "engine"}, timeout=200)


def test_typeguard_is_untouched_after_the_import_and_feast_is_not_instrumented() -> None:
    code = (
        "import typeguard; original = typeguard.typechecked; from e2i.tools.feast import sdk; "
        "assert typeguard.typechecked is original; "
        "names = sdk.FeatureView.__init__.__code__.co_varnames; "
        "assert not [name for name in names if name.startswith('check_')]; "
        "assert 'dask.dataframe' not in __import__('sys').modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": "engine"}, timeout=200)


def test_importing_feast_leaves_no_temporary_file_even_if_the_process_is_killed(tmp_path: Path) -> None:
    code = (
        "import os; before = dict(os.environ); from e2i.tools.feast import sdk; import feast.feature_server; "
        "assert dict(os.environ) == before; os.kill(os.getpid(), 9)"
    )
    environ = {"PYTHONPATH": "engine", "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], check=False, env=environ, timeout=200)
    assert done.returncode == -9
    assert list(tmp_path.iterdir()) == []


def test_every_parameter_and_output_is_described() -> None:
    for action in TOOL.actions:
        for model in (action.params, action.outputs):
            assert all(field.description for field in model.model_fields.values()), model
            assert model.model_json_schema()["additionalProperties"] is False
