"""Settings come from the environment, and a wrong one is told."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.runtime.settings import Settings


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SWITCHBOARD_{name.upper()}", raising=False)


def test_nothing_set_means_everything_is_started_here() -> None:
    settings = Settings()
    assert (settings.nats_url, settings.postgres_url) == (None, None)
    assert (settings.nats_port, settings.http_port) == (4222, 8025)
    assert settings.data_dir == Path(".switchboard")
    assert settings.nats_url_to_ask() == "nats://127.0.0.1:4222"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHBOARD_NATS_URL", "")
    monkeypatch.setenv("SWITCHBOARD_HTTP_PORT", "")
    assert Settings() == Settings(nats_url=None, http_port=8025)


def test_a_url_is_asked_before_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHBOARD_NATS_URL", "nats://bus:4222")
    monkeypatch.setenv("SWITCHBOARD_NATS_PORT", "5000")
    assert Settings().nats_url_to_ask() == "nats://bus:4222"


@pytest.mark.parametrize(
    ("name", "value"),
    [("NATS_PORT", "0"), ("NATS_PORT", "65536"), ("HTTP_PORT", "-1"), ("HTTP_PORT", "http"), ("LOG_FORMAT", "xml")],
)
def test_a_value_that_makes_no_sense_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"SWITCHBOARD_{name}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().http_port = 1  # type: ignore[misc]
