"""Settings of a process: one frozen object, read from the environment once."""

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource, SettingsConfigDict

from shared.wire.identity import PREFIX, SECRETS_DIR, Identity
from shared.wire.urls import servers_of


class Settings(BaseSettings, Identity):
    """The settings of `SWITCHBOARD_…`; an empty variable counts as unset, an unknown one is left alone."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )

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
    replay_max_bytes: int = Field(
        default=2 * 2**30, ge=2**20, description="a limit of the stream of replays, which refuses more"
    )
    duplicate_window_seconds: float = Field(
        default=120.0, ge=0.1, description="for how long the stream refuses an id a second time"
    )
    max_ack_pending: int = Field(
        default=4_000, ge=1, description="how many events a view may have without having acknowledged them"
    )
    spread_accounts: bool = Field(default=False, description="writers share the accounts out among them")
    evidence_dir: Path | None = Field(
        default=None, description="where the audit keeps trees and checkpoints; unset: it makes none"
    )
    evidence_keys_dir: Path | None = Field(
        default=None, description="where the audit keeps its signing keys, which it makes there"
    )
    evidence_name: str = Field(
        default="switchboard.internal",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$",
        description="the beginning of the origin line of checkpoints, best your domain",
    )
    checkpoint_seconds: float = Field(
        default=10.0, ge=0.1, description="the least time between two checkpoints of a tree"
    )
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

    @model_validator(mode="after")
    def _evidence_has_keys(self) -> Self:
        if (self.evidence_dir is None) != (self.evidence_keys_dir is None):
            raise ValueError("set both SWITCHBOARD_EVIDENCE_DIR and SWITCHBOARD_EVIDENCE_KEYS_DIR, or neither")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """A value comes from the code, else from the environment, else from a file."""
        folder = os.environ.get(SECRETS_DIR)
        if not folder or not Path(folder).is_dir():
            # Where the setting is wrong, the field of the same name is refused.
            return init_settings, env_settings
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, folder)

    def nats_url_to_ask(self) -> str:
        """Where a caller on this machine finds NATS: the URL, or the port that `switchboard run` uses."""
        return self.nats_url or f"nats://127.0.0.1:{self.nats_port}"
