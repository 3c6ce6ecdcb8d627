"""The routing rules of an inbox: who gets a new conversation."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.language.text import Ids


class RoutingRule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Unassigned(RoutingRule):
    """Routing chooses nobody: the conversation waits in the inbox."""

    kind: Literal["unassigned"] = "unassigned"


class UsersAndTeams(RoutingRule):
    """One of these people, a stable choice per sender or by the caller's turn."""

    kind: Literal["users_and_teams"] = "users_and_teams"
    users: Ids = ()
    teams: Ids = ()

    @model_validator(mode="after")
    def names_somebody(self) -> Self:
        if not self.users and not self.teams:
            raise ValueError("name at least one user or team")
        return self


class ContactOwner(RoutingRule):
    """The owner of the sender's contact record, else what the fallback says."""

    kind: Literal["contact_owner"] = "contact_owner"
    fallback: Annotated[Unassigned | UsersAndTeams, Field(discriminator="kind")] | None = None


Rule = Annotated[Unassigned | UsersAndTeams | ContactOwner, Field(discriminator="kind")]
