"""An export goes on where it stopped, takes no torn file for a whole one, and says why there is no bundle."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.ops.terminal import NO_ANSWER, REFUSED, USAGE
from shared.transparency.notes import Ed25519Signer
from tests.audit.evidence.making import Evidence
from tests.audit.past import past_in, run
from tests.ops.evidence.bundles import (
    EVENTS,
    JOURNAL,
    LogToExport,
    changed,
    content,
    findings,
    lines_of,
    verify_elsewhere,
)
from tests.ops.evidence.export_slowly import export_slowly
from tests.real_servers import ROOT


def start(log: LogToExport, to: Path, points: Path) -> int:
    """The exit code of an export in steps, in a process of its own."""
    environment = {**os.environ, "SWITCHBOARD_FAILPOINTS": str(points)}
    ended = subprocess.run(
        (sys.executable, "-m", "tests.ops.evidence.export_slowly", str(to), str(log.evidence.folder), log.url),
        cwd=ROOT, env=environment, check=False,
    )  # fmt: skip
    return ended.returncode


async def test_killed_at_any_step_it_goes_on_and_makes_the_same_bundle(log: LogToExport, folder: Path) -> None:
    whole = content(await log.export("whole"))
    points = folder / "points"
    points.mkdir()
    for point, times in (
        ("export.written", 7), ("export.flushed", 1), ("export.flushed", 9), ("export.saved", 12),
        ("export.finished", 1),
    ):  # fmt: skip
        to = folder / f"{point}-{times}"
        (points / f"{point}@export").write_text(f"kill {times}")
        assert start(log, to, points) == -signal.SIGKILL
        assert not to.exists()
        (points / f"{point}@export.struck").unlink()
        # What came after the last record may be torn.
        with (folder / f"{to.name}.unfinished" / EVENTS).open("ab") as torn:
            torn.write(b'{"specversion":"1.0","id"')
        assert start(log, to, points) == 0
        assert {name: data for name, data in content(to).items() if name != "manifest.json"} == {
            name: data for name, data in whole.items() if name != "manifest.json"
        }
        assert findings(to) == ""
        assert not (folder / f"{to.name}.unfinished").exists()


async def test_an_interrupted_export_ends_at_the_checkpoint_of_its_first_run(log: LogToExport, folder: Path) -> None:
    first = len(lines_of(await log.export("before"), EVENTS))

    def interrupt(_tree: str, number: int, _last: int) -> None:
        if number >= 40:
            raise KeyboardInterrupt

    arguments = (folder / "bundle", str(log.evidence.folder), log.url)
    with pytest.raises(KeyboardInterrupt):
        export_slowly(*arguments, interrupt)
    log.past.live(8, 60)
    await log.sign()
    ended = await log.try_export("bundle", "--account", "acme")
    assert (ended.code, "with other options" in ended.output) == (REFUSED, True), ended.output
    ended = await log.try_export("bundle")
    assert (ended.code, "Going on with" in ended.output, "not part of it: " in ended.output) == (0, True, True)
    assert len(lines_of(folder / "bundle", EVENTS)) == first
    assert verify_elsewhere(folder / "bundle")[0] == 0


async def test_a_full_disk_is_a_clear_error_and_the_export_goes_on_afterwards(log: LogToExport, folder: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    ended = subprocess.run(
        (sys.executable, "-m", "services.ops.cli", "audit", "export", "--to", str(folder / "bundle"),
         "--evidence", str(log.evidence.folder), "--postgres", log.url),
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, preexec_fn=limit,
    )  # fmt: skip
    assert (ended.returncode, b"No space is left for" in ended.stdout) == (REFUSED, True), ended.stdout
    assert not (folder / "bundle").exists()
    await log.export("bundle")
    assert findings(folder / "bundle") == ""


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (
            "UPDATE connections.events SET state = state || ' '::bytea WHERE notification_id = 11",
            "do not lead to the root",
        ),
        ("DELETE FROM connections.events WHERE notification_id = 11", "have no position 11; the next is 12"),
        (
            "DELETE FROM connections.journal WHERE ordinal = (SELECT max(ordinal) FROM connections.journal)",
            "were signed",
        ),
        ("UPDATE connections.journal SET reason = 'BUSY' WHERE ordinal = 30", "do not lead to the root"),
    ],
)
async def test_of_a_changed_log_no_bundle_is_made(log: LogToExport, folder: Path, edit: str, why: str) -> None:
    run(log.url, edit)
    ended = await log.try_export("bundle")
    assert (ended.code, why in " ".join(ended.output.split())) == (REFUSED, True), ended.output
    assert not (folder / "bundle").exists()


async def test_a_changed_row_of_an_extract_is_named(log: LogToExport) -> None:
    run(log.url, "UPDATE connections.journal SET reply = '{}' WHERE ordinal = 1")
    ended = await log.try_export("bundle", "--account", "acme")
    assert (ended.code, "journal at ordinal 1 are not what was signed" in ended.output) == (REFUSED, True)


async def test_without_evidence_that_can_be_trusted_there_is_no_bundle(log: LogToExport, folder: Path) -> None:
    empty = folder / "empty"
    empty.mkdir()
    ended = await log.try_export("bundle", "--evidence", str(empty))
    assert (ended.code, "has no checkpoint of the events" in ended.output) == (NO_ANSWER, True), ended.output
    ended = await log.try_export("bundle", "--evidence", str(folder / "nowhere"))
    assert (ended.code, "There is no folder" in ended.output) == (NO_ANSWER, True), ended.output
    stranger = Ed25519Signer("a.stranger", Ed25519PrivateKey.generate()).key
    ended = await log.try_export("bundle", "--key", str(stranger))
    assert (ended.code, "cannot be trusted: no trusted key signed" in ended.output) == (NO_ANSWER, True), ended.output
    run(log.url, "UPDATE connections.log SET id = gen_random_uuid()")
    ended = await log.try_export("another")
    assert (ended.code, "the log in this PostgreSQL is" in " ".join(ended.output.split())) == (NO_ANSWER, True)


async def test_a_place_or_an_option_that_cannot_be_used_is_named(log: LogToExport, folder: Path) -> None:
    await log.export("bundle")
    ended = await log.try_export("bundle")
    assert (ended.code, "is there already" in ended.output) == (REFUSED, True), ended.output
    ended = await log.try_export("other", "--until", "999999")
    assert (ended.code, "the log ends at position" in ended.output) == (USAGE, True), ended.output
    ended = await log.try_export("other", "--type", "UserAded")
    assert (ended.code, "UserAdded" in ended.output) == (USAGE, True), ended.output
    ended = await log.try_export("other", "--postgres", "postgresql://127.0.0.1:1/none")
    assert (ended.code, "PostgreSQL: " in ended.output) == (NO_ANSWER, True), ended.output
    (folder / "file").write_text("")
    ended = await log.try_export("file")
    assert (ended.code, "is there already" in ended.output) == (REFUSED, True), ended.output


PLANTED = (
    b"",
    b"not JSON",
    b"{}",
    b"[1]",
    b'{"account":1,"data":{}}',
    b'{"account":NaN,"time":"x","data":{}}',
    b"\xff\xfe",
    b'{"id":"x","account":"a\\ud800","data":{}}',
    b'\xef\xbb\xbf{"account":"acme"}',
    b'{"account":"%b"}' % (b"a" * 2_000),
    b'{"id":"x","account":"acme","actor":"a","command_id":"c","correlation_id":null,"traceparent":null,"time":"t"%b'
    % b',"data":{\n"address":"\\u001b[31m<script>\\u009b"}}',
    b'{"id":"\\u001b[2J","account":"acme","actor":"<b>\xc2\x9b","command_id":"c","correlation_id":"\xe2\x80\xae"%b'
    % b',"traceparent":"x","time":"t","data":{"inbox":"\\u001b]0;x\\u0007"}}',
)


async def test_whatever_is_stored_is_in_a_bundle_byte_by_byte(unsigned: LogToExport) -> None:
    with psycopg.connect(unsigned.url, autocommit=True) as connection:
        (end,) = connection.execute("SELECT max(notification_id) FROM connections.events").fetchone() or (0,)
        for number, state in enumerate(PLANTED, 1):
            topic = "switchboard.UserAdded.v1" if number % 2 else "\x1b[31m unknown\x7f\u202e" + "x" * 1_500
            connection.execute(
                "INSERT INTO connections.events VALUES (gen_random_uuid(), 1, %s, %s, %s)", (topic, state, end + number)
            )
        connection.execute(
            "UPDATE connections.journal SET body = '\\xff00', actor = E'\\x1b[31m', reply = '\\xfe' WHERE ordinal = 9"
        )
    await unsigned.sign()
    bundle = await unsigned.export("bundle")
    code, said = verify_elsewhere(bundle)
    assert (code, said.startswith("SOUND")) == (0, True), said
    lines = (bundle / EVENTS).read_bytes().splitlines(keepends=True)
    assert len(lines) == end + len(PLANTED)
    with changed(bundle / EVENTS, b"".join(lines).replace(b"[31m", b"[32m")):
        code, said = verify_elsewhere(bundle)
    assert (code, "\x1b" in said) == (1, False)
    assert f"line {end + 2} (position {end + 2})" in said
    assert json.loads((bundle / JOURNAL).read_bytes().splitlines()[8])["reply"] == {"base64": "/g=="}


async def test_an_empty_log_is_a_bundle_too(database: str, folder: Path) -> None:
    with past_in(database) as past:
        log = LogToExport(past, Evidence(folder), folder)
        await log.sign()
        bundle = await log.export("bundle")
    code, said = verify_elsewhere(bundle)
    assert (code, "0 events" in said) == (0, True), said
