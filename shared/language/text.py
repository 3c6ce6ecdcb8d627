"""The types that text takes in messages. Lengths are in characters; nothing is converted or trimmed."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

# Rust regular expressions, matched by pydantic-core: \p{Cc} is every control character, NUL among them.
NOT_BLANK = r"^\P{Cc}*[^\p{Cc}\s]\P{Cc}*$"
LINES = r"^[\P{Cc}\n\t]*$"


@dataclass(frozen=True)
class Personal:
    """Marks a field as personal data of the person who is named by another field, or of whoever holds the address."""

    of: Literal["holder", "user"]


# An actor that begins so is a trusted service; any other one is a user's id.
SERVICE = "service:"

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
Actor = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_-]{1,32}|service:[A-Za-z0-9._-]{1,64})$")]
CommandId = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$")
]
CorrelationId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]

AddressText = Annotated[str, Personal("holder")]
FromName = Annotated[str, StringConstraints(pattern=NOT_BLANK, max_length=200), Personal("holder")]
ProviderIdentity = Annotated[str, StringConstraints(pattern=NOT_BLANK, max_length=254), Personal("holder")]
Note = Annotated[str, StringConstraints(pattern=LINES, max_length=1_000), Personal("holder")]
PersonName = Annotated[str, StringConstraints(pattern=NOT_BLANK, max_length=200), Personal("user")]
Signature = Annotated[str, StringConstraints(pattern=LINES, max_length=10_000), Personal("user")]
Name = Annotated[str, StringConstraints(pattern=NOT_BLANK, max_length=200)]
Font = Annotated[str, StringConstraints(pattern=NOT_BLANK, max_length=100)]
Cause = Annotated[str, StringConstraints(pattern=NOT_BLANK, max_length=1_000)]
FontSize = Annotated[int, Field(ge=1, le=1_000)]

# JSON has lists only; the strict mode of a message would refuse one where a tuple is declared.
Ids = Annotated[tuple[Id, ...], Field(strict=False, max_length=1_000)]
AddressTexts = Annotated[tuple[AddressText, ...], Field(strict=False, max_length=1_000)]

Provider = Literal["google", "microsoft", "imap"]
Kind = Literal["personal", "team"]
Tool = Literal["one_to_one", "sequences", "extension", "meetings"]
Permission = Literal["personal_email_access", "account_access", "super_admin"]
Permissions = Annotated[tuple[Permission, ...], Field(strict=False, max_length=1_000)]
Availability = Literal["available", "away"]
Access = Literal["everyone", "members"]
Policy = Literal["orphan", "release", "transfer_to"]
Plan = Literal["free", "starter", "professional", "enterprise"]
