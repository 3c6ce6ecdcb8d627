"""Whoever is removed leaves none of his addresses behind, whoever comes back has all that were orphaned: in one commit.

Which addresses are his is read by a decision as a set, over aggregates that others change at the same time.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby

from tests.faults import claims
from tests.faults.people import LEAVER
from tests.faults.verdict import Stored, Verdict
from tests.journeys.directory import FREE, Entry

# By how he goes: what then happens to each of his addresses.
FATES = {"orphan": "AddressOrphaned", "release": "AddressReleased", "transfer_to": "OwnershipTransferred"}


def of_who_left(log: Iterable[Stored]) -> Verdict:
    entries: dict[tuple[str, str], Entry] = defaultdict(lambda: FREE)
    his: dict[str, dict[str, bool]] = defaultdict(dict)
    wrong = []
    for _, grouped in groupby(log, key=lambda event: event.command_id):
        events = list(grouped)
        if (fate := fate_of(events[0])) is not None:
            orphaned = fate == "AddressReclaimed"
            due = {address for address, is_so in his[events[0].account].items() if is_so == orphaned}
            done = {event.data.get("address") for event in events if event.name == fate}
            if due != done:
                wrong.append((events[0].position, events[0].name, sorted(due ^ done, key=str)))
        for event in events:
            if event.name in claims.OF_ADDRESSES and "address" in event.data:
                where = event.account, event.data["address"]
                entries[where] = claims.after(event.name, event.data, entries[where])
                take(his[event.account], where[1], entries[where])
    return {"left behind by who left or came back": wrong}


def fate_of(first: Stored) -> str | None:
    """What a command that begins with this event does to each of his addresses; None when it is not about him."""
    if first.data.get("user") != LEAVER:
        return None
    match first.name:
        case "UserRemoved":
            return FATES[first.data["policy"]]
        case "UserAdded" | "UserReactivated":
            return "AddressReclaimed"
    return None


def take(his: dict[str, bool], address: str, entry: Entry) -> None:
    """Whether it is his, and an orphan."""
    if entry["owner"] == LEAVER:
        his[address] = entry["orphaned"]
    else:
        his.pop(address, None)


def counted(log: Sequence[Stored]) -> dict[str, int]:
    return {
        "removals": sum(event.name == "UserRemoved" for event in log),
        "orphans": sum(event.name == "AddressOrphaned" for event in log),
    }
