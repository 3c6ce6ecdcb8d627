"""What users of other products complain about where mail comes in: one test per complaint, named after it."""

from typing import Any

import pytest

from tests.journeys.steps import Case, does, sees
from tests.journeys.wire import Account

BOB, HELP, INFO = "bob@acme.example", "help@acme.example", "info@acme.example"
CUSTOMER = "jo@client.example"
HELP_CONNECTS = does("ana", "ConnectTeam", address=HELP, inbox="support", visibility_acknowledged=True)
BOB_AND_CLEO = does("ana", "SetRouting", inbox="support", rule={"kind": "users_and_teams", "users": ["bob", "cleo"]})
NO_ADDRESSES = (
    "", "MAILER-DAEMON", "root@monitor.local", "cron@web_01.plant.example", "kana..t@carrier.example",
    "taro.@carrier.example", "josé@client.example", "v" * 65 + "@bulk.example", "<>", "\x00", "\ud800",
)  # fmt: skip


def one_of_two(assignee: Any) -> bool:
    return assignee in {"bob", "cleo"}


CASES = (
    Case("zammad#811", "A mail without a usable sender still goes to its inbox and has somebody.", (
        HELP_CONNECTS, BOB_AND_CLEO,
        *(sees("service:try", "Resolve", [{"destination": "inbox", "inbox": "support", "assignee": one_of_two}],
               recipients=[HELP], sender=sender) for sender in NO_ADDRESSES),
    )),
    Case("zammad#811 (never-log)", "Of a sender that is half readable never-log still knows the domain.", (
        does("bob", "ConnectPersonal", address=BOB, owner="bob"),
        does("ana", "SetAccountNeverLog", entries=["Carrier.example", "jo@client.example"]),
        *(sees("service:try", "Resolve", [{"destination": "none", "reason": "NEVER_LOG"}], recipients=[BOB],
               sender=sender)
          for sender in ("kana..t@carrier.example", "taro.@Mail.Carrier.Example.", "Jo <JO@client.example>")),
        sees("service:try", "Resolve", [{"destination": "personal"}], recipients=[BOB], sender="jo..e@client.example"),
    )),
    Case("nextcloud/mail#5110", "Who may no longer have a private mailbox has nothing logged from it.", (
        does("bob", "ConnectPersonal", address=BOB, owner="bob"),
        does("ana", "SetPermissions", user="bob", permissions=[]),
        sees("service:try", "Resolve", [{"destination": "none", "reason": "PERMISSION_MISSING"}],
             recipients=[BOB], sender=CUSTOMER),
        does("ana", "SetPermissions", user="bob", permissions=["personal_email_access"]),
        sees("service:try", "Resolve", [{"destination": "personal", "reason": None}],
             recipients=[BOB], sender=CUSTOMER),
    )),
    Case("zammad#5209", "Mail to an inbox that nobody reads is told to be so.", (
        HELP_CONNECTS,
        does("ana", "SetInboxAccess", inbox="support", access="members", members=["bob"]),
        sees("service:try", "Resolve", [{"inbox": "support", "reason": None}], recipients=[HELP], sender=CUSTOMER),
        does("ana", "DeactivateUser", user="bob"),
        sees("service:try", "Resolve",
             [{"destination": "inbox", "inbox": "support", "assignee": None, "reason": "NO_READERS"}],
             recipients=[HELP], sender=CUSTOMER),
    )),
    Case("freescout#379", "A dot at the end of a recipient's domain keeps no mail away, and is never claimed.", (
        HELP_CONNECTS,
        sees("service:try", "Resolve", [{"recipient": HELP, "inbox": "support"}],
             recipients=["help@acme.example."], sender=CUSTOMER),
        does("ana", "ConnectTeam", {"reason": "ADDRESS_INVALID"}, address="desk@acme.example.", inbox="support",
             visibility_acknowledged=True),
    )),
    Case("kody#644", "A subaddress is not folded, and names the address that was probably meant to who may know.", (
        HELP_CONNECTS,
        *(sees(actor, "Resolve", [{"destination": "none", "reason": "NOT_CONNECTED", "suspected": suspected}],
               recipients=["help+4711@acme.example"], sender=CUSTOMER)
          for actor, suspected in (("service:try", HELP), ("ana", HELP), ("bob", HELP), ("eve", None))),
    )),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_the_complaint_has_no_ground_here(case: Case, account: Account) -> None:
    await case.happen(account)


async def test_freescout_2807_one_mail_to_two_addresses_of_an_inbox_has_one_person(account: Account) -> None:
    for address in (HELP, INFO):
        await account.do("ConnectTeam", "ana", address=address, inbox="support", visibility_acknowledged=True)
    await account.do("SetRouting", "ana", inbox="support", rule={"kind": "users_and_teams", "users": ["bob", "cleo"]})
    for number in range(12):
        found = await account.see("Resolve", recipients=[HELP, INFO], sender=f"jo-{number}@client.example")
        assert len({(one["inbox"], one["assignee"]) for one in found}) == 1


async def test_tutanota_8933_a_renamed_mailbox_is_found_under_its_new_name_and_its_old_one(account: Account) -> None:
    await account.do("ConnectPersonal", "bob", address=BOB, owner="bob")
    await account.do("AddAlias", "bob", address=BOB, alias="robin@acme.example")
    await account.do("PromoteAlias", "bob", address=BOB, alias="robin@acme.example")
    found = await account.see("Resolve", recipients=["robin@acme.example", BOB], sender=CUSTOMER)
    assert [(one["destination"], one["owner"]) for one in found] == [("personal", "bob")] * 2


async def test_microsoft_365_docs_7591_a_leavers_mailbox_that_became_a_teams_takes_mail(account: Account) -> None:
    await account.do("ConnectPersonal", "bob", address=BOB, owner="bob")
    await account.do("DeactivateUser", "ana", user="bob")
    await account.do("RemoveUser", "ana", user="bob")
    await account.do("ConvertConnection", "ana", address=BOB, to="team", inbox="support", visibility_acknowledged=True)
    (found,) = await account.see("Resolve", recipients=[BOB], sender=CUSTOMER)
    assert (found["destination"], found["inbox"], found["reason"]) == ("inbox", "support", None)
