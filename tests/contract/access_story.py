"""What auditors ask about access in the contract's story: times, ids and positions are those of the recording."""

from collections.abc import Mapping
from typing import Any, Final

ANA, BOB, CLEO = "ana", "bob", "cleo"
SUPPORT, BOBS, HELP = "support@acme.example", "bob@acme.example", "help@acme.example"

Answer = Mapping[str, Any]


def edge(position: int, minute: int, id_: int, name: str, actor: str = ANA, command: int | None = None) -> Answer:
    """An event; `id_` and `command` are the numbers of its id and its command's, which mostly comes before it."""
    return {
        "position": position, "time": f"2026-11-01T00:{minute:02d}:00.000Z",
        "event": f"0198c0de-0000-7000-8000-{id_:012x}", "type": name, "actor": actor,
        "command_id": f"0198c0de-0000-7000-8000-{command or id_ - 1:012x}",
    }  # fmt: skip


BOBS_CONNECTED: Final = edge(19, 18, 0x25, "PersonalConnected", BOB)
SUPPORT_CONNECTED: Final = edge(18, 17, 0x22, "TeamConnected")
HELP_ADDED: Final = edge(26, 25, 0x37, "AliasAdded")


def interval(user: str, can: str, rule: str, via: str | None, from_: Answer, **place: str) -> Answer:
    name, added = {ANA: (ANA, 2), BOB: ("Bob Baker", 5), CLEO: ("Cleo Clark", 6)}[user]
    return {
        "user": user, "name": name, "added": added, "address": None, "inbox": None, **place, "can": can, "rule": rule,
        "via": via, "from": from_, "to": None, "began_before": from_["position"] < 26, "goes_on_after": True,
    }  # fmt: skip


ACCESS_TO_BOBS: Final = [
    interval(ANA, "administer", "administrator", None, BOBS_CONNECTED, address=BOBS),
    interval(BOB, "administer", "administrator", None, BOBS_CONNECTED, address=BOBS),
    interval(BOB, "read", "owner", None, BOBS_CONNECTED, address=BOBS),
    interval(BOB, "send", "owner", None, BOBS_CONNECTED, address=BOBS),
]
ACCESS_OF_CLEO: Final = [
    interval(CLEO, "read", "everyone", "inbox", edge(6, 5, 0xA, "UserAdded"), inbox="inbox"),
    interval(CLEO, "read", "team", "helpers", edge(16, 15, 0x1E, "InboxAccessChanged"), inbox="support"),
    interval(CLEO, "send", "team", "helpers", SUPPORT_CONNECTED, inbox="support"),
    *(interval(CLEO, can, "alias", SUPPORT, HELP_ADDED, address=HELP) for can in ("read", "send")),
    *(interval(CLEO, can, "team", "helpers", SUPPORT_CONNECTED, address=SUPPORT) for can in ("read", "send")),
]
DEACTIVATED: Final = edge(39, 38, 0x53, "UserDeactivated")
BOB_LEFT: Final = [
    {
        "user": BOB, "name": "Bob Baker", "added": 5, "left": DEACTIVATED,
        "removed": edge(40, 39, 0x55, "UserRemoved"), "last_access": DEACTIVATED, "hours": 0.0, "over_limit": False,
        "remaining": [],
        "orphaned": [
            {
                "address": BOBS, "from": edge(41, 39, 0x56, "AddressOrphaned", command=0x54),
                "to": edge(42, 41, 0x59, "AddressReclaimed"), "owner": CLEO, "inbox": None,
            },
        ],
    },
]  # fmt: skip
ORPHANED: Final[Answer] = {
    "position": 41, "time": "2026-11-01T00:39:00.000Z",
    "event": {
        "id": "0198c0de-0000-7000-8000-000000000056", "type": "AddressOrphaned",
        "subject": "address/1860c592-2604-50b9-8630-56cb1d0ab080",
    },
    "sentence": "ana removed bob, which left bob@acme.example without an owner.",
    "before": "connected", "after": "orphaned", "first": 1, "last": 41, "complete": True,
}  # fmt: skip
