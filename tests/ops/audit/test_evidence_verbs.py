"""`switchboard audit evidence` over a real database and a folder of keys."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.transparency.notes import VerifierKey
from tests.audit.evidence.making import Evidence, following, signed, until
from tests.audit.past import Past, past_in, rows
from tests.command_line import Ended, run_blocking

REFUSED, USAGE, NO_ANSWER = 1, 2, 3


@pytest.fixture
def past(database: str) -> Iterator[Past]:
    with past_in(database) as made:
        made.begin()
        yield made


class Operator:
    """Somebody on the machine of the audit, with its settings."""

    def __init__(self, url: str, evidence: Evidence) -> None:
        self.evidence = evidence
        self.settings = {
            "SWITCHBOARD_POSTGRES_URL": url,
            "SWITCHBOARD_EVIDENCE_DIR": str(evidence.folder),
            "SWITCHBOARD_EVIDENCE_KEYS_DIR": str(evidence.keys),
            "SWITCHBOARD_EVIDENCE_NAME": "log.example",
        }

    def run(self, *words: str, typed: str = "") -> Ended:
        return run_blocking("audit", "evidence", *words, environment=self.settings, typed=typed)

    def printed(self, *words: str) -> str:
        ended = self.run(*words)
        assert ended.code == 0, ended
        return ended.output


@pytest.fixture
def operator(past: Past, folder: Path) -> Operator:
    return Operator(past.url, Evidence(folder))


async def test_keys_are_printed_as_those_that_sign(past: Past, operator: Operator) -> None:
    ended = operator.run("keys")
    assert (ended.code, "the audit makes them when it first signs" in ended.errors) == (REFUSED, True)
    async with following(past.url, operator.evidence):
        await signed(past.url, operator.evidence)
    printed = {VerifierKey.parse(line) for line in operator.printed("keys").splitlines()}
    assert printed == set(operator.evidence.verifier_keys())
    (pair,) = json.loads(operator.printed("keys", "--json"))
    assert (pair["pair"], len(pair["keys"])) == (1, 4)


def test_keys_are_rotated_step_by_step(operator: Operator) -> None:
    operator.evidence.place.key_folder().pairs_or_first()
    text = operator.printed("rotate-keys")
    assert "Pair 2 signs from the next checkpoint on, beside 1." in text
    assert "switchboard audit evidence retire-keys 1" in text
    assert len(operator.printed("keys").splitlines()) == 8
    assert operator.printed("retire-keys", "1") == "Pair 1 is retired. Still signing: 2.\n"
    ended = operator.run("retire-keys", "2")
    assert (ended.code, ended.errors) == (REFUSED, "pair 2 is the only one that signs: add another first\n")
    ended = operator.run("retire-keys", "2", "--json")
    assert json.loads(ended.output) == {"refused": "pair 2 is the only one that signs: add another first"}


def test_a_key_that_others_may_read_is_refused(operator: Operator) -> None:
    operator.evidence.place.key_folder().pairs_or_first()
    (operator.evidence.keys / "1" / "ed25519.pem").chmod(0o644)
    ended = operator.run("keys")
    assert (ended.code, "others may use the signing key" in ended.errors) == (REFUSED, True)


async def test_a_new_origin_is_begun_with_its_reason(past: Past, operator: Operator) -> None:
    async with following(past.url, operator.evidence):
        before = await signed(past.url, operator.evidence)
        assert operator.run("new-origin").code == USAGE
        assert operator.run("new-origin", "--reason", "x", typed="n\n").code == REFUSED
        done = json.loads(operator.printed("new-origin", "--yes", "--reason", "backup restored", "--json"))
        await until(lambda: [head.origin for head in operator.evidence.heads().values()] == done["origins"])
    assert done["reason"] == "backup restored"
    found = rows(past.url, "SELECT origin, reason FROM evidence.heads ORDER BY began, tree")
    assert found == [
        *((head.origin, None) for head in before.values()),
        *((origin, "backup restored") for origin in done["origins"]),
    ]


def test_without_a_database_it_says_so(operator: Operator, folder: Path) -> None:
    operator.settings["SWITCHBOARD_POSTGRES_URL"] = f"postgresql:///x?host={folder}"
    ended = operator.run("keys")
    assert (ended.code, ended.errors.startswith("No PostgreSQL: ")) == (NO_ANSWER, True)


def test_one_folder_alone_is_a_wrong_setting(operator: Operator) -> None:
    del operator.settings["SWITCHBOARD_EVIDENCE_KEYS_DIR"]
    ended = operator.run("keys")
    assert ended.code == USAGE
    assert "set both SWITCHBOARD_EVIDENCE_DIR and SWITCHBOARD_EVIDENCE_KEYS_DIR" in ended.errors


def test_a_database_without_a_log_has_nothing_to_begin_again(database: str, folder: Path) -> None:
    ended = Operator(database, Evidence(folder)).run("new-origin", "--yes", "--reason", "x")
    assert ended == Ended(REFUSED, "", "There is no log yet, so there is nothing to begin again.\n")
