from __future__ import annotations

from e2i.settings import Settings
from e2i.workers.masking import SHORTEST_BEGINNING
from e2i.workers.withheld import Withheld
from live.echoing import ENCODINGS

TOKEN = "tok/9fK2xLq7+Vt4Zw8RmB3nY=c5Jd6&H"
PASSWORD = "s3cr3tDatabaseWord77"


def test_secrets_settings_and_variables_are_masked_and_a_changed_variable_too() -> None:
    environ = {"MLFLOW_TRACKING_TOKEN": TOKEN, "MINE": "declared-secret-41"}
    tools = {"database": {"connections": {"main": {"url": f"postgresql://bob:{PASSWORD}@host/shop"}}}}
    withheld = Withheld(Settings(tools=tools, secrets={"MY": "MINE"}), ("mlflow",), environ)
    assert withheld.text(f"{TOKEN} {PASSWORD} declared-secret-41") == "*** *** ***"
    assert withheld.data({PASSWORD: [TOKEN, 1]}) == {"***": ["***", 1]}
    assert withheld.masker() is withheld.masker()
    environ["MLFLOW_TRACKING_TOKEN"] = "another-token-1234"
    assert withheld.text("it was another-token-1234") == "it was ***"
    assert withheld.text("http://eve:other@host/path") == "http://***@host/path"


def test_without_credentials_a_text_stays_as_it_is() -> None:
    withheld = Withheld(Settings(), ("mlflow", "opik"), {})
    assert (withheld.text("plain"), bool(withheld.masker())) == ("plain", False)


def test_a_text_that_was_cut_within_a_credential_does_not_show_its_beginning() -> None:
    withheld = Withheld(Settings(), ("mlflow",), {"MLFLOW_TRACKING_TOKEN": TOKEN})
    for encode in ENCODINGS.values():
        form = encode(TOKEN)
        for size in range(SHORTEST_BEGINNING + 3, len(form)):
            shown = withheld.text(f"refused: {form[:size]}…")
            assert form[: SHORTEST_BEGINNING + 3] not in shown, (form[:size], shown)
