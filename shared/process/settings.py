"""What can be set from outside: one frozen object, read from the environment once per process."""

import os
import re
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import DirectoryPath, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource, SettingsConfigDict

from shared.process.urls import servers_of

SECRETS_DIR: Final = "SWITCHBOARD_SECRETS_DIR"
NKEY_SEED: Final = re.compile("SU[A-Z2-7]{56}")
INBOX_PREFIX: Final = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$"


class Identity(BaseSettings):
    """Who this is to NATS: all that a client takes from its environment, whatever else is called `SWITCHBOARD_…` there.

    One that is not in the environment may stand in a file that is called like its variable, in the folder that
    `SWITCHBOARD_SECRETS_DIR` names: what is secret is then in no environment, which others can read.

    Raises:
        pydantic.ValidationError: a value is not of its type; its message shows no values, since some are secret.
    """

    model_config = SettingsConfigDict(
        env_prefix="SWITCHBOARD_", env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    nats_nkey_seed: SecretStr | None = Field(default=None, description="who this is to NATS: the seed of a user's NKey")
    nats_inbox_prefix: str = Field(
        default="_INBOX", pattern=INBOX_PREFIX, description="where NATS brings answers, which others should not read"
    )
    secrets_dir: DirectoryPath | None = Field(default=None, description="a folder with a file for each secret setting")

    @field_validator("nats_nkey_seed")
    @classmethod
    def _is_a_seed(cls, seed: SecretStr | None) -> SecretStr | None:
        if seed is not None and not NKEY_SEED.fullmatch(seed.get_secret_value()):
            raise ValueError("not the seed of an NKey of a user (58 letters and digits that begin with SU)")
        return seed

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given in code, else in the environment, else in a file."""
        folder = os.environ.get(SECRETS_DIR)
        if not folder or not Path(folder).is_dir():
            # Where that is wrong, the field of the same name says so.
            return init_settings, env_settings
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, folder)

    def nats_options(self) -> dict[str, Any]:
        """What every connection to NATS is made with: who it is, and where it has its answers brought."""
        options: dict[str, Any] = {"inbox_prefix": self.nats_inbox_prefix}
        if self.nats_nkey_seed is not None:
            options["nkeys_seed_str"] = self.nats_nkey_seed.get_secret_value()
        return options


class Settings(Identity):
    """The settings of `SWITCHBOARD_…`; an empty variable counts as unset, an unknown one is left alone."""

    nats_url: str | None = Field(
        default=None, description="an existing NATS with JetStream, or several of a cluster; unset: one is started"
    )
    postgres_url: str | None = Field(default=None, description="a PostgreSQL, no pooler; unset: one is started")
    nats_port: int = Field(default=4222, ge=1, le=65535, description="port of the started NATS, on loopback")
    http_port: int = Field(default=8025, ge=0, le=65535, description="health and metrics; 0 for none")
    http_host: str = Field(default="127.0.0.1", description="the address that health and metrics listen on")
    data_dir: Path = Field(default=Path(".switchboard"), description="where started servers keep their data")
    log_format: Literal["console", "json"] | None = Field(default=None, description="unset: by terminal")
    stream_replicas: int = Field(default=1, ge=1, le=5, description="replicas of the stream on a NATS cluster")
    stream_max_bytes: int | None = Field(
        default=None,
        ge=1,
        description="a limit of the stream, where the NATS account wants one",
    )
    duplicate_window_seconds: float = Field(
        default=120.0, ge=0.1, description="for how long the stream refuses an id a second time"
    )
    max_ack_pending: int = Field(
        default=4_000, ge=1, description="how many events a view may have without having acknowledged them"
    )
    spread_accounts: bool = Field(default=False, description="writers share the accounts out among them")
    failpoints: Path | None = Field(default=None, description="for tests of faults only")

    @field_validator("nats_url", "postgres_url")
    @classmethod
    def _blank_is_unset(cls, url: str | None) -> str | None:
        return (url or "").strip() or None

    @field_validator("nats_url")
    @classmethod
    def _names_a_server(cls, url: str | None) -> str | None:
        if url is not None:
            servers_of(url)
        return url

    def nats_url_to_ask(self) -> str:
        """Where a caller on this machine finds NATS: the URL, or the port that `switchboard run` uses."""
        return self.nats_url or f"nats://127.0.0.1:{self.nats_port}"
