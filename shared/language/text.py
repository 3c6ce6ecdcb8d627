"""The types of text in messages. Lengths are in characters; nothing is converted or trimmed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, StringConstraints

# Rust regular expressions, matched by pydantic-core: \p{Cc} is every control character, NUL among them.
NOT_BLANK: Final = r"^\P{Cc}*[^\p{Cc}\s]\P{Cc}*$"
LINES: Final = r"^(?:\r\n|[\P{Cc}\n\t])*$"
LINES_NOT_BLANK: Final = r"^(?:\r\n|[\P{Cc}\n\t])*[^\p{Cc}\s](?:\r\n|[\P{Cc}\n\t])*$"
NEW_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
# In earlier drafts an id could begin with _ or -; stored ones can still be named.
ID: Final = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$"
# An account's name is part of subjects, where a dot has a meaning of its own.
ACCOUNT: Final = r"^[A-Za-z0-9_-]{1,32}$"
ACTOR: Final = r"^([A-Za-z0-9_-][A-Za-z0-9._-]{0,63}|service:[A-Za-z0-9._-]{1,64})$"
UUID: Final = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
CORRELATION: Final = r"^[A-Za-z0-9._:-]{1,128}$"

POINTER: Final = r"^(/[^/\p{Cc}]*)*$"

# Each pattern in words, for messages: no reader should have to parse a regular expression.
IN_WORDS: Final[Mapping[str, str]] = {
    NOT_BLANK: "text that is not blank, without line breaks or other control characters",
    LINES: "text without control characters other than line breaks and tabs",
    LINES_NOT_BLANK: "text that is not blank, without control characters other than line breaks and tabs",
    ACCOUNT: "the name of an account: 1 to 32 of A-Z a-z 0-9 _ -",
    NEW_ID: "an id: 1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or a digit",
    ID: "an id: 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot",
    ACTOR: "a user's id, or service:<name>",
    UUID: "a UUID, such as 0198c0de-0000-7000-8000-000000000001",
    POINTER: "a JSON pointer, such as /state, or nothing for the whole",
    CORRELATION: "1 to 128 of A-Z a-z 0-9 . _ : -",
}


def one_line_feed(text: Any) -> Any:
    """Keep CR LF, as text areas send it, as LF; a length counts what is kept.

    With two CR in a row it stays as it is and is refused, or CR LF would be left of CR CR LF.
    """
    return text.replace("\r\n", "\n") if isinstance(text, str) and "\r\r" not in text else text


@dataclass(frozen=True)
class Personal:
    """Mark a field as personal data: of the user whom another field names, or of the holder of the address."""

    of: Literal["holder", "user"]


# An actor with this prefix is a trusted service; any other one is a user's id.
SERVICE = "service:"
# A service with this prefix is an auditor.
AUDITOR = "service:audit."

AccountName = Annotated[str, StringConstraints(pattern=ACCOUNT)]
NewId = Annotated[str, StringConstraints(pattern=NEW_ID)]
Id = Annotated[str, StringConstraints(pattern=ID)]
Actor = Annotated[str, StringConstraints(pattern=ACTOR)]
CommandId = Annotated[str, StringConstraints(pattern=UUID)]
CorrelationId = Annotated[str, StringConstraints(pattern=CORRELATION)]

AddressText = Annotated[str, Personal("holder")]
FromName = Annotated[str, StringConstraints(pattern=NOT_BLANK, max_length=200), Personal("holder")]
ProviderIdentity = Annotated[str, StringConstraints(pattern=NOT_BLANK, max_length=254), Personal("holder")]
Note = Annotated[
    str, BeforeValidator(one_line_feed), StringConstraints(pattern=LINES, max_length=1_000), Personal("holder")
]
PersonName = Annotated[str, StringConstraints(pattern=NOT_BLANK, max_length=200), Personal("user")]
Signature = Annotated[
    str, BeforeValidator(one_line_feed), StringConstraints(pattern=LINES, max_length=10_000), Personal("user")
]
Name = Annotated[str, StringConstraints(pattern=NOT_BLANK, max_length=200)]
Font = Annotated[str, StringConstraints(pattern=NOT_BLANK, max_length=100)]
Cause = Annotated[str, BeforeValidator(one_line_feed), StringConstraints(pattern=LINES_NOT_BLANK, max_length=1_000)]
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
