"""Signing keys: made once and whole, refused when others may use them, rotated without a gap in trust."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.audit.evidence.keys import KeyFolder, KeysError, sign, verifier_keys
from shared.transparency.checkpoints import Checkpoint
from shared.transparency.merkle import EMPTY_ROOT
from shared.transparency.notes import open_note, parse_note
from tests.audit.evidence.making import Evidence, following, refused, require_no_contradiction, signed, until
from tests.audit.past import Past, past_in

HEAD = Checkpoint("log.example/events", 0, EMPTY_ROOT)


@pytest.fixture
def past(database: str) -> Iterator[Past]:
    with past_in(database) as made:
        made.begin()
        yield made


@pytest.fixture
def evidence(folder: Path) -> Evidence:
    return Evidence(folder)


def key_folder(folder: Path) -> KeyFolder:
    return KeyFolder(folder / "keys", folder / "verifier-keys")


def test_a_pair_is_made_once_for_its_owner_alone(folder: Path) -> None:
    keys = key_folder(folder)
    (pair,) = keys.pairs_or_first()
    (again,) = key_folder(folder).pairs_or_first()
    assert sign(HEAD, [pair], 7).splitlines()[4] == sign(HEAD, [again], 7).splitlines()[4], "Ed25519 is deterministic"
    assert (folder / "keys").stat().st_mode & 0o777 == 0o700
    for name in ("ed25519.pem", "ml-dsa-44.pem"):
        file = folder / "keys" / "1" / name
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_text().startswith("-----BEGIN PRIVATE KEY-----\n")
        load_pem_private_key(file.read_bytes(), None)


async def test_processes_that_start_together_make_one_pair(folder: Path) -> None:
    folders = [key_folder(folder) for _ in range(4)]
    found = await asyncio.gather(*(asyncio.to_thread(one.pairs_or_first) for one in folders))
    assert {pair.number for pairs in found for pair in pairs} == {1}
    signatures = {sign(HEAD, pairs, 7).splitlines()[4] for pairs in found}
    assert len(signatures) == 1


def test_old_and_new_keys_sign_side_by_side(folder: Path) -> None:
    keys = key_folder(folder)
    former = verifier_keys(HEAD.origin, keys.pairs_or_first())
    assert keys.add() == 2
    both = verifier_keys(HEAD.origin, keys.pairs())
    note = parse_note(sign(HEAD, keys.pairs(), 7))
    assert len(open_note(note, former)) == 2
    assert len(open_note(note, both)) == 4
    keys.retire(1)
    assert keys.numbers() == [2]
    assert verifier_keys(HEAD.origin, keys.pairs()) == both[2:]
    assert (folder / "keys" / "retired" / "1" / "ed25519.pem").exists()
    keys.add()
    keys.retire(2)
    assert keys.numbers() == [3], "a number is never given twice"


def test_the_last_pair_stays(folder: Path) -> None:
    keys = key_folder(folder)
    keys.pairs_or_first()
    with pytest.raises(KeysError, match="pair 1 is the only one that signs"):
        keys.retire(1)
    with pytest.raises(KeysError, match="there is no pair 7 that signs; pairs: 1"):
        keys.retire(7)


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o644, 0o666])
def test_a_key_that_others_may_use_is_refused(folder: Path, mode: int) -> None:
    keys = key_folder(folder)
    keys.pairs_or_first()
    (folder / "keys" / "1" / "ml-dsa-44.pem").chmod(mode)
    with pytest.raises(KeysError, match=r"others may use the signing key .*/1/ml-dsa-44.pem: chmod 600"):
        keys.pairs()


def test_files_that_are_no_such_keys_are_refused(folder: Path) -> None:
    keys = key_folder(folder)
    keys.pairs_or_first()
    pair = folder / "keys" / "1"
    content = (pair / "ed25519.pem").read_bytes()
    (pair / "ed25519.pem").write_bytes((pair / "ml-dsa-44.pem").read_bytes())
    with pytest.raises(KeysError, match="has keys of other kinds"):
        keys.pairs()
    (pair / "ed25519.pem").write_bytes(content[:40])
    with pytest.raises(KeysError, match="is not an unencrypted private key in PEM"):
        keys.pairs()
    (pair / "ed25519.pem").unlink()
    with pytest.raises(KeysError, match="the folder of signing keys cannot be used"):
        keys.pairs()


def test_keys_are_made_by_signing_only(folder: Path) -> None:
    keys = key_folder(folder)
    for attempt in (keys.pairs, keys.add):
        with pytest.raises(KeysError, match=r"there are no signing keys in .*/keys: the audit makes them when"):
            attempt()
    assert not (folder / "keys").exists()


def test_keys_that_are_gone_are_not_made_again_by_themselves(folder: Path) -> None:
    keys = key_folder(folder)
    keys.pairs_or_first()
    (folder / "verifier-keys").write_text("log.example+1+a\n")
    shutil.rmtree(folder / "keys")
    for read in (keys.pairs, keys.pairs_or_first):
        with pytest.raises(KeysError, match=r"the signing keys are gone from .*/keys: restore them, or run"):
            read()
    assert keys.add() == 1
    assert [pair.number for pair in keys.pairs()] == [1]


async def test_nothing_is_signed_with_a_key_that_others_may_use(past: Past, evidence: Evidence) -> None:
    async with following(past.url, evidence) as follower:
        await signed(past.url, evidence)
        key = evidence.keys / "1" / "ed25519.pem"
        key.chmod(0o644)
        past.live(1, 30, ("acme",))
        await refused(follower, "events: others may use the signing key", "journal: others may use the signing key")
        count = len(evidence.published)
        key.chmod(0o600)
        await signed(past.url, evidence)
        await until(lambda: follower.fault() is None)
        assert len(evidence.published) > count


async def test_a_rotated_key_signs_at_once_and_a_retired_one_no_more(past: Past, evidence: Evidence) -> None:
    keys = evidence.place.key_folder()
    async with following(past.url, evidence):
        await signed(past.url, evidence)
        first = evidence.verifier_keys()
        keys.add()
        await until(lambda: len(evidence.verifier_keys()) == 8)
        await until(lambda: signatures(evidence, "events") == signatures(evidence, "journal") == 4)
        note = parse_note((evidence.folder / "events" / "checkpoint").read_bytes())
        assert len(open_note(note, first)) == 2
        both = evidence.verifier_keys()
        keys.retire(1)
        await until(lambda: signatures(evidence, "events") == signatures(evidence, "journal") == 2)
        assert set(evidence.verifier_keys()) == set(both) - set(first)
        published = evidence.published[-2:]
    require_no_contradiction(published, evidence)


def signatures(evidence: Evidence, tree: str) -> int:
    return len(parse_note((evidence.folder / tree / "checkpoint").read_bytes()).signatures)
