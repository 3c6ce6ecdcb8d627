"""Whatever stops a load, the same command line goes on with it, and nothing is done twice or lost."""

import asyncio
import fcntl
import json
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from rich.progress import Progress

from services.ops.loading.progress_bar import throughput_text
from services.ops.loading.rows import read
from shared.process.clock import new_id
from tests import command_line
from tests.journeys.wire import Account, Wire, connected
from tests.real_servers import ROOT, RunningNats, RunningSwitchboard, free_port

DONE, REFUSED, USAGE, NO_ANSWER, INTERRUPTED = 0, 1, 2, 3, 130
USERS, ADDRESSES = 20, 1_500
# Names that JSON in a file may have, and JSON in a message not.
ODD: list[Any] = ["\ud800", 10**30]


def run(*arguments: str, url: str = "") -> "asyncio.Task[tuple[int, str]]":
    return asyncio.create_task(_run(*arguments, url=url))


async def _run(*arguments: str, url: str) -> tuple[int, str]:
    ended = await command_line.run(*arguments, environment={"SWITCHBOARD_NATS_URL": url}, merged=True)
    return ended.code, ended.output


async def started(*arguments: str, url: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.ops.cli", *arguments,
        cwd=ROOT, env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "SWITCHBOARD_NATS_URL": url},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


def lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def names_in(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def texts_in(folder: Path) -> dict[str, str]:
    return {one.name: one.read_text() for one in folder.iterdir()}


def rows_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def story(account: str, addresses: int = ADDRESSES) -> list[dict[str, Any]]:
    """An account from nothing: everything depends on something before it."""
    told: list[tuple[str, dict[str, Any]]] = [
        ("RegisterAccount", {"actor": "service:tests", "plan": "free", "admin": "ana"})
    ]
    for number in range(USERS):
        who = {"user": f"u{number}", "name": f"U {number}", "permissions": ["personal_email_access"]}
        told.append(("AddUser", {"actor": "ana", **who}))
    for number in range(addresses):
        owner = f"u{number % USERS}"
        told.append(("ConnectPersonal", {"actor": owner, "owner": owner, "address": f"a{number}@{account}.example"}))
    return [{"account": account, "command": name, **fields} for name, fields in told]


def new_account() -> str:
    return f"load-{new_id()[-12:]}"


async def told_of(url: str, account: str) -> list[str]:
    """The types of the account's events."""
    async with connected(url) as wire:
        facts = await (await viewed(wire, account)).facts()
    return [fact.name for fact in facts]


async def viewed(wire: Wire, name: str) -> Account:
    """The account, when the view shows all that was done."""
    account = Account(wire, name)
    await account.do("RenameInbox", inbox="inbox", name=f"Inbox {new_id()}")
    await account.see("Usage")
    return account


async def test_a_file_is_given_in_an_order_that_works_however_many_are_under_way(
    running: RunningSwitchboard, folder: Path
) -> None:
    account = new_account()
    path = lines(folder / "all.jsonl", story(account))
    code, output = await run("load", str(path), url=running.nats_url)
    assert (code, f"{ADDRESSES + USERS + 1:,} accepted" in output) == (DONE, True), output
    assert names_in(folder) == ["all.jsonl"]
    assert (await told_of(running.nats_url, account)).count("PersonalConnected") == ADDRESSES


async def test_what_is_refused_stands_in_a_file_that_can_be_loaded_once_it_is_mended(
    running: RunningSwitchboard, folder: Path
) -> None:
    account = new_account()
    rows = story(account, 3)
    rows += [rows[-1] | {"owner": "u7", "actor": "u7"}, {"account": account, "command": "Nonsense"}]
    path = folder / "some.jsonl"
    lines(path, rows)
    path.write_text(path.read_text() + "{torn\n")
    code, output = await run("load", str(path), "--json", url=running.nats_url)
    told = json.loads(output)
    assert (code, told["refused"], told["whole"]) == (REFUSED, 3, True)
    found = rows_in(Path(told["refused_file"]))
    assert [one["_refused"]["reason"] for one in found] == [
        "ADDRESS_ALREADY_PERSONAL", "COMMAND_UNKNOWN", "UNREADABLE",
    ]  # fmt: skip
    assert [one["_refused"]["line"] for one in found] == [25, 26, 27]
    mended = lines(folder / "mended.jsonl", [found[0] | {"address": f"free@{account}.example"}])
    assert (await run("load", str(mended), url=running.nats_url))[0] == DONE


async def test_a_row_that_no_message_can_bear_is_refused_alone_and_kept_as_it_stood(
    running: RunningSwitchboard, folder: Path
) -> None:
    account = new_account()
    good = story(account, 1)
    odd = [{"account": account, "command": "AddUser", "actor": "ana", "user": "odd", "name": name} for name in ODD]
    path = lines(folder / "odd.jsonl", good + odd)
    path.write_text(path.read_text() + "[" * 3_000 + '\n{"size": NaN}\n')
    code, output = await run("load", str(path), "--json", url=running.nats_url)
    told = json.loads(output)
    assert (code, told["accepted"], told["refused"]) == (REFUSED, len(good), len(ODD) + 2), output
    found = rows_in(Path(told["refused_file"]))
    assert {one["_refused"]["reason"] for one in found} == {"UNREADABLE"}
    assert [one.get("name") for one in found[: len(ODD)]] == ODD
    assert [one["_text"] for one in found[len(ODD) :]] == ["[" * 3_000, '{"size": NaN}']


async def test_no_file_that_is_there_is_written_over(nats: RunningNats, folder: Path) -> None:
    path = lines(folder / "some.jsonl", story("acme", 1))
    (folder / "notes.txt").write_text("precious")
    (folder / "some.jsonl.refused.jsonl").write_text("half mended")
    before = texts_in(folder)
    for more in (("--refused", str(path)), ("--refused", str(folder / "notes.txt")), ()):
        code, output = await run("load", str(path), *more, url=nats.url)
        assert (code, "exists already" in output) == (USAGE, True), output
    assert texts_in(folder) == before


async def test_a_load_goes_on_with_the_options_it_was_begun_with_and_no_others(
    running: RunningSwitchboard, folder: Path
) -> None:
    account = new_account()
    path = lines(folder / "all.jsonl", story(account))
    process = await started("load", str(path), "--in-flight", "8", "--actor", "ana", url=running.nats_url)
    async with connected(running.nats_url) as wire, asyncio.timeout(60):
        await some_are_connected(wire, account)
    process.send_signal(signal.SIGINT)
    await process.communicate()
    assert process.returncode == INTERRUPTED
    code, output = await run("load", str(path), "--actor", "bob", url=running.nats_url)
    assert (code, "started with" in output, "--actor ana" in output) == (USAGE, True, True), output
    assert (await run("load", str(path), "--actor", "ana", url=running.nats_url))[0] == DONE


async def test_a_load_does_not_go_on_with_a_log_that_gives_the_same_position_to_another_event(
    switchboard: RunningSwitchboard, folder: Path
) -> None:
    """As one restored from an older backup does."""
    account = new_account()
    path = lines(folder / "all.jsonl", story(account))
    process = await started("load", str(path), "--in-flight", "1", url=switchboard.nats_url)
    async with connected(switchboard.nats_url) as wire, asyncio.timeout(60):
        await some_are_connected(wire, account)
    process.send_signal(signal.SIGINT)
    await process.communicate()
    place = json.loads((folder / "all.jsonl.load").read_bytes())
    with psycopg.connect(switchboard.postgres_url) as connection:
        known = (place["known_position"],)
        ((end, state),) = connection.execute(
            "SELECT notification_id, convert_from(state, 'UTF8') FROM connections.events"
            " ORDER BY notification_id DESC LIMIT 1"
        ).fetchall()
        assert (end, json.loads(state)["id"]) == (known[0], place["known_event"])
        connection.execute("DELETE FROM connections.events WHERE notification_id = %s", known)
        connection.execute("DELETE FROM connections.memberships WHERE position = %s", known)
        connection.execute("DELETE FROM connections.journal WHERE position = %s", known)
    code, output = await run("load", str(path), url=switchboard.nats_url)
    assert (code, "restored from an older backup" in output, "--anew" in output) == (USAGE, True, True), output


async def test_a_load_does_not_go_on_with_another_switchboard(
    running: RunningSwitchboard, switchboard: RunningSwitchboard, folder: Path
) -> None:
    account = new_account()
    for url in (running.nats_url, switchboard.nats_url):
        code, output = await run("load", str(lines(folder / "first.jsonl", story(account, 1))), url=url)
        assert code == DONE, output
    path = lines(folder / "all.jsonl", story(account)[USERS + 1 :])
    process = await started("load", str(path), "--in-flight", "8", url=running.nats_url)
    async with connected(running.nats_url) as wire, asyncio.timeout(60):
        await some_are_connected(wire, account)
    process.send_signal(signal.SIGINT)
    await process.communicate()
    code, output = await run("load", str(path), url=switchboard.nats_url)
    assert (code, "another Switchboard" in output, "--anew" in output) == (USAGE, True, True), output
    # No more than the one that it was known by.
    assert (await told_of(switchboard.nats_url, account)).count("PersonalConnected") <= 2
    assert (await run("load", str(path), url=running.nats_url))[0] == DONE
    assert (await told_of(running.nats_url, account)).count("PersonalConnected") == ADDRESSES


async def does_nothing(process: asyncio.subprocess.Process) -> None:
    """Returns when it has used no processor for a while: it has sent what it may, and waits."""
    spent, before = psutil.Process(process.pid).cpu_times, None
    while before != (before := spent()):
        await asyncio.sleep(0.5)


async def test_a_second_ctrl_c_leaves_at_once(switchboard: RunningSwitchboard, folder: Path) -> None:
    path = lines(folder / "all.jsonl", story("acme"))
    process = await started("load", str(path), "--in-flight", "8", url=switchboard.nats_url)
    async with connected(switchboard.nats_url) as wire, asyncio.timeout(60):
        await some_are_connected(wire, "acme")
    nats_server = next(one for one in switchboard.processes() if one.name() == "nats-server")
    nats_server.suspend()
    try:
        # Answers that were on their way are taken first: else nothing may be left to wait for at the first Ctrl-C.
        await does_nothing(process)
        process.send_signal(signal.SIGINT)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(process.wait(), 0.5)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(10):
            await process.communicate()
    finally:
        nats_server.resume()
    assert process.returncode == INTERRUPTED
    assert (await run("load", str(path), url=switchboard.nats_url))[0] == DONE


async def test_a_csv_is_as_good(running: RunningSwitchboard, folder: Path) -> None:
    account = new_account()
    path = folder / "users.csv"
    path.write_text("command,actor,plan,admin,user,name,permissions\n"
                    "RegisterAccount,service:tests,free,ana,,,\n"
                    "AddUser,ana,,,bob,Bob,personal_email_access;account_access\n")  # fmt: skip
    code, output = await run("load", str(path), "--account", account, url=running.nats_url)
    assert code == DONE, output


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
async def test_a_load_that_is_stopped_goes_on_and_nothing_is_done_twice(
    how: signal.Signals, running: RunningSwitchboard, folder: Path
) -> None:
    account = new_account()
    path = lines(folder / "all.jsonl", story(account))
    process = await started("load", str(path), "--in-flight", "8", url=running.nats_url)
    async with connected(running.nats_url) as wire, asyncio.timeout(60):
        await some_are_connected(wire, account)
        process.send_signal(how)
        output = (await process.communicate())[0].decode()
    assert process.returncode == (INTERRUPTED if how == signal.SIGINT else -signal.SIGKILL), output
    assert folder.joinpath("all.jsonl.load").exists()
    code, output = await run("load", str(path), url=running.nats_url)
    assert (code, f"{ADDRESSES + USERS + 1:,} accepted, 0 unchanged" in output) == (DONE, True), output
    assert (await told_of(running.nats_url, account)).count("PersonalConnected") == ADDRESSES


async def some_are_connected(wire: Wire, account: str) -> None:
    while True:
        reply = await wire.question(account, "Addresses", "service:tests", limit=100)
        if len(reply.body.get("result", ())) == 100:
            return
        await asyncio.sleep(0.02)


async def test_a_nats_that_dies_under_a_load_loses_nothing(switchboard: RunningSwitchboard, folder: Path) -> None:
    path = lines(folder / "all.jsonl", story("acme"))
    loading = run("load", str(path), "--in-flight", "8", url=switchboard.nats_url)
    async with connected(switchboard.nats_url) as wire, asyncio.timeout(60):
        await some_are_connected(wire, "acme")
    next(one for one in switchboard.processes() if one.name() == "nats-server").kill()
    code, output = await loading
    assert (code, f"{ADDRESSES + USERS + 1:,} accepted" in output) == (DONE, True), output
    assert (await told_of(switchboard.nats_url, "acme")).count("PersonalConnected") == ADDRESSES


def test_while_nothing_is_answered_that_is_told_instead_of_a_rate() -> None:
    with Progress(disable=True) as progress:
        progress.add_task("rows", total=1_000)
        assert throughput_text(progress.tasks[0], 0.5) == ""
        assert throughput_text(progress.tasks[0], 12.3) == "no answer for 12 s, retrying"


@pytest.mark.parametrize(
    ("name", "bytes_", "said"),
    [
        ("all.txt", b"{}\n", "name it .jsonl or .csv"),
        ("all.csv", b"command,actor\nAddUser,ana\n", "lacks account"),
        ("all.csv", b"command,account\nAddUser,\xe9\n", "not UTF-8 at byte 24"),
        ("all.jsonl", b'{"a": "' + 100_000 * "ä".encode() + b'\xe4"}\n', "not UTF-8 at byte 200,007"),
        ("all.jsonl", b'{"a": "\xc3', "not UTF-8 at byte 7"),
        ("all.csv", b'command,account,name\nAddUser,acme,"U\nAddUser,acme,V\n', "line 2: a quote opens and is not clo"),
        ("all.csv", b"command,account,name\nAddUser,acme,U\nAddUser,acme\n", "line 3: 1 fewer cells than the header"),
        ("all.csv", b"command,account,owner,Owner\nAddUser,acme,bob,cleo\n", "owner is in the header twice"),
    ],
)
async def test_a_file_that_cannot_be_read_to_its_end_is_not_begun(
    nats: RunningNats, folder: Path, name: str, bytes_: bytes, said: str
) -> None:
    (folder / name).write_bytes(bytes_)
    code, output = await run("load", str(folder / name), url=nats.url)
    assert (code, said in output, "Traceback" in output) == (USAGE, True, False), output
    assert names_in(folder) == [name]


async def test_an_open_quote_does_not_eat_the_rows_behind_it(running: RunningSwitchboard, folder: Path) -> None:
    account = new_account()
    code, output = await run("load", str(lines(folder / "first.jsonl", story(account, 0))), url=running.nats_url)
    assert code == DONE, output
    names = ("Uma", '"Ugo', "Ute", "Udo", "Una")
    people = [f"{account},AddUser,ana,n{number},{name},super_admin\n" for number, name in enumerate(names, 1)]
    path = folder / "people.csv"
    path.write_text("account,command,actor,user,name,permissions\n" + "".join(people))
    code, output = await run("load", str(path), "--json", url=running.nats_url)
    assert (code, "line 3: a quote opens and is not closed" in output) == (USAGE, True), output
    assert (await told_of(running.nats_url, account)).count("UserAdded") == USERS + 1
    path.write_text(path.read_text().replace('"', ""))
    code, output = await run("load", str(path), "--json", url=running.nats_url)
    assert (code, json.loads(output)["rows"], json.loads(output)["accepted"]) == (DONE, 5, 5)


async def test_a_spreadsheets_true_is_true_and_a_size_of_12pt_is_a_refused_row(
    running: RunningSwitchboard, folder: Path
) -> None:
    account = new_account()
    await run("load", str(lines(folder / "first.jsonl", story(account, 0))), url=running.nats_url)
    head = "account,command,actor,address,inbox,visibility_acknowledged,user,font,size\r\n"
    path = folder / "commands.csv"
    path.write_bytes((
        f"sep=,\r\n{head}{account},ConnectTeam,ana,desk@{account}.example,inbox,TRUE,,,\r\n"
        f"{account},SetDefaultFont,ana,,,,ana,Arial,12pt\r\n{account},SetDefaultFont,ana,,,,ana,Arial,12\r\n,,,,,,,,\r\n"
    ).encode("utf-16"))  # fmt: skip
    code, output = await run("load", str(path), "--json", url=running.nats_url)
    told = json.loads(output)
    assert (code, told["rows"], told["accepted"], told["refused"]) == (REFUSED, 3, 2, 1), output
    (refused,) = rows_in(Path(told["refused_file"]))
    assert (refused["_refused"]["line"], refused["size"]) == (4, "12pt")
    assert 'size cannot be "12pt": it takes a whole number from 1 to 1000' in refused["_refused"]["message"]
    assert (await told_of(running.nats_url, account)).count("DefaultFontChanged") == 1


async def test_a_signature_of_several_lines_with_crlf_is_one_row(running: RunningSwitchboard, folder: Path) -> None:
    account = new_account()
    await run("load", str(lines(folder / "first.jsonl", story(account, 0))), url=running.nats_url)
    path = folder / "signatures.csv"
    path.write_bytes(b'command,actor,user,signature\r\nSetSignature,u1,u1,"U 1\r\nAcme, 2nd floor, Bath"\r\n')
    code, output = await run("load", str(path), "--account", account, "--json", url=running.nats_url)
    assert (code, json.loads(output)["rows"]) == (DONE, 1), output
    async with connected(running.nats_url) as wire:
        user = await (await viewed(wire, account)).see("User", user="u1")
    assert user["signature"] == "U 1\nAcme, 2nd floor, Bath"


async def test_what_was_never_begun_is_none_to_go_on_with(nats: RunningNats, folder: Path) -> None:
    path = lines(folder / "all.jsonl", story("nobody", 1))
    code, _ = await run("load", str(path), url=f"nats://127.0.0.1:{free_port()}")
    assert (code, names_in(folder)) == (NO_ANSWER, ["all.jsonl"])
    code, output = await run("load", str(path), "--refused", str(folder / "no/such/file"), url=nats.url)
    assert (code, "cannot be written" in output) == (USAGE, True), output
    assert names_in(folder) == ["all.jsonl"]


async def test_a_pipe_is_refused_and_not_waited_for(nats: RunningNats, folder: Path) -> None:
    os.mkfifo(folder / "all.jsonl")
    code, output = await run("load", str(folder / "all.jsonl"), url=nats.url)
    assert (code, "save it to a file first" in output, "Traceback" in output) == (USAGE, True, False), output


async def test_one_file_is_loaded_by_one_at_a_time(nats: RunningNats, folder: Path) -> None:
    path = lines(folder / "all [1].jsonl", story("nobody", 1))
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, output = await run("load", str(path), url=nats.url)
    assert (code, "is being loaded already" in output) == (USAGE, True), output


async def test_refused_rows_that_were_mended_where_they_stand_are_not_cut(
    running: RunningSwitchboard, folder: Path
) -> None:
    account, many = new_account(), 8_000
    rows = story(account, many)
    # One that is refused, once all before it are connected.
    rows.insert(USERS + 200, {"account": account, "command": "AddUser", "actor": "ana", "user": "u0", "name": "Twice"})
    path, refused = lines(folder / "all.jsonl", rows), folder / "all.jsonl.refused.jsonl"
    process = await started("load", str(path), "--in-flight", "1", url=running.nats_url)
    async with asyncio.timeout(60):
        while not (refused.exists() and refused.stat().st_size):
            await asyncio.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert await process.wait() == INTERRUPTED
    written = refused.read_text()
    mended = written.replace("Twice", "Twice and longer")
    refused.write_text(mended)
    code, output = await run("load", str(path), url=running.nats_url)
    assert (code, "move it away" in output, refused.read_text()) == (USAGE, True, mended), output
    refused.rename(folder / "mine.jsonl")
    code, output = await run("load", str(path), url=running.nats_url)
    assert (code, f"{many + USERS + 1:,} accepted" in output, refused.exists()) == (REFUSED, True, False), output


async def test_a_load_that_stopped_behind_an_unsent_row_goes_on(running: RunningSwitchboard, folder: Path) -> None:
    account = new_account()
    path = folder / "all.csv"
    path.write_text(
        "command,actor,plan,admin,user,name,permissions,seat\nRegisterAccount,service:tests,free,ana,,,,\n"
        "AddUser,ana,,,bob,Bob,account_access,true\nAddUser,ana,,,cleo,Cleo,personal_email_access,\n"
    )
    words = ("load", str(path), "--account", account)
    code, output = await run(*words, url=running.nats_url)
    assert (code, "2 accepted" in output) == (REFUSED, True), output
    assert [row["_refused"]["line"] for row in rows_in(folder / "all.csv.refused.jsonl")] == [3]
    # As a load that was stopped behind that row has it.
    (folder / "all.csv.refused.jsonl").unlink()
    (folder / "all.csv.load").write_text(json.dumps({
        "digest": read(path, account).digest, "load": "x", "rows": 2, "accepted": 1, "refused": 1,
        "given": {"account": account, "actor": None, "refused": None}, "known_row": 0,
    }))  # fmt: skip
    code, output = await run(*words, url=running.nats_url)
    assert (code, "Resuming after 2 rows" in output, "another Switchboard" in output) == (REFUSED, True, False), output


async def test_a_file_that_was_changed_in_between_is_not_gone_on_with(nats: RunningNats, folder: Path) -> None:
    path = lines(folder / "all.jsonl", story("nobody", 1))
    (folder / "all.jsonl.load").write_text(json.dumps({"digest": "another", "load": "x", "rows": 3}))
    code, output = await run("load", str(path), url=nats.url)
    assert (code, "--anew" in output) == (USAGE, True)
    (folder / "all.jsonl.load").write_text("torn")
    code, output = await run("load", str(path), url=nats.url)
    assert (code, "Traceback" in output, "--anew" in output) == (USAGE, False, True)
