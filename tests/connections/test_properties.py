"""Whatever is asked, in whatever order: the rules hold, nothing is accepted twice, every fact can be kept."""

from collections.abc import Sequence
from random import Random
from typing import Any

import orjson
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.connections.commands import PAGES
from services.connections.outcome import Outcome
from services.connections.store.unit_of_work import name_of
from shared.language import commands as c
from shared.language import events as e
from shared.language.plans import INBOX_LIMITS
from shared.language.recorded import Recorded, stream_id
from shared.process.clock import new_id
from tests.connections.anything import ADDRESSES, ADMIN, INBOXES, SERVICE, USERS, any_command, any_event
from tests.connections.given_when_then import ACCOUNT, World, comparable, read, survives_storing
from tests.connections.invariants import broken

DICE = st.randoms(use_true_random=True)


class AnyAccount(RuleBasedStateMachine):
    """One account through any commands."""

    @initialize(dice=DICE, plan=st.sampled_from(list(INBOX_LIMITS)))
    def there_is_an_account(self, dice: Random, plan: str) -> None:
        # One throw for the whole history: thrown anew for each step, the dice would fall on the same side too often.
        self.dice, self.world = dice, World()
        self._accept(c.RegisterAccount(actor=SERVICE, plan="starter", admin=ADMIN))
        for user in USERS[1:]:
            self._accept(c.AddUser(actor=SERVICE, user=user, name=user, permissions=("personal_email_access",)))
        for inbox in INBOXES[1:2]:
            self._accept(c.CreateInbox(actor=SERVICE, inbox=inbox, name=inbox))
        self.world.take(read(c.ChangePlan.model_validate({"actor": SERVICE, "plan": plan})))

    def _accept(self, command: c.Command) -> None:
        assert self.world.take(read(command)).kind == "accepted"

    @rule()
    def somebody_asks(self) -> None:
        command = any_command(self.dice)
        if isinstance(command, c.RemoveUser):
            self._ask(c.DeactivateUser(actor=SERVICE, user=command.user))
        note(repr(command))
        self._ask(command)

    def _ask(self, command: c.Command) -> None:
        decided = self.world.decide(read(command))
        self._is_decided_the_same_again_and_in_a_dry_run(command, decided)
        happened = self._let_it_happen(command, decided)
        assert (decided.kind == "accepted") == bool(happened)
        assert happened_rightly(self.world, happened) == []
        assert all(survives_storing(recorded) for recorded in happened)
        tells_strangers_nothing(command, decided)
        again = self.world.decide(read(command))
        assert again.kind != "accepted", (command, again.reply())

    def _is_decided_the_same_again_and_in_a_dry_run(self, command: c.Command, decided: Outcome) -> None:
        for other in (read(command), read(command, dry_run=True)):
            assert comparable(self.world.decide(other)) == comparable(decided)
        twice = self.world.decide(read(command))
        assert [event for _, event in twice.events] == [event for _, event in decided.events]

    def _let_it_happen(self, command: c.Command, decided: Outcome) -> list[Recorded]:
        before, time = len(self.world.happened), self.world.now()
        pending = read(command)
        for _, happening in decided.events:
            self.world.follow(ACCOUNT, happening, time, pending)
        return self.world.happened[before:]

    @invariant()
    def the_rules_hold(self) -> None:
        assert broken(self.world.states, self.world.sets, ACCOUNT) == []


TestAnyAccount = AnyAccount.TestCase
TestAnyAccount.settings = settings(
    max_examples=80, stateful_step_count=100, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def happened_rightly(world: World, happened: Sequence[Recorded]) -> list[str]:
    """What must be true at the moment of the command, and may be lost later (A3, A4, B2, C1)."""
    found = []
    for recorded in happened:
        match recorded.event:
            case (
                e.PersonalConnected(owner=owner)
                | e.AddressReclaimed(owner=owner)
                | e.OwnershipTransferred(to=owner)
                | e.ConnectionConverted(to="personal", owner=owner)
            ):
                user = world.state(ACCOUNT, "user", owner)
                if not user.active or "personal_email_access" not in user.permissions:
                    found.append(f"A4: {owner} may not own {recorded.event}")
            case (
                e.TeamConnected(inbox=inbox)
                | e.TeamAddressMoved(to=inbox)
                | e.ConnectionConverted(to="team", inbox=inbox)
            ):
                if world.state(ACCOUNT, "inbox", inbox).archived:
                    found.append(f"A3: {inbox} is archived, {recorded.event}")
            case e.InboxCreated() | e.InboxRestored():
                limit = world.state(ACCOUNT, "account", ACCOUNT).inbox_limit
                if world.count(ACCOUNT, "inboxes") > limit:
                    found.append(f"C1: more than {limit} inboxes after {recorded.event}")
    return found


def tells_strangers_nothing(command: c.Command, decided: Outcome) -> None:
    """A reply that sends one to an administrator names nobody and no time, but what the command itself named."""
    if b'"advice"' not in decided.reply():
        return
    reply: dict[str, Any] = orjson.loads(decided.reply())
    assert set(reply["details"]) <= {"kind", "via", "advice"}
    said = command.model_dump_json()
    for secret in (*USERS, *INBOXES[1:], *ADDRESSES, "2026-11-"):
        assert secret in said or secret.encode() not in decided.reply(), (secret, reply)


@given(DICE, st.integers(1, 40))
@settings(max_examples=150, deadline=None)
def test_evolve_never_fails_and_never_forgets_the_sets_whatever_happened(dice: Random, count: int) -> None:
    happened = [any_event(dice, dice.choice(list(e.EVENTS.values()))) for _ in range(count)]
    world = World()
    for happening in happened:
        world.follow(ACCOUNT, happening, "2026-11-23T09:00:00.000Z")
    for (account, kind, name), state in world.states.items():
        for set_name in PAGES[kind].constraint_sets(state):
            assert (account, kind, name) in world.sets[account, set_name]


@given(DICE)
@settings(max_examples=50, deadline=None)
def test_any_event_survives_being_stored_and_told(dice: Random) -> None:
    for kind in e.EVENTS.values():
        happening = any_event(dice, kind)
        recorded = Recorded(
            id=new_id(),
            account=ACCOUNT,
            stream=stream_id(ACCOUNT, happening.aggregate, name_of(happening, ACCOUNT)),
            version=dice.randint(1, 2**40),
            position=dice.randint(1, 2**40),
            actor=SERVICE,
            command_id=new_id(),
            correlation_id=dice.choice((None, "a.b:c-1_2")),
            traceparent=dice.choice((None, f"00-{'1' * 32}-{'2' * 16}-01")),
            time="2026-11-23T09:00:00.000Z",
            event=happening,
        )
        assert survives_storing(recorded)
