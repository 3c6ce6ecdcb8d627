"""Every event and every attempt is one plain sentence."""

import re
from typing import Any

import pytest

from services.audit.domain import sentences
from services.audit.domain.command_sentences import COMMAND_PHRASES
from services.audit.domain.event_sentences import EVENT_PHRASES
from services.ops.contract import examples
from shared.language import events as e
from shared.language.commands import COMMANDS
from shared.language.events import EVENTS, Event
from tests.connections.anything import any_command, any_event, dice_of
from tests.words.check import Words, judge_prose
from tests.words.prose import Passage, count_words
from tests.words.prose import sentences as split

LONGEST = 25
FRAGMENTS = re.compile(r"None|True|False|\[|\]|\{|\}|'\w+'|  | \.|\(\)|_")


def plain(text: str) -> bool:
    """Whether it is one sentence of plain English, without remains of code."""
    quoted = re.sub(r"“[^”]*”", "“text”", text)
    assert FRAGMENTS.search(re.sub(r"\S+@\S+", "address", quoted)) is None, text
    assert text.endswith("."), text
    assert len(list(split(quoted))) == 1, text
    # What came of it is a sentence of its own.
    assert count_words(re.split("; (?:refused|nothing)", quoted)[0]) <= LONGEST, text
    assert list(judge_prose("sentence", [Passage(1, quoted, for_users=True)], Words.read())) == []
    return True


def test_every_event_and_every_command_has_its_phrase_and_no_other_has_one() -> None:
    assert list(EVENT_PHRASES) == list(EVENTS.values())
    assert list(COMMAND_PHRASES) == list(COMMANDS.values())


@pytest.mark.parametrize("name", EVENTS)
def test_the_example_of_an_event_is_one_plain_sentence(name: str) -> None:
    told = examples.of_event(EVENTS[name])
    assert plain(sentences.of_event(EVENTS[name].model_validate(told.body), told.headers["ce-actor"]))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_a_command_is_one_plain_sentence(name: str) -> None:
    for one in examples.of_command(name):
        for outcome, message in (("refused", "Another user owns the address."), ("unchanged", None)):
            assert plain(sentences.of_attempt(name, one.body, one.body["actor"], outcome, message))


@pytest.mark.parametrize("name", EVENTS)
def test_whatever_an_event_says_its_sentence_has_no_remains_of_code(name: str) -> None:
    for seed in range(50):
        text = sentences.of_event(any_event(dice_of(seed), EVENTS[name]), "bob")
        assert "None" not in text
        assert "\n" not in text


def test_whatever_a_command_asks_its_sentence_has_no_remains_of_code() -> None:
    for seed in range(500):
        command = any_command(dice_of(seed))
        body = command.model_dump(mode="json", exclude_none=True)
        text = sentences.of_attempt(type(command).__name__, body, command.actor, "unchanged")
        assert "give the command" not in text
        assert "None" not in text


BOB = "bob@acme.example"
SAID: list[tuple[Event, str, str]] = [
    (
        e.UserRemoved(user="bob", policy="transfer_to", new_owner="cleo"),
        "ana",
        "ana removed the user bob and gave any personal addresses to cleo.",
    ),
    (e.SignatureChanged(user="bob", signature="x"), "ana", "ana changed the signature of bob."),
    (e.SignatureChanged(user="bob", signature="x"), "bob", "bob changed their own signature."),
    (e.TeamMembersChanged(team="t"), "ana", "ana set the members of the team t to nobody."),
    (
        e.TeamMembersChanged(team="t", members=tuple("abcdefg")),
        "ana",
        "ana set the members of the team t to a, b, c, d and 3 more.",
    ),
    (e.PermissionsChanged(user="bob"), "service:hr", "The service hr set the permissions of bob to none."),
    (
        e.AddressReclaimed(address=BOB, from_="bob", owner="bob", cause="owner_returned"),
        "ana",
        "ana brought bob back, who owns bob@acme.example again.",
    ),
    (
        e.ConnectionPaused(address=BOB, receive=True, send=True, receiving=False, sending=False),
        "bob",
        "bob paused receiving and sending at bob@acme.example.",
    ),
    (
        e.InboxRenamed(inbox="x", name="<b>a</b>. Ana left"),
        "ana",
        "ana renamed the inbox x to “<b>a</b>. Ana left”.",
    ),
    (
        e.Disconnected(address=BOB, kind="personal", owner="bob", note="a\n\tb" + "c" * 100),
        "bob",
        f"bob disconnected bob@acme.example from themselves: “a b{'c' * 76}…”.",
    ),
]


@pytest.mark.parametrize(("event", "actor", "sentence"), SAID)
def test_a_sentence_says_what_the_event_says(event: Event, actor: str, sentence: str) -> None:
    assert sentences.of_event(event, actor) == sentence


ATTEMPTS: list[tuple[tuple[Any, ...], str]] = [
    (
        ("ConnectTeam", {"actor": "bob", "address": "A@b.example", "inbox": "x"}, "bob", "refused", "No. Ask ana."),
        "bob tried to connect A@b.example to the inbox x; refused: No.",
    ),
    (
        ("ConnectTeam", None, "bob", "refused", "The command cannot be read: see details.errors for inbox."),
        "bob tried to give the command ConnectTeam; refused: The command cannot be read: see details.errors for inbox.",
    ),
    (
        ("BrewTea", {"actor": "bob", "cups": 3}, None, "refused", "There is no command BrewTea."),
        "Somebody tried to give the command BrewTea; refused: There is no command BrewTea.",
    ),
    (
        ("ConnectTeam", {"actor": "bob", "of_a_newer_release": 1}, "bob", "unchanged"),
        "bob tried to give the command ConnectTeam; nothing had to change.",
    ),
]


@pytest.mark.parametrize(("attempt", "sentence"), ATTEMPTS)
def test_an_attempt_says_what_was_tried_and_why_nothing_came_of_it(attempt: tuple[Any, ...], sentence: str) -> None:
    assert sentences.of_attempt(*attempt) == sentence


def test_an_event_of_a_newer_release_is_named_as_what_it_is() -> None:
    assert plain(sentences.of_unknown_event("switchboard.TeamRenamed.v2", "ana"))
    assert sentences.of_unknown_event("switchboard.TeamRenamed.v2", "ana") == (
        "ana caused the event TeamRenamed, version 2, which this release cannot read."
    )
    assert "“no name”" in sentences.of_unknown_event("no name", None)
