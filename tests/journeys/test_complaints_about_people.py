"""What users of other products complain about when people come, go and lose rights: one test per complaint."""

import pytest

from tests.journeys.steps import Case, does, sees
from tests.journeys.wire import Account

BOB, B, ROBIN = "bob@acme.example", "b@acme.example", "robin@acme.example"
HELP, OLD_HELP, SALES = "help@acme.example", "a-old-help@acme.example", "sales@acme.example"
HELP_CONNECTS = does("ana", "ConnectTeam", address=HELP, inbox="support", visibility_acknowledged=True)
BOB_CONNECTS = does("bob", "ConnectPersonal", address=BOB, owner="bob", provider="google", provider_identity="g-1")
DORA_LEAVES = (does("ana", "DeactivateUser", user="dora"), does("ana", "RemoveUser", user="dora"))

CASES = (
    Case("nextcloud/mail#5110", "Taking away the right to a private mailbox is seen in its health.", (
        BOB_CONNECTS,
        does("ana", "SetPermissions", user="bob", permissions=[]),
        sees("bob", "Identities", [{"address": BOB, "usable": False, "why_not": "PERMISSION_MISSING"}], user="bob"),
        sees("ana", "Address", {"state": "connected", "health": "degraded"}, address=BOB),
    )),
    Case("espocrm#2580", "Mail goes out under the name of whoever has the address now.", (
        does("ana", "ConnectTeam", address=HELP, inbox="support", visibility_acknowledged=True,
             from_name="Acme Support"),
        does("dora", "ConvertConnection", address=HELP, to="personal", owner="dora"),
        sees("dora", "Identities", [{"address": HELP, "from_name": "Dora"}], user="dora"),
        does("dora", "SetFromName", address=HELP, from_name="Dora of Acme"),
        does("dora", "ConvertConnection", address=HELP, to="team", inbox="support", visibility_acknowledged=True),
        sees("bob", "Identities", [{"address": HELP, "from_name": "Support"}], user="bob"),
    )),
    Case("Rocket.Chat#627", "Somebody else can take over what was connected by a person who left.", (
        does("dora", "ConnectTeam", address=SALES, inbox="sales", visibility_acknowledged=True),
        does("ana", "SetInboxAccess", inbox="sales", access="members", members=["cleo", "dora"]),
        sees("ana", "RemovalImpact", {"connections": [SALES], "last_reader_of": []}, user="dora"),
        does("ana", "DeactivateUser", user="dora"),
        sees("ana", "Address", {"connector_gone": True, "health": "degraded"}, address=SALES),
        does("ana", "RemoveUser", user="dora"),
        does("ana", "RequireReauthentication", address=SALES, cause="her grant is gone"),
        does("ana", "Reconnect", address=SALES),
        sees("ana", "Address", {"connector": "ana", "connector_gone": False, "health": "healthy"}, address=SALES),
    )),
    Case("Rocket.Chat#627 (its last reader)", "An inbox that was read by nobody else is not healthy for that.", (
        does("dora", "ConnectTeam", address=SALES, inbox="sales", visibility_acknowledged=True),
        sees("ana", "RemovalImpact", {"connections": [SALES], "last_reader_of": ["sales"]}, user="dora"),
        *DORA_LEAVES,
        does("ana", "RequireReauthentication", address=SALES, cause="her grant is gone"),
        does("ana", "Reconnect", address=SALES),
        sees("ana", "Address", {"connector_gone": False, "health": "degraded"}, address=SALES),
        does("ana", "SetInboxAccess", inbox="sales", access="members", members=["cleo"]),
        sees("ana", "Address", {"connector_gone": False, "health": "healthy"}, address=SALES),
    )),
    Case("zammad#5209", "A group that nobody can see is not healthy.", (
        HELP_CONNECTS,
        does("ana", "SetInboxAccess", inbox="support", access="members", members=["bob"]),
        sees("ana", "RemovalImpact", {"last_reader_of": ["support"]}, user="bob"),
        does("ana", "DeactivateUser", user="bob"),
        sees("ana", "Inbox", {"readers": [], "inactive": ["bob"],
                              "addresses": [{"address": HELP, "health": "degraded"}]}, inbox="support"),
        sees("service:try", "Address", {"health": "degraded"}, address=HELP),
    )),
    Case("SuiteCRM-Core#874", "A default sender that was lost does not come back as somebody else's address.", (
        does("bob", "ConnectPersonal", address=SALES, owner="bob"),
        BOB_CONNECTS,
        does("bob", "SetDefaultSender", user="bob", address=SALES),
        does("bob", "Disconnect", address=SALES),
        sees("bob", "User", {"default_sender": BOB}, user="bob"),
        does("ana", "ConnectTeam", address=SALES, inbox="inbox", visibility_acknowledged=True),
        sees("bob", "Identities", [{"address": BOB, "default": True}, {"address": SALES, "default": False}],
             user="bob"),
        does("bob", "SetDefaultSender", user="bob", address=SALES),
        sees("bob", "User", {"default_sender": SALES}, user="bob"),
    )),
    Case("indico#4872", "Who is gone is marked in teams and inboxes, so that a list can be saved without them.", (
        does("ana", "CreateTeam", team="closers", name="Closers", members=["bob", "cleo"]),
        does("ana", "DeactivateUser", user="bob"),
        does("ana", "RemoveUser", user="bob"),
        sees("ana", "Teams", [{"team": "closers", "members": ["bob", "cleo"], "inactive": ["bob"]}]),
        sees("ana", "Inbox", {"members": ["bob", "cleo"], "inactive": ["bob"], "readers": ["cleo"]}, inbox="support"),
    )),
    Case("freescout#2988", "An alias that only receives is offered after the inbox's own address.", (
        HELP_CONNECTS,
        does("ana", "AddAlias", address=HELP, alias=OLD_HELP),
        sees("bob", "Identities", [{"address": HELP, "default": True}, {"address": OLD_HELP, "default": False}],
             user="bob"),
    )),
    Case("tutanota#8933", "A mailbox that was renamed keeps its tools, name, aliases and place as the default.", (
        BOB_CONNECTS,
        does("bob", "BindTool", address=BOB, tool="sequences"),
        does("bob", "SetFromName", address=BOB, from_name="Bob of Acme"),
        does("bob", "SetDefaultSender", user="bob", address=BOB),
        does("bob", "AddAlias", address=BOB, alias=ROBIN),
        does("bob", "AddAlias", address=BOB, alias=B),
        does("bob", "PromoteAlias", address=BOB, alias=ROBIN),
        sees("bob", "Address", {"state": "connected", "primary": None, "owner": "bob", "tools": ["sequences"],
                                "from_name": "Bob of Acme", "aliases": [B, BOB]}, address=ROBIN),
        *(sees("bob", "Address", {"state": "connected", "owner": "bob", "primary": ROBIN}, address=name)
          for name in (B, BOB)),
        sees("bob", "User", {"default_sender": ROBIN}, user="bob"),
        does("bob", "RemoveAlias", address=ROBIN, alias=BOB),
        sees("bob", "User", {"default_sender": ROBIN}, user="bob"),
    )),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_the_complaint_has_no_ground_here(case: Case, account: Account) -> None:
    await case.happen(account)
