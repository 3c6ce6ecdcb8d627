"""The dry run of several commands at once, as on the wire; its reply is `DryRunOutcomes`."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from shared.language.text import Actor

# One thread decides for all accounts: a batch of this size takes it some tenths of a second.
MOST_COMMANDS: Final = 2_000


class DryRunCommand(BaseModel):
    """A command of a batch: its name, and its body as in a request of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    command: str
    body: Mapping[str, Any]


class DryRunBatch(BaseModel):
    """Decide commands of one account in order, each seeing the events of those before. Nothing is written.

    The actor of the batch is a service. Every command names its own actor.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    actor: Actor
    commands: Annotated[tuple[DryRunCommand, ...], Field(strict=False, min_length=1, max_length=MOST_COMMANDS)]
