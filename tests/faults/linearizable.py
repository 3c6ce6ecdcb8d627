"""Whether all answers are those of one order of the commands that respects real time: strict serialisability.

The log is the witness. An accepted command was decided in the state before its first event, an unchanged one in the
state as of the position it names; both places are given, and must not contradict real time: what was answered before
another command was begun comes before it. A refusal names no place, so one is looked for, as early as possible, between
what was known when it was begun and what was not yet there when it was answered. Choosing the earliest leaves the most
room to those that follow, so a refusal without a place has none in any order.

A command whose outcome is unknown took effect where its events stand, at any time after it was begun, or never.

In each place the answer must be the one that the model of `claims.py` gives there.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults import claims
from tests.faults.claims import Expected, Key
from tests.faults.history import Command
from tests.faults.verdict import Stored, Verdict
from tests.journeys.directory import Entry

ENDLESS = 1 << 62
Where = tuple[str, Key]


@dataclass
class Effect:
    """What a command has in the log: from the position `first` to `last`."""

    first: int
    last: int
    event: Stored


@dataclass
class Timeline:
    """The states of one thing: `states[n]` from `since[n]` on, in positions where whole commands end."""

    since: list[int] = field(default_factory=lambda: [0])
    states: list[Entry] = field(default_factory=list)

    def at(self, position: int) -> Entry:
        return self.states[bisect_right(self.since, position) - 1]

    def changes(self, after: int, until: int) -> Sequence[int]:
        return self.since[bisect_right(self.since, after) : bisect_right(self.since, until)]


class States:
    """The state of everything at every position, by the model."""

    def __init__(self, log: Sequence[Stored], effects: Mapping[str, Effect]) -> None:
        self._timelines: dict[Where, Timeline] = {}
        for event in log:
            if (key := claims.key_of_event(event.name, event.data)) is not None:
                timeline = self.timeline((event.account, key))
                timeline.states.append(claims.after(event.name, event.data, timeline.states[-1]))
                # Nobody decides between two events of one command.
                timeline.since.append(effects[event.command_id].last)

    def timeline(self, where: Where) -> Timeline:
        found = self._timelines.get(where)
        if found is None:
            found = self._timelines[where] = Timeline(states=[claims.beginning(where[1])])
        return found

    def of(self, command: Command) -> list[Timeline]:
        return [self.timeline((command.account, key)) for key in claims.keys(command.fields)]


def effects_of(log: Iterable[Stored]) -> dict[str, Effect]:
    """By command id; a command's events stand one behind the other."""
    effects: dict[str, Effect] = {}
    for event in log:
        if (known := effects.get(event.command_id)) is None:
            effects[event.command_id] = Effect(event.position, event.position, event)
        elif event.position == known.last + 1:
            known.last = event.position
    return effects


# ---- the judgement


@dataclass
class Bounds:
    """Where the log may have ended when a command was decided, by what was answered before and begun after."""

    low: int = 0
    high: int = ENDLESS


@dataclass
class Ruling:
    """Counts to print, and what is wrong."""

    counts: dict[str, int]
    verdict: Verdict


@dataclass
class Judge:
    """Goes through all commands once, by time."""

    log: Sequence[Stored]
    wrong: dict[str, list[Any]] = field(
        default_factory=lambda: {
            "accepted what was not possible": [],
            "stored otherwise than asked": [],
            "unchanged and it was not so": [],
            "refused for what was never true": [],
            "against the order of real time": [],
            # Of a command that the model does not know, nothing is proven.
            "not judged": [],
        }
    )
    judged: int = 0

    def __post_init__(self) -> None:
        self.effects = effects_of(self.log)
        self.states = States(self.log, self.effects)
        # Where the log can end when something is decided: never in the middle of a command, never beyond its end.
        self.ends = {0, *(effect.last for effect in self.effects.values())}

    def judge(self, commands: Sequence[Command]) -> Ruling:
        moments = in_time(commands)
        high = self._latest(moments)
        known, places = 0, dict[str, int]()
        for _, is_end, command in moments:
            if is_end:
                known = max(known, places.get(command.id, 0))
            else:
                places[command.id] = self._place(command, Bounds(known, high.get(command.id, ENDLESS)))
        return Ruling({"judged by the model": self.judged}, self.wrong)

    def _latest(self, moments: Sequence[tuple[int, bool, Command]]) -> dict[str, int]:
        """By command: the place before that of everything that was begun after its answer."""
        found: dict[str, int] = {}
        earliest = ENDLESS
        for _, is_end, command in reversed(moments):
            if is_end:
                found[command.id] = earliest
            elif (effect := self.effects.get(command.id)) is not None:
                earliest = min(earliest, effect.first - 1)
            elif command.outcome == "unchanged":
                earliest = min(earliest, command.position)
        return found

    def _place(self, command: Command, bounds: Bounds) -> int:
        """Judges it; where the log ended at the least when it had been decided."""
        effect = self.effects.get(command.id)
        if effect is not None:
            self._ordered(command, effect.first - 1, bounds)
            self._accepted(command, effect)
            return effect.last
        match command.outcome:
            case "unchanged":
                self._ordered(command, command.position, bounds)
                self._unchanged(command)
                return command.position
            case "refused":
                return self._refused(command, bounds)
        return bounds.low

    def _ordered(self, command: Command, place: int, bounds: Bounds) -> None:
        if not bounds.low <= place:
            self.wrong["against the order of real time"].append((command.id, place, bounds.low))

    def _accepted(self, command: Command, effect: Effect) -> None:
        event = effect.event
        if not claims.says_what_was_asked(command.name, command.fields, event.name, event.data):
            self.wrong["stored otherwise than asked"].append((command.id, effect.first))
        told = self._expected(command, effect.first - 1)
        if self._is_judged(command, told) and told.answer != "accepted":
            self.wrong["accepted what was not possible"].append((command.id, effect.first, told.answer))

    def _unchanged(self, command: Command) -> None:
        told = self._expected(command, command.position)
        if (self._is_judged(command, told) and told.answer != "unchanged") or command.position not in self.ends:
            self.wrong["unchanged and it was not so"].append((command.id, command.position, told.answer))

    def _refused(self, command: Command, bounds: Bounds) -> int:
        """The first place where the refusal is true."""
        places = {bounds.low}
        for timeline in self.states.of(command):
            places.update(timeline.changes(bounds.low, bounds.high))
        told = Expected("")
        for place in sorted(places):
            told = self._expected(command, place)
            if told.answer == claims.NOT_JUDGED or agrees(command, told):
                self._is_judged(command, told)
                return place
        self._is_judged(command, told)
        self.wrong["refused for what was never true"].append((command.id, command.reason, told, bounds))
        return bounds.low

    def _expected(self, command: Command, place: int) -> Expected:
        states = [timeline.at(place) for timeline in self.states.of(command)]
        return claims.expected(command.name, command.actor, command.fields, states)

    def _is_judged(self, command: Command, told: Expected) -> bool:
        judged = told.answer != claims.NOT_JUDGED
        self.judged += judged
        if not judged:
            self.wrong["not judged"].append((command.id, command.name))
        return judged


def in_time(commands: Iterable[Command]) -> list[tuple[int, bool, Command]]:
    """Beginnings (False) and answers (True); of two at the same moment the beginning counts as earlier."""
    moments = []
    for command in commands:
        moments.append((command.invoked, False, command))
        if command.completed is not None:
            moments.append((command.completed, True, command))
    by_time: Callable[[tuple[int, bool, Command]], tuple[int, bool]] = lambda moment: moment[:2]  # noqa: E731
    return sorted(moments, key=by_time)


def agrees(command: Command, told: Expected) -> bool:
    """Whether the refusal is this one; holder and primary are compared where the asker may know them."""
    details = command.reply.get("details") or {}
    if command.reason != told.answer or ("kind" in told.details and "kind" not in details):
        return False
    return all(details[name] == value for name, value in told.details.items() if name in details)


def of_the_order(commands: Sequence[Command], log: Sequence[Stored]) -> Ruling:
    """All answers against the log."""
    return Judge(log).judge(commands)


# ---- races


def of_raced_addresses(commands: Iterable[Command], log: Iterable[Stored], prefix: str) -> Ruling:
    """Claims of one address by several clients, which nobody ever gives back: one of them has it, if any was decided.

    `counts` are races of at least two clients, and those whose claims were under way at the same time.
    """
    claimed: dict[tuple[str, str], list[Command]] = defaultdict(list)
    winners: dict[tuple[str, str], list[str]] = defaultdict(list)
    for command in commands:
        if command.name == "ConnectPersonal" and (command.address or "").startswith(prefix):
            claimed[command.account, command.address or ""].append(command)
    for event in log:
        if event.name == "PersonalConnected" and event.data["address"].startswith(prefix):
            winners[event.account, event.data["address"]].append(event.command_id)
    races = {race: claims_ for race, claims_ in claimed.items() if len({one.client for one in claims_}) > 1}
    return Ruling(
        {
            "races": len(races),
            "claims in races": sum(map(len, races.values())),
            "races at the same time": sum(met(claims_) for claims_ in races.values()),
        },
        {"races without exactly one winner": [race for race in claimed if not one_won(claimed[race], winners[race])]},
    )


def met(commands: Sequence[Command]) -> bool:
    """Whether two of them were under way at the same time."""
    ends, latest = sorted((one.invoked, one.completed or ENDLESS) for one in commands), 0
    for begin, end in ends:
        if begin < latest:
            return True
        latest = max(latest, end)
    return False


def one_won(commands: Sequence[Command], winners: Sequence[str]) -> bool:
    told = [one.id for one in commands if one.outcome == "accepted"]
    decided = any(one.outcome != "unknown" for one in commands)
    return len(winners) <= 1 and (len(winners) == 1 or not decided) and set(told) <= set(winners)
