"""The identity of a connection to NATS, from SWITCHBOARD_ variables of the environment or from secret files."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, DirectoryPath, Field, SecretStr, field_validator

PREFIX: Final = "SWITCHBOARD_"
SECRETS_DIR: Final = f"{PREFIX}SECRETS_DIR"
NKEY_SEED: Final = re.compile("SU[A-Z2-7]{56}")
INBOX_PREFIX: Final = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$"


class Identity(BaseModel):
    """The user that connects to NATS, and the subjects where it receives replies.

    Each field is the variable SWITCHBOARD_<FIELD> of the environment. A variable that is not set may be a file of
    the same name in the folder that SWITCHBOARD_SECRETS_DIR names, so that a secret is in no environment.

    Raises:
        pydantic.ValidationError: a value is not of its type. The message shows no values, since some are secret.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

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
    def from_environment(cls) -> "Identity":
        """Read the environment and the secret files; an empty variable counts as not set."""
        return Identity.model_validate(dict(_files()) | dict(_variables()))

    def nats_options(self) -> dict[str, Any]:
        """The options of `nats.connect` that say who connects and where it receives replies."""
        options: dict[str, Any] = {"inbox_prefix": self.nats_inbox_prefix}
        if self.nats_nkey_seed is not None:
            options["nkeys_seed_str"] = self.nats_nkey_seed.get_secret_value()
        return options


def _variables() -> Iterator[tuple[str, str]]:
    return ((field, value) for name, value in os.environ.items() if (field := _field(name)) and value)


def _files() -> Iterator[tuple[str, str]]:
    folder = os.environ.get(SECRETS_DIR)
    if not folder or not Path(folder).is_dir():
        # Where the setting is wrong, the field of the same name is refused.
        return iter(())
    return (
        (field, path.read_text(encoding="utf-8").strip())
        for path in Path(folder).iterdir()
        if (field := _field(path.name)) and path.is_file()
    )


def _field(name: str) -> str | None:
    """The field that a variable or a file sets; capitals do not matter."""
    field = name.lower().removeprefix(PREFIX.lower())
    return field if name.lower().startswith(PREFIX.lower()) and field in Identity.model_fields else None
