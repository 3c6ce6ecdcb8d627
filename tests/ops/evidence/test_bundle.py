"""A bundle is checked anywhere with Python and openssl alone, and every change of it is named."""

import ast
import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from services.ops.evidence import verify_bundle
from tests.audit.evidence.making import leaves_of
from tests.ops.evidence.bundles import (
    EVENTS,
    JOURNAL,
    MANIFEST,
    LogToExport,
    changed,
    content,
    findings,
    forge_manifest,
    lines_of,
    verify_elsewhere,
    write_lines,
)

FLIPS = 200


async def test_a_complete_bundle_is_sound_elsewhere_without_switchboard(log: LogToExport, folder: Path) -> None:
    bundle = await log.export("bundle")
    moved = bundle.rename(folder / "another place")
    code, said = verify_elsewhere(moved)
    assert (code, said.splitlines()[0]) == (0, "SOUND"), said
    events, journal = len(lines_of(moved, EVENTS)), len(lines_of(moved, JOURNAL))
    words = " ".join(said.split())
    assert f"{events:,} events, position 1 to {events:,}: these are all up to the checkpoint" in words
    assert f"{journal:,} entries, ordinal 1 to {journal:,}: these are all" in words
    assert all(len(line) < 80 for line in said.splitlines() if "+" not in line)
    assert "The owner of the keys" in said
    keys = folder / "keys"
    keys.write_text("".join(f"{key}\n" for key in log.evidence.verifier_keys()))
    code, said = verify_elsewhere(moved, "--keys", str(keys))
    assert (code, "The owner of the keys" in said) == (0, False), said


async def test_a_line_has_the_event_of_the_bus_and_the_stored_bytes(log: LogToExport) -> None:
    bundle = await log.export("bundle")
    third = lines_of(bundle, EVENTS)[2]
    assert third["sequence"] == "00000000000000000003"
    shown = (third["specversion"], third["position"], third["subject"])
    assert shown == ("1.0", "3", f"inbox/{third['data']['inbox']}")
    hashed = subprocess.run(
        ["sh", "-c", f"sed -n 3p {bundle / EVENTS} | sed 's/.*\"stored\":\"//;s/\".*//' | base64 -d | openssl sha256"],
        stdout=subprocess.PIPE, check=True,
    ).stdout.decode().split()[-1]  # fmt: skip
    assert f'"sha256":"{hashed}"'.encode() in (await leaves_of(log.url))["events"][2]


async def test_any_changed_byte_of_any_file_is_named(small_log: LogToExport) -> None:
    whole, extract = await small_log.export("whole"), await small_log.export("extract", "--account", "acme")
    require_named(whole, sorted(whole.iterdir()))
    # The other files are of the same form.
    require_named(extract, [extract / EVENTS, extract / "journal.proofs"])


def require_named(bundle: Path, files: Sequence[Path]) -> None:
    dice = random.Random(5)  # noqa: S311  the same places again
    assert findings(bundle) == ""
    for path in files:
        before = path.read_bytes()
        for at in sorted(dice.randrange(len(before)) for _ in range(FLIPS)):
            flipped = bytearray(before)
            flipped[at] ^= 1 << dice.randrange(8)
            with changed(path, bytes(flipped)):
                found = findings(bundle)
            name = MANIFEST if path.name == "manifest.sha256" else path.name
            assert f"{name}: " in found, (path.name, at, found)
            if path.suffix in {".jsonl", ".proofs"}:
                line = before[:at].count(b"\n") + 1
                assert f"{name}: line {line}" in found, (path.name, at, found)


@pytest.mark.parametrize("name", [EVENTS, JOURNAL])
async def test_lines_that_are_gone_doubled_or_swapped_are_named_although_all_hashes_fit(
    log: LogToExport, name: str
) -> None:
    bundle = await log.export("bundle")
    proofs = name.replace("jsonl", "proofs")
    number = "position" if name == EVENTS else "ordinal"
    whole = {one: (bundle / one).read_bytes().splitlines(keepends=True) for one in (name, proofs)}
    edits: dict[str, Callable[[list[bytes]], list[bytes]]] = {
        "gone": lambda lines: [*lines[:9], *lines[10:]],
        "doubled": lambda lines: [*lines[:10], *lines[9:]],
        "swapped": lambda lines: [*lines[:9], lines[10], lines[9], *lines[11:]],
    }
    for edit in edits.values():
        for one, lines in whole.items():
            write_lines(bundle, one, edit(lines))
        found = findings(bundle)
        assert f"{name}: line 1" in found, found
        assert f"{number} 1" in found.splitlines()[0], found
    for one, lines in whole.items():
        write_lines(bundle, one, lines[:-1])
    assert f"and the checkpoint has {len(whole[name])} entries" in findings(bundle)


async def test_a_row_that_was_edited_with_all_its_hashes_does_not_lead_to_the_root(log: LogToExport) -> None:
    for words in ((), ("--account", "acme")):
        bundle = await log.export("-".join(("bundle", *words)), *words)
        lines = (bundle / JOURNAL).read_bytes().splitlines(keepends=True)
        at = next(at for at, line in enumerate(lines) if b'"outcome":"refused"' in line)
        lines[at] = lines[at].replace(b'"outcome":"refused"', b'"outcome":"unchanged"')
        write_lines(bundle, JOURNAL, lines)
        assert f"{JOURNAL}: line {at + 1} (ordinal" in findings(bundle)
        code, said = verify_elsewhere(bundle)
        assert (code, "was changed" in said, "CHANGED: " in said) == (1, True, True), said


async def test_a_checkpoint_of_another_key_counts_nothing(log: LogToExport, folder: Path) -> None:
    bundle = await log.export("bundle")
    keys = folder / "keys"
    keys.write_text("")
    code, said = verify_elsewhere(bundle, "--keys", str(keys))
    assert (code, "events.checkpoint: no known Ed25519 key" in said) == (1, True), said
    (bundle / "events.checkpoint").write_bytes((bundle / "journal.checkpoint").read_bytes())
    forge_manifest(bundle)
    assert "manifest.json: its origin of the events is not that of events.checkpoint" in findings(bundle)


async def test_without_openssl_nothing_is_called_sound(log: LogToExport) -> None:
    code, said = verify_elsewhere(await log.export("bundle"), PATH="/nowhere")
    assert (code, "install OpenSSL 3" in said) == (3, True), said


async def test_a_missing_file_is_named(log: LogToExport) -> None:
    bundle = await log.export("bundle")
    for path in sorted(bundle.iterdir()):
        kept = path.rename(path.with_suffix(".kept"))
        found = findings(bundle)
        assert f"{path.name}: it cannot be read" in found, found
        kept.rename(path)


@pytest.mark.parametrize(
    ("words", "events", "entries"),
    [
        (("--account", "acme"), "event['account'] == 'acme'", "entry['account'] == 'acme'"),
        (("--from", "5", "--until", "9"), "5 <= position <= 9", "5 <= entry['log_position'] <= 9"),
        (("--type", "UserAdded"), "'UserAdded' in event['type']", "False"),
        (("--type", "switchboard.InboxCreated.v1", "--account", "zenith"),
         "'InboxCreated' in event['type'] and event['account'] == 'zenith'", "False"),
    ],
)  # fmt: skip
async def test_an_extract_has_the_entries_that_were_wanted_and_says_that_it_is_one(
    log: LogToExport, words: tuple[str, ...], events: str, entries: str
) -> None:
    whole, extract = await log.export("whole"), await log.export("extract", *words)
    wanted = [
        event for event in lines_of(whole, EVENTS)
        if eval(events, {"event": event, "position": int(event["position"])})  # noqa: S307  written above
    ]  # fmt: skip
    assert lines_of(extract, EVENTS) == wanted
    assert lines_of(extract, JOURNAL) == [
        entry for entry in lines_of(whole, JOURNAL) if eval(entries, {"entry": entry})  # noqa: S307
    ]  # fmt: skip
    code, said = verify_elsewhere(extract)
    assert (code, "That the bundle is complete: it is an extract." in said) == (0, True), said
    assert "not proven" in json.loads((extract / MANIFEST).read_bytes())["proves"]


async def test_the_same_query_at_the_same_position_has_the_same_bytes(log: LogToExport) -> None:
    for words in ((), ("--account", "zenith", "--from", "3")):
        first = await log.export("-".join(("first", *words)), *words)
        second = await log.export("-".join(("second", *words)), *words, "--actor", "service:audit.carl")
        assert content(first) == content(second)
        assert b"service:audit.carl" in (second / MANIFEST).read_bytes()


async def test_times_are_moments_too(log: LogToExport) -> None:
    whole = lines_of(await log.export("whole"), EVENTS)
    times = [event["time"] for event in whole]
    extract = await log.export("extract", "--from", times[4], "--until", times[9])
    assert [event["time"] for event in lines_of(extract, EVENTS)] == [
        time for time in times if times[4] <= time <= times[9]
    ]


def test_the_program_needs_python_3_9_and_nothing_else() -> None:
    source = Path(verify_bundle.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 9))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [one.name for one in node.names] if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom)
            else []
        )
    }  # fmt: skip
    assert imported <= sys.stdlib_module_names
    assert source.isascii()
