"""A directory is loaded night after night: the dry run says what the run does, and what is so is left alone."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from services.ops.loading.directory_run import Comparison, Source, compare, source_of
from services.ops.loading.plan import RowNote
from shared.process.clock import new_id
from tests.journeys.wire import Account, connected
from tests.ops.loading.command_line import DONE, REFUSED, USAGE, put, rows_in, run
from tests.real_servers import RunningNats, RunningSwitchboard

EXPORTS = Path(__file__).parent / "directories"
USERS = "user,name,permissions,seat\nbob,Bob,personal_email_access,true\ncleo,Cleo,personal_email_access,\n"
INBOXES = "inbox,name,members\nsupport,Support,bob;cleo\n"
ADDRESSES = "address,kind,owner,inbox\nhelp@acme.example,team,,support\nbob@acme.example,personal,bob,\n"
DIRECTORY = {"users.csv": USERS, "inboxes.csv": INBOXES, "addresses.csv": ADDRESSES}
PERMITTED = ["personal_email_access"]


class Night(NamedTuple):
    """What a run came to: numbers of commands and rows, and the rows that were refused."""

    accepted: int
    unchanged: int
    refused: list[tuple[str, int, str]]
    whys: list[str]
    comparison: Comparison
    commands: list[tuple[str, str]]


class Nights:
    """One account, and the folder that is loaded into it."""

    def __init__(self, running: RunningSwitchboard, folder: Path, account: Account) -> None:
        self.url = running.nats_url
        self.folder = folder
        self.account = account

    async def load(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """By the command line."""
        words = arguments or (str(self.folder),)
        code, output = await run("load-directory", *words, self.account.name, "--json", url=self.url)
        return code, json.loads(output)

    async def night(self, files: Mapping[str, str]) -> Night:
        """DryRunResult and done, which are the same."""
        put(self.folder, files)
        return await self.dry_run_and_done(source_of([self.folder], None))

    async def export(self, kind: str, *names: str) -> Night:
        return await self.dry_run_and_done(source_of([EXPORTS / name for name in names], kind))

    async def dry_run_and_done(self, source: Source) -> Night:
        name, service, since = self.account.name, "service:directory", self.account.position
        comparison = await compare(source, name, service, self.url, since)
        dry_run = comparison.dry_run
        accepted, unchanged, refusals = 0, comparison.plan.unchanged, dry_run.clashes
        for step in dry_run.steps:
            reply = await self.account.attempt(step.command, service, **step.fields)
            accepted += reply.outcome == "accepted"
            unchanged += reply.outcome == "unchanged"
            if reply.outcome == "refused":
                refusals.append(RowNote(step.file, step.line, step.what, str(reply.reason)))
        refused = [one[:3] for one in refusals]
        assert (dry_run.accepted, dry_run.unchanged) == (accepted, unchanged), refusals
        assert [one[:3] for one in dry_run.clashes] == refused
        commands = [(step.command, step.what) for step in dry_run.steps]
        return Night(accepted, unchanged, refused, [one.why for one in refusals], comparison, commands)

    async def again(self) -> Night:
        """A night later nothing is to be done."""
        done = await self.dry_run_and_done(source_of([self.folder], None))
        assert (done.accepted, done.refused) == (0, []), done
        return done

    async def asked(self, question: str, **fields: Any) -> Any:
        return await self.account.see(question, **fields)


@pytest.fixture
async def nights(running: RunningSwitchboard, folder: Path) -> Any:
    async with connected(running.nats_url) as wire:
        account = Account(wire, f"dir-{new_id()[-12:]}")
        await account.do("RegisterAccount", "service:tests", plan="professional", admin="ana")
        await account.see("Usage")
        yield Nights(running, folder, account)


async def test_importing_the_same_list_twice_changes_nothing_and_one_more_is_one_accepted(nights: Nights) -> None:
    put(nights.folder, DIRECTORY)
    dry_run_code, dry_run = await nights.load(str(nights.folder), "--dry-run")
    code, done = await nights.load()
    assert (code, done["accepted"], done["refused_file"]) == (DONE, 6, None)
    assert (dry_run_code, dry_run["accepted"], dry_run["clashes"]) == (DONE, 6, [])
    put(nights.folder, {"users.csv": f"{USERS}dora,Dora,,\n"})
    code, done = await nights.load(str(nights.folder), "--anew")
    assert (code, done["accepted"], done["unchanged"], done["refused"]) == (DONE, 1, 5, 0)
    code, done = await nights.load()
    assert (code, done["accepted"], done["unchanged"], done["refused"]) == (DONE, 0, 6, 0)
    assert done["not_in_the_directory"] == {"users": 1, "inboxes": 1}


async def test_the_third_night_is_not_blocked_by_what_the_second_one_left(nights: Nights) -> None:
    put(nights.folder, DIRECTORY | {"users.csv": f"{USERS}no id!,X,,\n"})
    for _ in range(3):
        code, done = await nights.load()
        assert (code, done["refused"]) == (REFUSED, 1)
    refused = Path(done["refused_file"])
    assert rows_in(refused)[0]["_refused"]["what"] == "no id!"
    # Of a run that was stopped: another directory goes on all the same.
    put(nights.folder, DIRECTORY | {f"{nights.account.name}.jsonl.load": json.dumps({"known_position": 1})})
    code, done = await nights.load()
    names = sorted(one.name for one in nights.folder.iterdir())
    assert (code, done["unchanged"]) == (DONE, 5)
    assert names == sorted([f"{nights.account.name}.jsonl", f"{refused.name}.before", *DIRECTORY])


async def a_leaver_with_an_address(nights: Nights) -> None:
    await nights.account.do("AddUser", user="bob", name="Bob", permissions=PERMITTED)
    await nights.account.do("ConnectPersonal", "bob", address="bob@acme.example", owner="bob")
    await nights.account.do("AddAlias", "bob", address="bob@acme.example", alias="b@acme.example")
    await nights.account.do("DeactivateUser", user="bob")
    await nights.account.do("RemoveUser", user="bob")


REHIRED = {
    "users.csv": "user,name,permissions\nbob,Bob,personal_email_access\n",
    "addresses.csv": "address,kind,owner,aliases\nbob@acme.example,personal,bob,b@acme.example\n",
}


async def test_a_rehire_gets_what_the_dry_run_says(nights: Nights) -> None:
    await a_leaver_with_an_address(nights)
    done = await nights.night(REHIRED)
    assert (done.commands, done.accepted, done.unchanged) == ([("AddUser", "bob")], 1, 2)
    assert "1 former addresses" in done.comparison.plan.returning[0].why
    assert (await nights.asked("Address", address="bob@acme.example"))["state"] == "connected"
    await nights.again()


async def test_a_rehire_without_the_permission_does_not_get_the_address_until_it_is_there(nights: Nights) -> None:
    await a_leaver_with_an_address(nights)
    done = await nights.night(REHIRED | {"users.csv": "user,name,permissions\nbob,Bob,\n"})
    assert (done.commands, done.refused) == ([("AddUser", "bob")], [("addresses.csv", 2, "bob@acme.example")])
    assert "lacks the permission personal_email_access" in done.whys[0]
    done = await nights.night(REHIRED)
    assert done.commands == [("SetPermissions", "bob"), ("ReclaimAddress", "bob@acme.example")]
    await nights.again()


async def test_a_leavers_mailbox_that_became_a_shared_one_is_the_teams(nights: Nights) -> None:
    await a_leaver_with_an_address(nights)
    done = await nights.night({
        "inboxes.csv": "inbox,name\nsupport,Support\n",
        "addresses.csv": "address,kind,inbox,aliases\nbob@acme.example,team,support,b@acme.example\n",
    })  # fmt: skip
    assert done.commands == [("CreateInbox", "support"), ("ConvertConnection", "bob@acme.example")]
    await nights.again()


async def test_a_mailbox_that_was_renamed_keeps_its_connection(nights: Nights) -> None:
    head = "address,kind,owner,aliases\n"
    await nights.night({"users.csv": USERS, "addresses.csv": f"{head}bob@acme.example,personal,bob,b@acme.example\n"})
    await nights.account.do("BindTool", "bob", address="bob@acme.example", tool="sequences")
    renamed = f"{head}robin@acme.example,personal,bob,b@acme.example;bob@acme.example\n"
    done = await nights.night({"addresses.csv": renamed})
    assert done.commands == [("AddAlias", "robin@acme.example"), ("PromoteAlias", "robin@acme.example")]
    now = await nights.asked("Address", address="robin@acme.example")
    assert (now["tools"], now["aliases"]) == (["sequences"], ["b@acme.example", "bob@acme.example"])
    await nights.again()


async def test_what_differs_becomes_the_command_that_makes_it_so(nights: Nights) -> None:
    await nights.night({
        "users.csv": "user,name,permissions,seat,active\nbob,Bob,personal_email_access,true,true\n"
        "cleo,Cleo,personal_email_access,,true\ndora,Dora,personal_email_access,,true\n",
        "teams.csv": "team,name,members\nclosers,Closers,bob;cleo\n",
        "inboxes.csv": "inbox,name,members,teams\nsupport,Support,bob;cleo,\nsales,Sales,,closers\npress,Press,;,\n",
        "addresses.csv": "address,kind,owner,inbox,from_name,aliases\nhelp@acme.example,team,,support,Acme,\n"
        "bob@acme.example,personal,bob,,,b@acme.example\njoint@acme.example,personal,bob,,,\n",
    })  # fmt: skip
    assert (await nights.again()).unchanged == 11
    changed = {
        "users.csv": "user,name,permissions,seat,active\nbob,Bob,personal_email_access;account_access,false,true\n"
        "cleo,Cleopatra,personal_email_access,true,true\ndora,Dora,,,false\n",
        "teams.csv": "team,name,members\nclosers,The closers,cleo;dora\n",
        "inboxes.csv": "inbox,name,members,teams\nsupport,Help,cleo,closers\nsales,Support,,\npress,Press,;,\n",
        "addresses.csv": "address,kind,owner,inbox,from_name,aliases\nhelp@acme.example,team,,sales,Acme Help,\n"
        "bob@acme.example,personal,bob,,,b@acme.example;smtp:bobby@acme.example\njoint@acme.example,personal,cleo,,,\n",
    }
    done = await nights.night(changed)
    assert (done.refused, done.commands) == ([], [
        ("SetPermissions", "bob"), ("UnassignSeat", "bob"), ("AssignSeat", "cleo"), ("SetPermissions", "dora"),
        ("SetTeamMembers", "closers"), ("RenameInbox", "support"), ("RenameInbox", "sales"),
        ("SetInboxAccess", "support"), ("SetInboxAccess", "sales"), ("MoveTeamAddress", "help@acme.example"),
        ("SetFromName", "help@acme.example"), ("TransferOwnership", "joint@acme.example"),
        ("AddAlias", "bobby@acme.example"), ("DeactivateUser", "dora"),
    ])  # fmt: skip
    done = await nights.again()
    assert [(one.what, "no command renames" in one.why) for one in done.comparison.plan.left] == [
        ("cleo", True), ("closers", True),
    ]  # fmt: skip
    assert (await nights.asked("Inbox", inbox="sales"))["access"] == "everyone"
    assert (await nights.asked("Inbox", inbox="press"))["readers"] == []


async def test_two_inboxes_cannot_change_names(nights: Nights) -> None:
    await nights.night({"inboxes.csv": "inbox,name\nsupport,Support\nsales,Sales\n"})
    done = await nights.night({"inboxes.csv": "inbox,name\nsupport,Sales\nsales,Support\n"})
    assert [what for _, _, what in done.refused] == ["support", "sales"]


async def test_teams_of_an_inbox_are_not_taken_away_by_a_file_that_does_not_name_them(nights: Nights) -> None:
    await nights.night(DIRECTORY)
    await nights.account.do("CreateTeam", team="closers", name="Closers", members=["ana"])
    lists = {"members": ["bob", "cleo"], "teams": ["closers"]}
    await nights.account.do("SetInboxAccess", inbox="support", access="members", **lists)
    await nights.again()
    done = await nights.night({"inboxes.csv": "inbox,name,members\nsupport,Support,bob\n"})
    assert (done.commands, "column teams" in done.whys[0]) == ([], True)


async def test_what_was_paused_or_needs_a_login_is_somebodys_still(nights: Nights) -> None:
    await nights.night(DIRECTORY)
    await nights.account.do("Pause", "bob", address="bob@acme.example")
    await nights.account.do("RequireReauthentication", address="help@acme.example", cause="expired")
    await nights.account.do("DeactivateUser", user="bob")
    done = await nights.again()
    assert [(one.what, one.file) for one in done.comparison.plan.left] == [("bob", "users.csv")]


async def test_aliases_of_a_directory_become_aliases_and_the_primarys_own_repetition_is_none(nights: Nights) -> None:
    done = await nights.night({
        "users.csv": USERS,
        "addresses.csv": "address,kind,owner,aliases\n"
        "bob@acme.example,personal,bob,smtp:b.baker@acme.example;SMTP:bob@acme.example;X400:C=AT;A= ;P=Acme;\n"
        "SMTP:cleo@acme.example,personal,cleo,\n",
    })  # fmt: skip
    assert (done.accepted, done.refused, done.comparison.left_out) == (6, [], {"X400 addresses": 1})
    assert (await nights.asked("Address", address="bob@acme.example"))["aliases"] == ["b.baker@acme.example"]
    await nights.again()


async def test_a_dry_run_lists_exactly_what_is_refused(nights: Nights) -> None:
    await nights.account.do("AddUser", user="eve", name="Eve", permissions=PERMITTED)
    await nights.account.do("ConnectPersonal", "eve", address="main@acme.example", owner="eve")
    await nights.account.do("AddAlias", "eve", address="main@acme.example", alias="taken@acme.example")
    await nights.account.see("Usage")
    put(nights.folder, {
        "users.csv": f"{USERS}bob,Bob II,,\nno id!,X,,\nanew,,,\nodd,Odd,everything,\n",
        "inboxes.csv": f"{INBOXES}more,SUPPORT ,\nlost,Lost,nobody\n",
        "addresses.csv": f"{ADDRESSES}BOB@acme.example,personal,cleo,\ntaken@acme.example,personal,bob,\n"
        "x@,personal,bob,\ny@acme.example,team,,nowhere\nz@acme.example,personal,nobody,\nw@acme.example,other,bob,\n"
        "v@acme.example,personal,anew,\nu@acme.example,team,bob,\nhelp@acme.example,team,,support\n",
    })  # fmt: skip
    dry_run_code, dry_run = await nights.load(str(nights.folder), "--dry-run")
    code, done = await nights.load()
    assert (dry_run_code, code, dry_run["clashes"]) == (REFUSED, REFUSED, done["clashes"])
    assert [(one["file"], one["line"]) for one in done["clashes"]] == [
        *(("users.csv", line) for line in range(4, 8)), ("inboxes.csv", 3), ("inboxes.csv", 4),
        *(("addresses.csv", line) for line in range(4, 13)),
    ]  # fmt: skip
    assert not [one for one in done["clashes"] if "^" in one["why"]]
    rows = rows_in(Path(done["refused_file"]))
    assert [row["_refused"]["line"] for row in rows] == [one["line"] for one in done["clashes"]]


async def test_an_alias_in_the_place_of_the_address_is_told_where_it_goes(nights: Nights) -> None:
    done = await nights.night({
        "users.csv": USERS,
        "addresses.csv": "address,kind,owner,aliases\nsmtp:bob@acme.example,personal,bob,\n"
        "SMTP:bob@acme.example;smtp:b@acme.example,personal,bob,\ncleo@acme.example,personal,cleo,SMTP:c@acme.example\n"
        "c@acme.example,personal,cleo,System.String[]\n",
    })  # fmt: skip
    assert [line for _, line, _ in done.refused] == [2, 4, 5]
    assert "goes to the column aliases" in done.whys[0]
    assert "two primary addresses" in done.whys[1]
    assert ("ConnectPersonal", "bob@acme.example") in done.commands
    assert ("AddAlias", "b@acme.example") in done.commands


async def test_a_refusal_of_the_write_side_is_shown_with_all_that_needs_it(nights: Nights) -> None:
    """Another address of the same mailbox is somebody else's; no question tells that."""
    await nights.account.do("AddUser", user="eve", name="Eve", permissions=PERMITTED)
    await nights.account.do("AddUser", user="bob", name="Bob", permissions=PERMITTED)
    same = {"provider": "google", "provider_identity": "g-1", "owner": "bob"}
    for address in ("one@acme.example", "two@acme.example"):
        await nights.account.do("ConnectPersonal", "bob", address=address, **same)
    done = await nights.night({
        "users.csv": "user,name\nbob,Bob\neve,Eve\n",
        "addresses.csv": "address,kind,owner,aliases\none@acme.example,personal,eve,e@acme.example\n",
    })  # fmt: skip
    assert (done.accepted, [what for _, _, what in done.refused]) == (0, ["one@acme.example", "e@acme.example"])


async def test_the_last_administrator_stays_and_another_may_take_over(nights: Nights) -> None:
    head = "user,name,permissions\n"
    done = await nights.night({"users.csv": f"{head}ana,ana,personal_email_access\n"})
    assert (done.commands, "LAST_SUPER_ADMIN" in done.whys[0]) == ([], True)
    done = await nights.night({"users.csv": f"{head}ana,ana,personal_email_access\nzoe,Zoe,super_admin\n"})
    assert (done.refused, done.commands) == ([], [("AddUser", "zoe"), ("SetPermissions", "ana")])


async def test_the_dry_run_shows_inboxes_beyond_the_plan(running: RunningSwitchboard, folder: Path) -> None:
    async with connected(running.nats_url) as wire:
        account = Account(wire, f"dir-{new_id()[-12:]}")
        await account.do("RegisterAccount", "service:tests", plan="starter", admin="ana")
        rows = "".join(f"i{number},Inbox {number},\n" for number in range(6))
        done = await Nights(running, folder, account).night({"inboxes.csv": f"inbox,name,members\n{rows}"})
    assert [line for _, line, _ in done.refused] == [6, 7]


async def test_an_account_that_is_not_there_is_told(nights: Nights) -> None:
    put(nights.folder, DIRECTORY)
    for more in ((), ("--dry-run",)):
        code, output = await run("load-directory", str(nights.folder), "nobodys", *more, url=nights.url)
        assert (code, "register it first" in output, "Traceback" in output) == (REFUSED, True, False), output


async def test_somebody_who_is_there_twice_is_what_the_first_row_says(nights: Nights) -> None:
    head = "user,name,active\n"
    for _ in range(2):
        done = await nights.night({"users.csv": f"{head}bob,Bob,true\nbob,Bob,false\n"})
        assert [line for _, line, _ in done.refused] == [3]
    assert (done.commands, done.unchanged) == ([], 1)


async def test_ids_of_a_directory_are_kept(nights: Nights) -> None:
    """Of 36 characters; those of teams and inboxes, too."""
    own = "7d9f3a52-6c1e-4b8a-9f20-3b1c5e7a9d44"
    done = await nights.night({
        "users.csv": f"user,name\n{own},Uma\numa.stone,Uma Stone\n",
        "teams.csv": f"team,name,members\n{own},Team,{own};uma.stone\n",
        "inboxes.csv": f"inbox,name,members\n{own},Box,uma.stone\n",
    })  # fmt: skip
    assert (done.accepted, done.refused) == (4, [])


async def test_capitals_and_semicolons_of_a_spreadsheet_are_read(nights: Nights) -> None:
    done = await nights.night({"users.csv": "\ufeffsep=;\r\nUser;Name;SEAT\r\nbob;Bob;TRUE\r\n;;\r\n"})
    assert done.commands == [("AddUser", "bob"), ("AssignSeat", "bob")]


# ---- as other systems export them


@pytest.mark.parametrize(
    ("kind", "files", "accepted", "unchanged"),
    [
        ("google", ["google-users.csv"], 9, 8),
        ("microsoft", ["microsoft-by-alphabet.csv"], 8, 7),
        ("microsoft", ["microsoft-by-name.csv"], 7, 6),
        ("exchange", ["exchange-mailboxes.csv"], 9, 7),
        ("scim", ["scim-page-1.json", "scim-page-2.json"], 7, 6),
        ("ldif", ["people.ldif", "active-directory.ldif"], 12, 9),
    ],
)
async def test_a_directory_as_it_comes_is_loaded_night_after_night(
    kind: str, files: list[str], accepted: int, unchanged: int, nights: Nights
) -> None:
    done = await nights.export(kind, *files)
    assert (done.accepted, done.refused) == (accepted, [])
    done = await nights.export(kind, *files)
    assert (done.accepted, done.refused, done.unchanged) == (0, [], unchanged)


async def test_the_command_line_takes_an_export_and_the_account_behind_it(nights: Nights) -> None:
    path = nights.folder / "exchange-mailboxes.csv"
    path.write_bytes((EXPORTS / path.name).read_bytes())
    code, dry_run = await nights.load("--from", "exchange", str(path), "--dry-run")
    assert (code, dry_run["read"]) == (DONE, {"rows": 6, "people": 2, "shared mailboxes": 1})
    code, done = await nights.load("--from", "exchange", str(path))
    assert (code, done["accepted"], done["left_out"]["rooms"]) == (DONE, 9, 1)
    box = await nights.asked("Inbox", inbox="help.desk", at_least=0)
    assert (box["name"], box["readers"], box["addresses"][0]["aliases"]) == ("Help desk", [], ["support@acme.example"])


async def test_exchange_and_microsoft_speak_of_the_same_people(nights: Nights) -> None:
    await nights.export("microsoft", "microsoft-by-name.csv")
    done = await nights.export("exchange", "exchange-mailboxes.csv")
    assert done.refused == []
    users = {one["user"]: one["status"] for one in await nights.asked("Users")}
    assert users == {
        "ana": "active", "7d9f3a52-6c1e-4b8a-9f20-3b1c5e7a9d44": "active",
        "0b6e1f0a-11aa-4c1c-8f1d-5d1c2b3a4e5f": "deactivated",
    }  # fmt: skip


async def test_who_has_the_address_already_is_the_person_that_google_means(nights: Nights) -> None:
    await nights.account.do("AddUser", user="bob", name="Bob Baker", permissions=PERMITTED)
    await nights.account.do("ConnectPersonal", "bob", address="bob.baker@acme.example", owner="bob")
    done = await nights.export("google", "google-users.csv")
    assert (done.refused, done.comparison.ids["bob.baker@acme.example"]) == ([], "bob")


async def test_a_shared_mailbox_stays_in_the_inbox_where_it_is(nights: Nights) -> None:
    await nights.account.do("CreateInbox", inbox="support", name="Support")
    await nights.account.do("ConnectTeam", address="help@acme.example", inbox="support", visibility_acknowledged=True)
    done = await nights.export("exchange", "exchange-mailboxes.csv")
    assert (done.refused, "CreateInbox" in dict(done.commands)) == ([], False)


async def test_who_was_switched_off_here_by_hand_is_not_given_addresses_by_an_export(nights: Nights) -> None:
    """Taking the permission away is how an administrator forbids it; that is no error of the directory."""
    user = "7d9f3a52-6c1e-4b8a-9f20-3b1c5e7a9d44"
    await nights.account.do("AddUser", user=user, name="Bob Baker", permissions=[])
    done = await nights.export("microsoft", "microsoft-by-name.csv")
    assert (done.refused, [one.what for one in done.comparison.plan.left]) == ([], ["bob@acme.example"])


# ---- what is refused as a whole


@pytest.mark.parametrize(
    ("users", "why"),
    [
        (b"user,name,seat\nbob,Bob,yes\n", "line 2 of users.csv has a seat 'yes'"),
        (b"user,name,active\nbob,Bob,perhaps\n", "line 2 of users.csv has an active 'perhaps'"),
        (b"user,name\nbob,Smith, Bob\n", "line 2: 1 more cells"),
        (b"user,name,name\nbob,Bob,B\n", "name is in the header twice"),
        ("user,name\nbob,Björn\n".encode("latin-1"), "users.csv is not UTF-8 at byte 16"),
        (b"x" * 19 + b",user,name\n" + b"b,b,Bob\n" * 2_500 + b"b,b,Bj\xf6rn\n", "at byte 20,036"),
        (b'user,name\nbob,"B"x\n', "line 2: text follows a closing quote"),
        (b'user,name\nu1,"Ugo\nu2,Uma\n', "line 2: a quote opens and is not closed"),
    ],
)
async def test_a_file_that_would_lose_something_is_refused_as_a_whole(
    nats: RunningNats, folder: Path, users: bytes, why: str
) -> None:
    (folder / "users.csv").write_bytes(users)
    for more in ((), ("--dry-run",)):
        code, output = await run("load-directory", str(folder), "acme", *more, url=nats.url)
        assert (code, why in output) == (USAGE, True), output


async def test_a_file_that_somebody_has_there_is_not_written_over(nats: RunningNats, folder: Path) -> None:
    put(folder, {"users.csv": "user,name\nbob,Bob\n", "acme.jsonl": "mine\n"})
    code, output = await run("load-directory", str(folder), "acme", url=nats.url)
    assert (code, "exists already" in output) == (USAGE, True), output
    assert (folder / "acme.jsonl").read_text() == "mine\n"
    (folder / "acme.jsonl").rename(folder / "acme.jsonl.load")
    code, output = await run("load-directory", str(folder), "acme", url=nats.url)
    assert (code, "exists already" in output) == (USAGE, True), output


async def test_a_header_that_is_not_as_documented_is_told(nats: RunningNats, folder: Path) -> None:
    code, output = await run("load-directory", str(folder), "acme", url=nats.url)
    assert (code, "has none of users.csv" in output) == (USAGE, True)
    put(folder, {"users.csv": "id,name\nbob,Bob\n"})
    code, output = await run("load-directory", str(folder), "acme", url=nats.url)
    assert (code, "lacks user and has an unknown id" in output) == (USAGE, True)
