"""A report about access says who had access in a period, on what it rests, and who signed it; no text in it acts."""

import asyncio
import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.ops.evidence.report_page import page
from services.ops.terminal import NO_ANSWER, REFUSED, USAGE
from shared.client import connect
from shared.process.clock import new_id
from shared.transparency.merkle import leaf_hash
from shared.transparency.notes import VerifierKey, open_note, parse_note
from shared.transparency.proofs import parse_proof
from tests import command_line
from tests.ops.audit import answers
from tests.ops.audit.story import AUDITOR, SUPPORT, play
from tests.real_servers import RunningSwitchboard

HOSTILE = '<script>alert(1)</script> \x9b31m \u202egpj.exe " onload="x'


@pytest.fixture
async def account(running: RunningSwitchboard) -> str:
    """An account whose story is over and signed."""
    name = f"report-{new_id()[-12:]}"
    async with connect(running.nats_url) as switchboard, asyncio.timeout(60):
        acme = switchboard.account(name, "service:tests")
        await play(acme)
        await acme.acting_as("ana").create_inbox("odd", '<b onload="x">Odd</b>', members=("cleo",))
        end = (await coverage(switchboard, name))["log"]["position"]
        while (await coverage(switchboard, name))["proof"][0]["size"] < end:
            await asyncio.sleep(0.1)
    return name


async def coverage(switchboard: Any, account: str) -> Any:
    while True:
        answer = await switchboard.request(f"switchboard.query.v1.{account}.Coverage", {"actor": AUDITOR})
        if answer.get("result", {}).get("proof"):
            return answer["result"]
        await asyncio.sleep(0.1)


async def report_of(running: RunningSwitchboard, account: str, out: Path, *words: str) -> command_line.Ended:
    return await command_line.run(
        "audit", "report", "access", account, "--out", str(out), "--actor", AUDITOR, *words,
        environment={"SWITCHBOARD_NATS_URL": running.nats_url, "COLUMNS": "80"}, merged=True,
    )  # fmt: skip


def key_in(folder: Path) -> Path:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(pem)
    return folder / "key.pem"


async def test_a_report_has_the_period_its_evidence_and_a_signature(
    running: RunningSwitchboard, account: str, folder: Path
) -> None:
    evidence = running.data_dir / "data" / "evidence"
    words = ("--evidence", str(evidence), "--sign", str(key_in(folder)))
    ended = await report_of(running, account, folder / "report", *words)
    assert (ended.code, "has its last event, at position" in " ".join(ended.output.split())) == (0, True), ended.output
    report = json.loads((folder / "report" / "report.json").read_bytes())
    users = {one["name"]: one["fields"] for one in report["population"] if one["aggregate"] == "user"}
    assert {name: one["status"] for name, one in users.items()} == {
        "ana": "active", "bob": "deactivated", "cleo": "active", "dan": "active",
    }  # fmt: skip
    ends = {(one["user"], one["inbox"], one["to"]["type"]) for one in report["ends"]}
    assert ("bob", "support", "UserDeactivated") in ends
    assert ("cleo", "support", "member") in {(one["user"], one["inbox"], one["rule"]) for one in report["grants"]}
    assert "bob" not in {one["user"] for one in report["access"] if one["inbox"] == "support"}
    assert [one["user"] for one in report["leavers"]] == ["bob"]
    assert [one["reason"] for one in report["refusals"]["groups"]] == ["ADDRESS_ALREADY_TEAM"]
    require_signed(folder / "report", ended.output)
    require_proven(folder / "report", report, evidence)


def require_signed(report: Path, output: str) -> None:
    """The note has the hash of every other file, under the key that was printed."""
    printed = output.split("Signed by ")[1].replace("\n", "").strip()
    note = parse_note((report / "report.note").read_bytes())
    open_note(note, [VerifierKey.parse(printed)])
    hashed = {line.split("  ")[1]: line.split("  ")[0] for line in note.text.splitlines()[3:]}
    files = [path for path in report.iterdir() if path.name != "report.note"]
    assert hashed == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def require_proven(folder: Path, report: Any, evidence: Path) -> None:
    keys = [VerifierKey.parse(line) for line in (evidence / "verifier-keys").read_text().splitlines()]
    proof = parse_proof((folder / "last-event.tlog-proof").read_bytes())
    assert proof.extra is not None
    verified = proof.verify(leaf_hash(proof.extra), report["evidence"]["origin"], keys)
    assert verified.checkpoint.size == report["evidence"]["size"]
    assert json.loads(proof.extra)["position"] == report["evidence"]["last_event"]
    assert json.loads(proof.extra)["account"] == report["account"]


async def test_the_page_is_one_file_in_which_no_text_acts(
    running: RunningSwitchboard, account: str, folder: Path
) -> None:
    ended = await report_of(running, account, folder / "report", "--to", "99999999")
    assert (ended.code, "AS_OF_TOO_LATE" in ended.output) == (REFUSED, True), ended.output
    ended = await report_of(running, account, folder / "report", "--from", "1")
    assert ended.code == 0, ended.output
    html = (folder / "report" / "report.html").read_text()
    assert "&lt;b onload=&quot;x&quot;&gt;Odd&lt;/b&gt;" in html
    require_harmless(html)
    assert SUPPORT in html


def require_harmless(html: str) -> None:
    assert not re.search(r"<script|<b |<img|\x1b|\x9b|\u202e|https?:|\son\w+=\"", html.replace("&quot;", "'"))
    assert "default-src 'none'" in html


def test_hostile_texts_and_hard_cases_are_shown_as_they_are() -> None:
    edge = answers.ENDED
    interval = {**answers.ACCESS[0], "user": HOSTILE, "via": HOSTILE, "to": answers.UNREADABLE}
    report = {
        "account": HOSTILE, "from": HOSTILE, "to": 12, "log": answers.COVERAGE["log"],
        "made": {"by": HOSTILE, "at": "2026-03-03T09:15:00Z", "with": HOSTILE},
        "evidence": {"checkpoint": None, "problem": HOSTILE},
        "unprotected": {name: answers.COVERAGE[name] for name in ("proof", "clocks", "dead_letters")},
        "population": [
            {"aggregate": kind, "name": HOSTILE, "fields": {"name": HOSTILE, "members": [HOSTILE]}}
            for kind in ("user", "team", "inbox", "address")
        ],
        "access": [interval], "grants": [{**interval, "to": None}], "ends": [{**interval, "to": edge}],
        "leavers": answers.LEAVERS,
        "refusals": {
            "groups": [one["group"] for one in answers.REFUSALS if one["group"]],
            "attempts": [answers.entry(sentence=HOSTILE, actor=HOSTILE, reason=HOSTILE)],
        },
    }  # fmt: skip
    html = page(report)
    require_harmless(html)
    for text in (
        "Nothing here is proven", "130 rows of the events are under no checkpoint yet", "Clocks ran back: 12 events",
        "positions 700 to 711", "Dead letters: 2 events AddressPolished wait", "an event that cannot be read",
    ):  # fmt: skip
        assert text in html


async def test_what_cannot_be_used_is_named(running: RunningSwitchboard, account: str, folder: Path) -> None:
    (folder / "there").mkdir()
    ended = await report_of(running, account, folder / "there")
    assert (ended.code, "is there already" in ended.output) == (REFUSED, True), ended.output
    (folder / "bad.pem").write_text("no key")
    ended = await report_of(running, account, folder / "report", "--sign", str(folder / "bad.pem"))
    assert (ended.code, "is not a private key in PEM" in ended.output) == (USAGE, True), ended.output
    subprocess.run(
        ("openssl", "genpkey", "-algorithm", "x25519", "-out", str(folder / "other.pem")),
        check=True,
        capture_output=True,
    )
    ended = await report_of(running, account, folder / "report", "--sign", str(folder / "other.pem"))
    assert (ended.code, "is not an Ed25519 key" in ended.output) == (USAGE, True), ended.output
    ended = await report_of(running, account, folder / "report", "--evidence", str(folder / "nowhere"))
    assert (ended.code, "Nothing in it is proven: There is no folder" in ended.output) == (0, True), ended.output
    assert "Not signed" in ended.output
    ended = await command_line.run(
        "audit", "report", "access", account, "--out", str(folder / "none"), "--timeout", "0.2",
        environment={"SWITCHBOARD_NATS_URL": "nats://127.0.0.1:1"}, merged=True,
    )  # fmt: skip
    assert ended.code == NO_ANSWER, ended.output
