"""What can be set from outside: one frozen object, read from the environment once per process."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The settings of `SWITCHBOARD_…`; an empty variable counts as unset, an unknown one is left alone.

    Raises:
        pydantic.ValidationError: a value is not of its type.
    """

    model_config = SettingsConfigDict(env_prefix="SWITCHBOARD_", env_ignore_empty=True, frozen=True, extra="ignore")

    nats_url: str | None = Field(
        default=None, description="an existing NATS with JetStream, or several of a cluster; unset: one is started"
    )
    postgres_url: str | None = Field(default=None, description="an existing PostgreSQL; unset: one is started")
    nats_port: int = Field(default=4222, ge=1, le=65535, description="port of the started NATS, on loopback")
    http_port: int = Field(default=8025, ge=0, le=65535, description="health and metrics, on loopback; 0 for none")
    data_dir: Path = Field(default=Path(".switchboard"), description="where started servers keep their data")
    log_format: Literal["console", "json"] | None = Field(default=None, description="unset: by terminal")
    stream_replicas: int = Field(default=1, ge=1, le=5, description="replicas of the stream on a NATS cluster")
    spread_accounts: bool = Field(default=False, description="writers share the accounts out among them")
    failpoints: Path | None = Field(default=None, description="for tests of faults only")

    def nats_url_to_ask(self) -> str:
        """Where a caller on this machine finds NATS: the URL, or the port that `switchboard run` uses."""
        return self.nats_url or f"nats://127.0.0.1:{self.nats_port}"

    def postgres_url_to_ask(self) -> str:
        """Where a tool on this machine finds PostgreSQL: the URL, or the socket of the one `switchboard run` starts."""
        from shared.runtime.servers import Postgres

        return self.postgres_url or Postgres(self.data_dir).url()


def servers_of(url: str) -> list[str]:
    """The servers of a NATS cluster, which one setting names: URLs with commas between."""
    return [one for part in url.split(",") if (one := part.strip())]
