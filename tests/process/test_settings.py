"""Settings come from the environment, and a wrong one is told."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.process.settings import Settings
from shared.process.urls import without_password
from shared.wire.identity import Identity


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SWITCHBOARD_{name.upper()}", raising=False)


def test_nothing_set_means_everything_is_started_here() -> None:
    settings = Settings()
    assert (settings.nats_url, settings.postgres_url) == (None, None)
    assert (settings.nats_port, settings.http_port) == (4222, 8025)
    assert settings.http_host == "127.0.0.1"
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
    [
        ("NATS_INBOX_PREFIX", "_INBOX.>"),
        ("NATS_PORT", "0"),
        ("NATS_PORT", "65536"),
        ("HTTP_PORT", "-1"),
        ("HTTP_PORT", "http"),
        ("LOG_FORMAT", "xml"),
        ("EVIDENCE_DIR", "/somewhere"),
        ("EVIDENCE_KEYS_DIR", "/somewhere"),
        ("EVIDENCE_NAME", "two words"),
        ("EVIDENCE_NAME", "a+b"),
        ("CHECKPOINT_SECONDS", "0"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"SWITCHBOARD_{name}", value)
    with pytest.raises(ValidationError):
        Settings()


SEED = "SU" + "A" * 56


def test_what_is_secret_may_stand_in_a_file_called_like_its_variable(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    (folder / "SWITCHBOARD_POSTGRES_URL").write_text("postgresql://relay:hush@db/switchboard\n")
    (folder / "SWITCHBOARD_NATS_NKEY_SEED").write_text(f"{SEED}\n")
    monkeypatch.setenv("SWITCHBOARD_SECRETS_DIR", str(folder))
    settings = Settings()
    assert settings.postgres_url == "postgresql://relay:hush@db/switchboard"
    assert settings.nats_options() == {"inbox_prefix": "_INBOX", "nkeys_seed_str": SEED}
    assert SEED not in repr(settings)


def test_the_environment_counts_before_a_file(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "SWITCHBOARD_POSTGRES_URL").write_text("postgresql://file")
    monkeypatch.setenv("SWITCHBOARD_SECRETS_DIR", str(folder))
    monkeypatch.setenv("SWITCHBOARD_POSTGRES_URL", "postgresql://environment")
    assert Settings().postgres_url == "postgresql://environment"


def test_a_folder_of_secrets_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("SWITCHBOARD_SECRETS_DIR", str(folder / "nowhere"))
    with pytest.raises(ValidationError, match="secrets_dir"):
        Settings()


def test_a_seed_that_is_none_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHBOARD_NATS_NKEY_SEED", "SUhush")
    with pytest.raises(ValidationError, match="not the seed of an NKey") as refused:
        Settings()
    assert "hush" not in str(refused.value)


def test_without_a_seed_nats_is_told_where_answers_go_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHBOARD_NATS_INBOX_PREFIX", "_INBOX.relay")
    assert Settings().nats_options() == {"inbox_prefix": "_INBOX.relay"}


def test_a_client_takes_nothing_from_its_environment_but_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    # As Kubernetes sets it in every pod beside a Service called switchboard-nats.
    monkeypatch.setenv("SWITCHBOARD_NATS_PORT", "tcp://10.0.0.1:4222")
    assert Identity().nats_options() == {"inbox_prefix": "_INBOX"}


def test_a_url_that_is_blank_is_unset_and_one_without_a_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHBOARD_NATS_URL", " ")
    monkeypatch.setenv("SWITCHBOARD_POSTGRES_URL", " ")
    assert (Settings().nats_url, Settings().postgres_url) == (None, None)
    monkeypatch.setenv("SWITCHBOARD_NATS_URL", " , ")
    with pytest.raises(ValidationError, match="no server is named"):
        Settings()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().http_port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
        ("nats://bob:s3@cret@h:4222", "nats://bob:***@h:4222"),
        ("nats://token@h", "nats://***@h"),
        ("nats://u:p1@a,nats://u:p2@b", "nats://u:***@a,nats://u:***@b"),
        ("nats://u:pa,ss@a:1,b:2,nats://u:p2@c", "nats://u:***@a:1,b:2,nats://u:***@c"),
        ("nats://token@a?token=hush", "nats://***@a?token=***"),
        ("postgresql://u:pa,ss@h/db?sslmode=require", "postgresql://u:***@h/db?sslmode=require"),
        ("postgresql://u:pa/ss@h/db?sslmode=require", "postgresql://u:***@h/db?sslmode=require"),
        ("postgresql://postgres:@/switchboard?host=/data", "postgresql://postgres:@/switchboard?host=/data"),
        ("postgresql://u@h/db?password=hush&sslmode=require", "postgresql://u@h/db?password=***&sslmode=require"),
        ("postgresql://u:hush@h/hush", "user=u password=*** dbname=hush host=h"),
        ("host=h password='my secret' user=u", "user=u password=*** host=h"),
        (r"host=h password='a\'secret' sslpassword=hush", "password=*** host=h sslpassword=***"),
        ("password = hush host = h", "password=*** host=h"),
        ("host=h password='torn", "***"),
    ],
)
def test_a_url_is_shown_without_its_password(told: str, shown: str) -> None:
    assert without_password(told) == shown
