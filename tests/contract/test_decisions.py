"""What the contract says of decisions is what the decisions do, as far as random histories reach."""

from collections import defaultdict
from typing import Final

import pytest

from services.ops.contract import meanings
from services.ops.contract.decisions import COMMAND_RULES, refusals
from services.ops.contract.headers import cloud_event, error, replay_frame, replayed, traced
from services.ops.contract.question_rules import QUESTION_RULES, errors
from services.ops.contract.schemas import messages
from shared.language import commands as c
from shared.language.catalog import QUESTIONS
from shared.language.commands import COMMANDS
from shared.language.events import EVENTS
from shared.language.reasons import QuestionError, Reason
from shared.language.replays import ReplayStarted
from shared.process.clock import new_id
from tests.connections.anything import ADDRESSES, ADMIN, INBOXES, SERVICE, USERS, any_command, dice_of
from tests.connections.given_when_then import World, read

HISTORIES: Final = 80
STEPS: Final = 500


# What the dice leave out.
NEVER_THROWN: Final = (
    c.ReactivateUser(actor=SERVICE, user="nobody"),
    c.ConnectPersonal(actor=ADMIN, owner=USERS[1], address=ADDRESSES[0]),
)


class Seen:
    """Random histories, each of one account: which reasons and events came of which command."""

    def __init__(self) -> None:
        self.reasons: dict[type[c.Command], set[str]] = defaultdict(set)
        self.events: dict[type[c.Command], set[str]] = defaultdict(set)
        for seed in range(HISTORIES):
            self._live(seed)

    def _live(self, seed: int) -> None:
        dice, world = dice_of(seed), World()
        beginning = [
            c.RegisterAccount(actor=SERVICE, plan="starter", admin=ADMIN),
            *(c.AddUser(actor=SERVICE, user=u, name=u, permissions=("personal_email_access",)) for u in USERS[1:]),
            c.CreateInbox(actor=SERVICE, inbox=INBOXES[1], name="One"),
        ]
        for command in beginning:
            self._give(world, command)
        for command in (*beginning[:1], *NEVER_THROWN):
            self._give(world, command)
        for _ in range(STEPS):
            command = any_command(dice)
            if isinstance(command, c.RemoveUser) and dice.random() < 0.8:
                self._give(world, c.DeactivateUser(actor=SERVICE, user=command.user))
            self._give(world, command)

    def _give(self, world: World, command: c.Command) -> None:
        verdict = world.take(read(command, command_id=new_id()))
        if verdict.reason is not None:
            self.reasons[type(command)].add(str(verdict.reason))
        self.events[type(command)] |= {type(event).__name__ for _, event in verdict.events}


@pytest.fixture(scope="module")
def seen() -> Seen:
    return Seen()


def test_no_command_is_refused_for_a_reason_that_is_not_named(seen: Seen) -> None:
    unnamed = {
        command.__name__: found - {str(reason) for reason in refusals(command)}
        for command, found in seen.reasons.items()
    }
    assert not {name: found for name, found in unnamed.items() if found}


def test_every_named_reason_is_given_by_its_command(seen: Seen) -> None:
    never = {
        command.__name__: {str(reason) for reason in told.refused} - seen.reasons[command]
        for command, told in COMMAND_RULES.items()
    }
    assert not {name: found for name, found in never.items() if found}


def test_no_command_tells_an_event_that_is_not_named(seen: Seen) -> None:
    unnamed = {
        command.__name__: found - {event.__name__ for event in COMMAND_RULES[command].events}
        for command, found in seen.events.items()
    }
    assert not {name: found for name, found in unnamed.items() if found}


def test_every_named_event_is_told_by_its_command(seen: Seen) -> None:
    named = {(command.__name__, event.__name__) for command, told in COMMAND_RULES.items() for event in told.events}
    assert named == {(command.__name__, event) for command, found in seen.events.items() for event in found}


def test_every_command_and_question_is_described() -> None:
    assert list(COMMAND_RULES) == list(COMMANDS.values())
    assert set(QUESTION_RULES) == set(QUESTIONS.values())


def test_every_event_reason_and_error_is_named_somewhere() -> None:
    assert {event for told in COMMAND_RULES.values() for event in told.events} == set(EVENTS.values())
    named = {reason for command in COMMANDS.values() for reason in refusals(command)}
    assert named == set(Reason) - {Reason.COMMAND_UNKNOWN}
    found = {error for question in QUESTIONS.values() for error in errors(question)}
    assert found == set(QuestionError) - {QuestionError.QUERY_UNKNOWN}


def test_no_reason_is_named_twice() -> None:
    for command in COMMANDS.values():
        assert len(set(refusals(command))) == len(refusals(command)), command


def test_every_reason_and_header_has_a_meaning_and_none_is_left_over() -> None:
    assert set(meanings.REASONS) == {*map(str, Reason), *map(str, QuestionError)}
    event = next(iter(EVENTS.values()))
    schemas = (cloud_event(event), traced(), error(Reason), replayed(), replay_frame(ReplayStarted))
    assert set(meanings.HEADERS) == {name for schema in schemas for name in schema["properties"]}


def test_no_meaning_is_of_a_field_that_is_no_more() -> None:
    used: set[str] = set()
    for message in messages():
        for owner in (message.schema, *message.schema.get("$defs", {}).values()):
            for field in owner["properties"]:
                exact = f"{owner['title']}.{field}"
                used.add(exact if exact in meanings.FIELDS else field)
    assert set(meanings.FIELDS) == used
