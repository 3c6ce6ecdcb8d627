"""Answers of the audit as they come over the wire, of a small story; every text that people choose may be hostile."""

from typing import Any, Final

Item = dict[str, Any]

ID: Final = "0198c0de-0000-7000-8000-00000000000"
HOSTILE: Final = "[bold red]x[/] \x1b[2J\x1b]0;owned\x07 \u202egpj.exe [/"


def entry(**fields: Any) -> Item:
    return {
        "position": 12,
        "ordinal": 14,
        "time": "2026-03-03T09:15:02.113456+00:00",
        "outcome": "accepted",
        "actor": "ana",
        "command": "ConnectTeam",
        "command_id": f"{ID}1",
        "correlation_id": f"{ID}1",
        "event": {"id": f"{ID}2", "type": "switchboard.TeamConnected.v1", "subject": "support@acme.example"},
        "reason": None,
        "message": None,
        "sentence": "ana connected support@acme.example to the inbox support.",
        "changes": [],
        "dead_letter": False,
        **fields,
    }


CONNECTED: Final = entry(
    changes=[
        {"field": "state", "before": "free", "after": "connected"},
        {"field": "inbox", "before": None, "after": "support"},
        {"field": "receiving", "before": None, "after": True},
    ]
)
REFUSED: Final = entry(
    position=12,
    ordinal=15,
    time="2026-03-03T09:16:44.02+00:00",
    outcome="refused",
    actor="service:directory-sync",
    command="ConnectPersonal",
    command_id=f"{ID}3",
    correlation_id="import-2026-03-03",
    event=None,
    reason="ADDRESS_ALREADY_TEAM",
    message="The address is connected to an inbox already.",
    sentence="service:directory-sync tried to connect support@acme.example as the personal address of cleo; "
    "refused: The address is connected to an inbox already.",
)
UNCHANGED: Final = entry(
    ordinal=16,
    time="2026-03-03T09:17:00+00:00",
    outcome="unchanged",
    command_id=f"{ID}4",
    correlation_id=f"{ID}4",
    event=None,
    sentence="ana tried to connect support@acme.example to the inbox support; nothing had to change.",
)
SIGNED: Final = entry(
    position=1_204,
    ordinal=1_310,
    time="2026-03-04T17:00:00.5+00:00",
    actor="bob",
    command="SetSignature",
    command_id=f"{ID}5",
    correlation_id=f"{ID}5",
    event={"id": f"{ID}6", "type": "switchboard.SignatureChanged.v1", "subject": "bob"},
    sentence="bob changed their signature.",
    changes=[{"field": "signature", "before": "Bob", "after": "Kind regards\nBob Baker\nAcme Ltd., 12 Long Street"}],
)
UNAPPLIED: Final = entry(
    position=1_205,
    ordinal=None,
    time="2026-03-04T17:05:00+00:00",
    actor=None,
    command=None,
    command_id=None,
    correlation_id=None,
    sentence="An event of an unknown type happened to support@acme.example.",
    event={"id": f"{ID}7", "type": "switchboard.AddressPolished.v1", "subject": "support@acme.example"},
    dead_letter=True,
)
TIMELINE: Final = [CONNECTED, REFUSED, UNCHANGED, SIGNED, UNAPPLIED]

REFUSALS: Final[list[Item]] = [
    {
        "group": {
            "reason": "ADDRESS_ALREADY_TEAM",
            "command": "ConnectPersonal",
            "count": 1_208,
            "first": "2026-03-03T09:16:44.02+00:00",
            "last": "2026-03-20T09:16:44.02+00:00",
        },
        "entry": None,
        "today": None,
    },
    *(
        {
            "group": None,
            "entry": REFUSED,
            "today": {"outcome": outcome, "reason": None, "message": None, "missing": None},
        }
        for outcome in ("accepted", "unchanged")
    ),
    {
        "group": None,
        "entry": REFUSED,
        "today": {
            "outcome": "refused",
            "reason": "ADDRESS_ORPHANED",
            "message": "The owner of the address was removed.",
            "missing": None,
        },
    },
    {
        "group": None,
        "entry": REFUSED,
        "today": {"outcome": None, "reason": None, "message": None, "missing": "the command could not be read"},
    },
]

ABOUT: Final[list[Item]] = [
    {"entry": SIGNED, "question": None},
    {
        "entry": None,
        "question": {
            "number": 17,
            "question": "AccessOf",
            "fields": {"user": "bob", "from": "2026-01-01T00:00:00Z"},
            "actor": "service:audit.zoe",
            "time": "2026-03-05T08:00:00+00:00",
            "position": 1_205,
            "outcome": "answered",
        },
    },
]


def edge(position: int, time: str, type_: str, actor: str = "ana") -> Item:
    return {
        "position": position,
        "time": time,
        "event": f"{ID}2",
        "type": f"switchboard.{type_}.v1",
        "actor": actor,
        "command_id": f"{ID}1",
    }


def interval(**fields: Any) -> Item:
    return {
        "user": "bob",
        "name": "Bob Baker",
        "added": 4,
        "address": "support@acme.example",
        "inbox": None,
        "can": "read",
        "rule": "member",
        "via": "support",
        "from": edge(12, "2026-03-03T09:15:02.113456+00:00", "TeamConnected"),
        "to": None,
        "began_before": False,
        "goes_on_after": True,
        **fields,
    }


UNREADABLE: Final = {**edge(1_310, "", ""), **dict.fromkeys(("time", "event", "type", "actor", "command_id"))}
ENDED: Final = edge(1_300, "2026-03-09T12:00:00+00:00", "InboxAccessChanged", "service:directory-sync")

ACCESS: Final = [
    interval(to=ENDED),
    interval(can="send", to=ENDED),
    interval(added=1_301, name="bob", to=UNREADABLE),
    interval(user="cleo.katharina-von-der-tann", name="Cleo", can="send", rule="team", via="sales"),
    interval(
        user="ana",
        name="Ana",
        can="administer",
        rule="administrator",
        via=None,
        **{"from": edge(1, "2026-03-01T08:00:00+00:00", "UserAdded", "service:crm")},
    ),
    interval(user="dan", name="dan", rule="alias", via="help@acme.example"),
    interval(user="eva", name="Eva", rule="everyone"),
    interval(user="fay", name="Fay", rule="owner", via=None, can="send"),
    interval(user="gil", name="Gil", rule="by a later release", via="x"),
]
ACCESS_OF: Final = [
    ACCESS[0],
    interval(address=None, inbox="support"),
    interval(address=None, inbox=None, can="administer", rule="administrator", via=None),
]

LEAVERS: Final[list[Item]] = [
    {
        "user": "bob",
        "name": "Bob",
        "added": 4,
        "removed": None,
        "left": edge(1_400, "2026-03-10T12:00:00+00:00", "UserDeactivated"),
        "last_access": None,
        "hours": None,
        "over_limit": True,
        "remaining": [interval()],
        "orphaned": [
            {
                "address": "bob@acme.example",
                "from": edge(1_405, "2026-03-10T13:00:00+00:00", "AddressOrphaned"),
                "to": edge(1_407, "2026-03-10T15:00:00+00:00", "AddressReclaimed"),
                "owner": "cleo",
                "inbox": None,
            },
            {
                "address": "sales@acme.example",
                "from": edge(1_406, "2026-03-10T13:00:00+00:00", "AddressOrphaned"),
                "to": None,
                "owner": None,
                "inbox": None,
            },
        ],
    },
    {
        "user": "cleo",
        "name": "Cleo",
        "added": 5,
        "removed": None,
        "left": edge(1_410, "2026-03-11T12:00:00+00:00", "UserRemoved"),
        "last_access": edge(1_420, "2026-03-13T00:30:00+00:00", "OwnershipTransferred"),
        "hours": 36.5,
        "over_limit": True,
        "remaining": [],
        "orphaned": [],
    },
    {
        "user": "dan",
        "name": "Dan",
        "added": 6,
        "removed": None,
        "left": edge(1_430, "2026-03-12T12:00:00+00:00", "UserDeactivated"),
        "last_access": None,
        "hours": 0.0,
        "over_limit": False,
        "remaining": [],
        "orphaned": [],
    },
]

TRACE: Final[list[Item]] = [
    {
        "command": "ConnectTeam",
        "command_id": f"{ID}1",
        "correlation_id": f"{ID}1",
        "actor": "ana",
        "ordinal": 14,
        "position": 12,
        "time": "2026-03-03T09:15:02.113456+00:00",
        "body": {"actor": "ana", "address": "Support@Acme.example", "inbox": "support"},
        "outcome": "accepted",
        "reason": None,
        "reply": {"outcome": "accepted", "position": 12},
        "events": [
            {
                "id": f"{ID}2",
                "type": "switchboard.TeamConnected.v1",
                "position": 12,
                "time": "2026-03-03T09:15:02.113456+00:00",
                "sentence": CONNECTED["sentence"],
                "published": "2026-03-03T09:15:02.116556+00:00",
                "applied": {"inbox_views": "2026-03-03T09:15:02.121+00:00", "routing": None},
                "after_ms": {"published": 3.1, "inbox_views": 7.5},
                "missing": {"routing": "it was applied before times were kept"},
            }
        ],
        "event_count": 3,
    },
    {
        "command": "ConnectPersonal",
        "command_id": f"{ID}3",
        "correlation_id": "import-2026-03-03",
        "actor": "service:directory-sync",
        "ordinal": 15,
        "position": None,
        "time": "2026-03-03T09:16:44.02+00:00",
        "body": None,
        "outcome": "refused",
        "reason": "COMMAND_INVALID",
        "reply": {"outcome": "refused", "reason": "COMMAND_INVALID", "message": "The body is not JSON."},
        "events": [],
        "event_count": 0,
    },
]

CHANGES: Final[list[Item]] = [
    {
        "aggregate": "address",
        "name": "support@acme.example",
        "change": "added",
        "fields": CONNECTED["changes"],
        "sentences": [CONNECTED["sentence"]],
    },
    {
        "aggregate": "user",
        "name": "bob",
        "change": "changed",
        "fields": [*SIGNED["changes"], {"field": "seat", "before": False, "after": True}],
        "sentences": [SIGNED["sentence"], "ana gave bob a seat."],
    },
    {"aggregate": "inbox", "name": "old", "change": "removed", "fields": [], "sentences": []},
]

BISECT: Final[Item] = {
    "position": 1_410,
    "time": "2026-03-11T12:00:00+00:00",
    "event": {"id": f"{ID}2", "type": "switchboard.AddressOrphaned.v1", "subject": "bob@acme.example"},
    "sentence": "ana removed bob; bob@acme.example has no owner now.",
    "before": "connected",
    "after": "orphaned",
    "first": 1,
    "last": 1_410,
    "complete": True,
}
NEVER: Final[Item] = {**dict.fromkeys(BISECT), "first": 1, "last": 1_450, "complete": True}

COVERAGE: Final[Item] = {
    "log": {
        "id": "3f0c9d1e",
        "position": 1_000_000,
        "ordinal": 1_412_000,
        "first_time": "2024-01-01T00:00:00+00:00",
        "last_time": "2026-03-20T09:16:44.02+00:00",
    },
    "history": {"position": 988_000, "behind": 12_000, "seconds": 75.2},
    "index": {"position": 1_000_000, "behind": 0, "seconds": 0.0, "ordinal": 1_412_000},
    "proof": [
        {
            "tree": "events",
            "origin": "log.acme.example/3f0c9d1e-51c2-4f6e-9a63-0d2c0a7b7e11/events",
            "size": 999_870,
            "time": "2026-03-20T09:16:40Z",
            "behind": 130,
            "seconds": 6.4,
            "error": None,
            "witnessed": [
                {"name": "witness.example/w1", "size": 999_000, "time": "2026-03-20T09:15:00Z"},
                {"name": "witness.example/w2", "size": 998_000, "time": "2026-03-20T09:10:00Z"},
            ],
        },
        {
            "tree": "journal",
            "origin": "log.acme.example/3f0c9d1e-51c2-4f6e-9a63-0d2c0a7b7e11/journal",
            "size": 1_300_000,
            "time": "2026-03-19T18:00:03Z",
            "behind": 112_000,
            "seconds": 55_001.0,
            "error": "the log has another entry at ordinal 1300000 than was hashed",
            "witnessed": [],
        },
    ],
    "clocks": {
        "events": 12,
        "places": [
            {"from": 700, "to": 711, "events": 12, "milliseconds": 3_600_000, "time": "2025-10-26T01:00:00+00:00"}
        ],
    },
    "dead_letters": [
        {"type": "switchboard.AddressPolished.v1", "parked": 2, "given_up": 0, "first": 1_205, "last": 1_207}
    ],
}
COMPLETE: Final[Item] = {
    **COVERAGE,
    "history": COVERAGE["index"],
    "proof": [
        {
            "tree": "events",
            "origin": "log.acme.example/3f0c9d1e-51c2-4f6e-9a63-0d2c0a7b7e11/events",
            "size": 1_000_000,
            "time": "2026-03-20T09:16:50Z",
            "behind": 0,
            "seconds": 6.4,
            "error": None,
            "witnessed": [],
        },
        {
            "tree": "journal",
            "origin": "log.acme.example/3f0c9d1e-51c2-4f6e-9a63-0d2c0a7b7e11/journal",
            "size": 0,
            "time": None,
            "behind": 1_412_000,
            "seconds": None,
            "error": None,
            "witnessed": [],
        },
    ],
    "clocks": {"events": 0, "places": []},
    "dead_letters": [],
}
