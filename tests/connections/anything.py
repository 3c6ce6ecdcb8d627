"""Any command and any event out of a small world, where everybody keeps getting into everybody's way.

The dice decide: Hypothesis throws them in properties (`st.randoms(use_true_random=True)`), a seed elsewhere. They are
fair, unlike strategies, which would rather repeat a few values than reach the far corners of a long history.
"""

import types
from collections.abc import Mapping, Sequence
from random import Random
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from shared.language.commands import COMMANDS, Command
from shared.language.events import Event

SERVICE: Final = "service:hr"
ADMIN: Final = "root-1"
# None of these is part of a word that a reply may contain.
USERS: Final = (ADMIN, "user-1", "user-2", "user-3")
INBOXES: Final = ("inbox", "shared-1", "shared-2")
TEAMS: Final = ("crew-1", "crew-2")
ADDRESSES: Final = tuple(f"box-{n}@acme.example" for n in range(1, 5))
IDENTITIES: Final = ("mailbox-1", "mailbox-2")
TEXTS: Final = ("Some text", "Zürich ☃ 🂡", '","data":{"position":0}')

_POOLS: Final[Mapping[str, tuple[Any, ...]]] = {
    "actor": (*(SERVICE,) * 8, ADMIN, ADMIN, *USERS),
    "name": ("One", "Two", "ONE", "Inbox"),
    "entries": (*ADDRESSES, "acme.example"),
    "never_log": (*ADDRESSES, "acme.example"),
    "provider_identity": IDENTITIES,
    "permissions": ("personal_email_access", "personal_email_access", "account_access", "super_admin"),
    "visibility_acknowledged": (True, True, True, False),
    **dict.fromkeys(("user", "owner", "new_owner", "admin", "members", "users", "connector"), USERS),
    **dict.fromkeys(("inbox", "to_inbox"), INBOXES),
    **dict.fromkeys(("team", "teams"), TEAMS),
    **dict.fromkeys(("address", "alias", "primary", "display"), ADDRESSES),
    **dict.fromkeys(("from_", "to"), (*USERS, *INBOXES)),
}

# Those that make what others get into the way of come oftener.
_WEIGHTS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("ConnectPersonal", "ConnectTeam", "ReactivateUser", "AddUser"), 8),
    **dict.fromkeys(("RemoveUser", "AddAlias", "BindTool", "ConvertConnection", "SetInboxAccess"), 4),
    **dict.fromkeys(
        ("ReclaimAddress", "Resume", "UnbindTool", "MoveTeamAddress", "RestoreInbox", "AssignSeat", "Reconnect"), 3
    ),
}
_KINDS: Final = [
    kind for name, kind in COMMANDS.items() if name != "RegisterAccount" for _ in range(_WEIGHTS.get(name, 1))
]


def dice_of(seed: int) -> Random:
    return Random(seed)  # noqa: S311  histories, not secrets


def any_command(dice: Random) -> Command:
    """Any command but the registration of the account."""
    return command_of(dice, dice.choice(_KINDS))


def command_of(dice: Random, kind: type[Command]) -> Command:
    """Any command of this kind, without an id."""
    fields = _fields(dice, kind) | {"command_id": None, "correlation_id": None, "dry_run": False}
    return kind.model_validate(_put_right(kind, fields))


def any_event(dice: Random, kind: type[Event]) -> Event:
    return kind.model_validate(_fields(dice, kind))


def _put_right(kind: type[Command], fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that go together; most users speak for themselves."""
    match kind.__name__:
        case "RemoveUser":
            if (fields["policy"] == "transfer_to") != (fields["new_owner"] is not None):
                return fields | {"policy": "orphan", "new_owner": None}
        case "SetInboxAccess" if fields["access"] == "everyone":
            return fields | {"members": (), "teams": ()}
        case "ConvertConnection" if fields["to"] == "team":
            return fields | {"owner": None, "inbox": fields["inbox"] or INBOXES[1]}
        case "ConvertConnection":
            return fields | {"inbox": None, "owner": fields["owner"] or USERS[1]}
        case "Pause" | "Resume" if False in (fields["receive"], fields["send"]):
            return fields | {"receive": None, "send": None}
        case "ConnectPersonal" if fields["actor"] in USERS:
            return fields | {"owner": fields["actor"]}
    return fields


def _fields(dice: Random, kind: type[BaseModel]) -> dict[str, Any]:
    return {name: _value(dice, name, field.annotation) for name, field in kind.model_fields.items()}


def _value(dice: Random, name: str, annotation: Any) -> Any:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _value(dice, name, inner[0])
    if origin in (Union, types.UnionType):
        return _value(dice, name, dice.choice(inner))
    if origin is Literal:
        return dice.choice(inner)
    if origin is tuple:
        return _some(dice, [_value(dice, name, inner[0]) for _ in range(3)])
    if annotation is bool:
        return dice.choice(_POOLS.get(name, (True, True, False)))
    if annotation is int:
        return dice.randint(1, 1_000)
    if annotation is str:
        return dice.choice(_POOLS.get(name, TEXTS))
    if annotation is type(None):
        return None
    return _rule(dice, annotation)


def _some(dice: Random, values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(values[: dice.choice((0, 1, 1, 2, 3))])


def _rule(dice: Random, kind: type[BaseModel]) -> BaseModel:
    fields = _fields(dice, kind)
    if "users" in fields and not fields["users"] and not fields["teams"]:
        fields = fields | {"teams": TEAMS[:1]}
    return kind.model_validate(fields)
