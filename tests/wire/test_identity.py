"""The identity of a client is read as the settings of a service are: environment first, then secret files."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.process.settings import Settings
from shared.wire.identity import Identity

SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
OTHER = "SUAIBDPBAUTWCWBKIO6XHQNINK5FWJW4OHLXC3HQ2KFE4PEJUA44CNHTC4"
SEED_NAME, PREFIX_NAME = "SWITCHBOARD_NATS_NKEY_SEED", "SWITCHBOARD_NATS_INBOX_PREFIX"


@pytest.fixture
def secrets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWITCHBOARD_SECRETS_DIR", str(folder))
    return folder


def set_all(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    "variables",
    [{}, {SEED_NAME: SEED}, {SEED_NAME.lower(): SEED}, {SEED_NAME: ""}, {PREFIX_NAME: "_INBOX.crm", SEED_NAME: SEED},
     {"SWITCHBOARD_NATS_PORT": "4223"}],
)  # fmt: skip
@pytest.mark.parametrize("files", [{}, {SEED_NAME: f"{OTHER}\n"}, {SEED_NAME.lower(): OTHER}, {"OTHER": "x"}])
def test_it_is_what_the_settings_say(
    variables: Mapping[str, str], files: Mapping[str, str], secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_all(monkeypatch, variables)
    for name, text in files.items():
        (secrets / name).write_text(text)
    assert Identity.from_environment().nats_options() == Settings().nats_options()


@pytest.mark.parametrize(
    "variables",
    [{SEED_NAME: "hush"}, {PREFIX_NAME: "a b"}, {"SWITCHBOARD_SECRETS_DIR": "/nowhere"}],
)  # fmt: skip
def test_a_wrong_value_is_refused_as_the_settings_refuse_it(
    variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_all(monkeypatch, variables)
    with pytest.raises(ValidationError) as ours:
        Identity.from_environment()
    with pytest.raises(ValidationError) as theirs:
        Settings()
    assert [(one["loc"], one["msg"]) for one in ours.value.errors()] == [
        (one["loc"], one["msg"]) for one in theirs.value.errors()
    ]
    assert "hush" not in str(ours.value)
