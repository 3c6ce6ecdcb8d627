"""Given these facts, when this command comes, then these events follow: the write side's rules as sentences.

The command goes the whole way that needs no server: written as JSON, parsed, decided by the table, answered
as on the wire. Beside what a test asserts, every case checks what holds for all of them: the dry run decides the same,
the same input decides the same, asked twice nothing new is accepted, next actions name nobody, and the invariants hold.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

import orjson

from services.connections import parsing
from services.connections.commands import PAGES
from services.connections.decider import outcome_of
from services.connections.envelope import CommandEnvelope
from services.connections.outcome import Outcome
from services.connections.store.unit_of_work import name_of
from shared.language.commands import COMMANDS, AddUser, Command, CreateInbox, RegisterAccount
from shared.language.events import AddressOrphaned, Aggregate, AliasAdded, Event, PersonalConnected, TeamConnected
from shared.language.reasons import Reason
from shared.language.recorded import Recorded, stream_id
from shared.process import stored_events
from shared.process.clock import new_id
from shared.wire import cloud_events
from tests.connections.invariants import broken

ACCOUNT: Final = "acme"
ADA, ANA, BOB, CLEO, DAN = "ada", "ana", "bob", "cleo", "dan"
HR: Final = "service:hr"
ROLES: Final = frozenset(
    ("holder", "owner", "self", "service", "personal_email_access", "account_access", "super_admin", "anyone entitled")
)

Key: TypeAlias = tuple[str, Aggregate, str]
Fact: TypeAlias = Event | Command

# ada is the super admin, ana administers, bob and cleo connect for themselves, dan has no permission.
COMPANY: Final[Sequence[Command]] = (
    RegisterAccount(actor=HR, plan="starter", admin=ADA),
    AddUser(actor=ADA, user=ANA, name="Ana", permissions=("account_access", "personal_email_access")),
    AddUser(actor=ADA, user=BOB, name="Bob", permissions=("personal_email_access",)),
    AddUser(actor=ADA, user=CLEO, name="Cleo", permissions=("personal_email_access",)),
    AddUser(actor=ADA, user=DAN, name="Dan", permissions=()),
    CreateInbox(actor=ANA, inbox="support", name="Support"),
    CreateInbox(actor=ANA, inbox="sales", name="Sales", members=(CLEO,)),
)


class World:
    """All that ever happened, folded in memory: what decisions read (shared.core.decider.Reads)."""

    def __init__(self) -> None:
        self.states: dict[Key, Any] = {}
        self.sets: dict[tuple[str, str], set[Key]] = {}
        self.happened: list[Recorded] = []
        self.read: set[Key | tuple[str, str]] = set()

    def state(self, account: str, aggregate: Aggregate, name: str) -> Any:
        self.read.add((account, aggregate, name))
        return self.states.get((account, aggregate, name), PAGES[aggregate].initial)

    def expect(self, account: str, aggregate: Aggregate, names: Sequence[str]) -> None:
        pass

    def members(self, account: str, aggregate: Aggregate, set_name: str) -> Sequence[Any]:
        self.read.add((account, set_name))
        return [self.states[key] for key in self.sets.get((account, set_name), ()) if key[1] == aggregate]

    def members_of_all(
        self, account: str, aggregate: Aggregate, set_names: Sequence[str], at_most: int | None = None
    ) -> Sequence[Sequence[Any]]:
        return [self.members(account, aggregate, name) for name in set_names]

    def count(self, account: str, set_name: str) -> int:
        self.read.add((account, set_name))
        return len(self.sets.get((account, set_name), ()))

    def now(self) -> str:
        """A time of its own for each event: the n-th happens at n o'clock and counts on from there."""
        n = len(self.happened)
        return f"2026-11-{1 + n // 1440:02d}T{n // 60 % 24:02d}:{n % 60:02d}:00.000Z"

    def follow(self, account: str, event: Event, time: str, envelope: CommandEnvelope | None = None) -> None:
        key: Key = (account, event.aggregate, name_of(event, account))
        page = PAGES[event.aggregate]
        before = self.states.get(key, page.initial)
        after = self.states[key] = page.evolve(before, event, time)
        for name in page.constraint_sets(before) - page.constraint_sets(after):
            self.sets[account, name].discard(key)
        for name in page.constraint_sets(after) - page.constraint_sets(before):
            self.sets.setdefault((account, name), set()).add(key)
        self.happened.append(self._recorded(key, event, time, envelope))

    def _recorded(self, key: Key, event: Event, time: str, envelope: CommandEnvelope | None) -> Recorded:
        stream = stream_id(*key)
        return Recorded(
            id=new_id(),
            account=key[0],
            stream=stream,
            version=1 + sum(1 for known in self.happened if known.stream == stream),
            position=len(self.happened) + 1,
            actor=envelope.actor or "" if envelope else HR,
            command_id=envelope.command_id or "" if envelope else new_id(),
            correlation_id=envelope.correlation_id if envelope else None,
            traceparent=envelope.traceparent if envelope else None,
            time=time,
            event=event,
        )

    def decide(self, envelope: CommandEnvelope) -> Outcome:
        return outcome_of(envelope, self)

    def take(self, envelope: CommandEnvelope) -> Outcome:
        """Decides, and lets what was accepted happen."""
        outcome = self.decide(envelope)
        if not envelope.dry_run:
            time = self.now()
            for _, event in outcome.events:
                self.follow(envelope.account, event, time, envelope)
        return outcome


def read(command: Command, account: str = ACCOUNT, **more: Any) -> CommandEnvelope:
    """The command as it is parsed, from JSON; `more` are further fields of the body."""
    body = command.model_dump(mode="json", by_alias=True, exclude_none=True) | more
    return parsing.read(account, type(command).__name__, orjson.dumps(body), None)


def given(*facts: Fact) -> "Given":
    """The company, and what happened since."""
    return Given((*COMPANY, *facts))


def given_nothing(*facts: Fact) -> "Given":
    return Given(facts)


def personal(address: str, owner: str, **more: Any) -> PersonalConnected:
    return PersonalConnected(address=address, display=address, owner=owner, canonical_form=1, **more)


def team(address: str, inbox: str, connector: str = ANA, **more: Any) -> TeamConnected:
    return TeamConnected(
        address=address,
        display=address,
        inbox=inbox,
        connector=connector,
        visibility_acknowledged=True,
        canonical_form=1,
        **more,
    )


def alias(address: str, primary: str) -> AliasAdded:
    return AliasAdded(address=address, display=address, primary=primary, canonical_form=1)


def orphan(address: str, former_owner: str, **more: Any) -> tuple[Event, Event]:
    return personal(address, former_owner, **more), AddressOrphaned(address=address, owner=former_owner)


class Given:
    def __init__(self, facts: Iterable[Fact]) -> None:
        self._facts = tuple(facts)

    def world(self) -> World:
        world = World()
        for fact in self._facts:
            if isinstance(fact, Event):
                world.follow(ACCOUNT, fact, world.now())
            else:
                outcome = world.take(read(fact))
                assert outcome.kind == "accepted", (fact, outcome.reply())
        return world

    def when(self, command: Command, **body: Any) -> "Then":
        """`body` are fields that the message itself would not let one write."""
        return Then(self.world(), command, body)


class Then:
    """What came of it; every assertion returns this, so that they can be said in a row."""

    def __init__(self, world: World, command: Command, body: dict[str, Any]) -> None:
        self._command = command
        self._body = body
        known_before = persons(world)
        self.outcome = world.decide(self._read())
        self.reply = orjson.loads(self.outcome.reply())
        self._dry_run_decides_the_same(world)
        self.world = world
        world.take(self._read())
        self._next_actions_name_nobody(known_before)
        self._nothing_new_when_asked_again()
        assert broken(world.states, world.sets, ACCOUNT) == []

    def _read(self, **more: Any) -> CommandEnvelope:
        return read(self._command, **(self._body | more))

    # ---- what a test asserts

    def then(self, *events: Event) -> "Then":
        assert self.outcome.kind == "accepted", self.reply
        assert [event for _, event in self.outcome.events] == list(events)
        return self

    def accepted(self, *names: str) -> "Then":
        """The events by name only."""
        assert self.outcome.kind == "accepted", self.reply
        assert [type(event).__name__ for _, event in self.outcome.events] == list(names)
        return self

    def unchanged(self) -> "Then":
        assert self.outcome.kind == "unchanged", self.reply
        assert not self.outcome.events
        return self

    def refused(self, reason: Reason, **details: Any) -> "Then":
        """`details` are those that must be told; there may be more."""
        assert self.outcome.kind == "refused", self.reply
        assert self.reply["reason"] == reason, self.reply
        told = self.reply["details"]
        assert {name: told.get(name) for name in details} == details
        return self

    def telling_only(self, **details: Any) -> "Then":
        assert self.reply["details"] == details
        return self

    def never_saying(self, *secrets: str) -> "Then":
        """In nothing of the reply, nor in that of the dry run."""
        for secret in secrets:
            assert secret.encode() not in self.outcome.reply()
            assert secret.encode() not in self.dry_run.reply()
        return self

    def next(self, *commands: str) -> "Then":
        """These are among the next actions."""
        named = [action["command"] for action in self.reply["next_actions"]]
        assert not set(commands) - set(named), named
        return self

    def warned(self, *codes: str) -> "Then":
        assert [warning["code"] for warning in self.reply["warnings"]] == list(codes)
        return self

    def next_steps(self, *steps: str) -> "Then":
        assert [step["step"] for step in self.reply["next_steps"]] == list(steps)
        return self

    def state(self, aggregate: Aggregate, name: str) -> Any:
        return self.world.state(ACCOUNT, aggregate, name)

    def leaves(self, aggregate: Aggregate, name: str, check: Callable[[Any], bool]) -> "Then":
        state = self.state(aggregate, name)
        assert check(state), state
        return self

    # ---- what holds for every case

    def _dry_run_decides_the_same(self, world: World) -> None:
        before = len(world.happened)
        self.dry_run = world.take(self._read(dry_run=True))
        assert len(world.happened) == before
        assert comparable(self.outcome) == comparable(self.dry_run)
        assert orjson.loads(self.dry_run.reply())["dry_run"] is True
        assert "position" not in orjson.loads(self.dry_run.reply())

    def _nothing_new_when_asked_again(self) -> None:
        if self.outcome.kind == "accepted":
            again = self.world.decide(self._read())
            assert again.kind != "accepted", again.reply()

    def _next_actions_name_nobody(self, persons_known: Iterable[str]) -> None:
        actions = self.reply.get("next_actions", [])
        if str(self.reply.get("reason", "")).startswith("ADDRESS_"):
            assert actions
        for action in actions:
            assert action["command"] in COMMANDS
            assert action["by"]
            assert set(action["by"]) <= ROLES
            assert not {person for person in persons_known if person in action["why"].split()}


def comparable(outcome: Outcome) -> dict[str, Any]:
    """The reply without what differs from one time to the next: ids, places, and the mark of a dry run."""
    reply: dict[str, Any] = orjson.loads(outcome.reply())
    for name in ("position", "command_id", "dry_run"):
        reply.pop(name, None)
    if "events" in reply:
        reply["events"] = [event["type"] for event in reply["events"]]
    return reply


def persons(world: World) -> list[str]:
    return [name for _, aggregate, name in world.states if aggregate in ("user", "address")]


def survives_storing(recorded: Recorded) -> bool:
    """Written and read again, as stored event and as CloudEvent, it is the same."""
    topic = recorded.event.stored_name()
    state = stored_events.to_state(recorded)
    stored = stored_events.from_state(recorded.stream, recorded.version, topic, state, recorded.position)
    wire = cloud_events.to_wire(recorded)
    assert wire == cloud_events.stored_to_wire(recorded.stream, recorded.version, topic, state, recorded.position)
    return stored == recorded and cloud_events.from_wire(wire[1], wire[2], recorded.stream) == recorded
