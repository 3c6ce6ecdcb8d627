"""What every event and attempt concerns, computed from the documents of the plain fold: slowly, and without state."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from shared.core.address import InvalidAddressError, canonical
from shared.core.state.fold import fold
from shared.language.events import Event
from shared.language.recorded import Recorded
from shared.process.stored_events import from_state
from shared.projections.events import key_of
from tests.audit.past import rows

Thing = tuple[str, str]
Docs = dict[tuple[str, str, str], Mapping[str, Any]]
# Account, kind, name, position, ordinal.
Row = tuple[str, str, str, int, int]

ONE = {
    "address": ("address", "alias", "primary", "former_primary"),
    "inbox": ("inbox", "to_inbox"),
    "user": ("user", "owner", "new_owner", "admin", "connector"),
    "team": ("team",),
}
MANY = {"user": ("members", "users"), "team": ("teams",)}
ENTRIES = """
SELECT n.account, n.kind, n.name, e.position, e.ordinal FROM {schema}.names n JOIN (
    SELECT * FROM {schema}.entries UNION ALL SELECT * FROM {schema}.unchanged
) e ON e.id = n.id
"""


def indexed_rows(url: str, schema: str) -> list[Row]:
    """The rows that the index has."""
    return rows(url, ENTRIES.format(schema=schema))


def plain_index(url: str) -> set[Row]:
    """The rows that the index must have."""
    found: set[Row] = set()
    docs: Docs = {}
    for position, ordinal, one in _happened(url):
        if isinstance(one, Recorded):
            account, actor, correlation = one.account, one.actor, one.correlation_id
            things = _of_event(one, docs)
        else:
            account, actor, body = one
            fields = orjson.loads(body or b"{}")
            correlation = fields.get("correlation_id")
            named = set(_named(fields))
            things = named | _holders(account, named, docs)
        things |= {("account", account), *_maybe("actor", actor), *_maybe("correlation", correlation)}
        found |= {(account, kind, name, position, ordinal) for kind, name in things}
    return found


def _maybe(kind: str, name: str | None) -> Iterator[Thing]:
    if name is not None:
        yield kind, name


def _happened(url: str) -> list[tuple[int, int, Any]]:
    """Events (ordinal 0) and attempts by their place in the log."""
    events = rows(
        url, "SELECT originator_id, originator_version, topic, state, notification_id FROM connections.events"
    )
    attempts = rows(
        url, "SELECT log_position, ordinal, account, actor, body FROM connections.journal WHERE outcome <> 'accepted'"
    )
    found: list[tuple[int, int, Any]] = [
        (one[4], 0, from_state(one[0], one[1], one[2], one[3], one[4])) for one in events
    ]
    found += [(position, ordinal, (account, actor, body)) for position, ordinal, account, actor, body in attempts]
    return sorted(found, key=lambda one: one[:2])


def _of_event(recorded: Recorded, docs: Docs) -> set[Thing]:
    """Applies the event."""
    event, account = recorded.event, recorded.account
    key = (account, event.aggregate, key_of(recorded))
    named = set(_of_single_fields(event))
    before, lists = _holders(account, named, docs), set(_lists(docs.get(key)))
    docs[key] = fold(docs.get(key), recorded)
    changed = lists ^ set(_lists(docs[key]))
    return named | before | _holders(account, named, docs) | {thing for _, thing in changed}


def _of_single_fields(event: Event) -> Iterator[Thing]:
    fields = {name: value for name, value in event.model_dump().items() if isinstance(value, str)}
    yield from _named(fields)
    match type(event).__name__:
        case "TeamAddressMoved":
            yield from (("inbox", fields["from_"]), ("inbox", fields["to"]))
        case "OwnershipTransferred":
            yield from (("user", fields["from_"]), ("user", fields["to"]))
        case "AddressReclaimed":
            yield "user", fields["from_"]


def _named(fields: Mapping[str, Any]) -> Iterator[Thing]:
    for kind, names in ONE.items():
        for value in (fields[name] for name in names if fields.get(name) is not None):
            if kind == "address":
                try:
                    yield kind, canonical(value).address
                except InvalidAddressError:
                    continue
            elif not value.startswith("service:"):
                yield kind, value
    for kind, names in MANY.items():
        yield from ((kind, value) for name in names for value in fields.get(name) or ())
    for inner in (fields.get("rule"), fields.get("fallback")):
        if isinstance(inner, Mapping):
            yield from _named(inner)


def _lists(doc: Mapping[str, Any] | None) -> Iterator[tuple[str, Thing]]:
    """Everybody in a full list of a document, with the name of the list."""
    if doc is None:
        return
    if "plan" in doc:
        yield from ((f"team {team}", ("user", user)) for team, one in doc["teams"].items() for user in one["members"])
    if "rule" in doc:
        yield from (("access", thing) for thing in _named({"members": doc["members"], "teams": doc["teams"]}))
        yield from (("rule", thing) for thing in _named({"rule": doc["rule"]}))


def _holders(account: str, things: Iterable[Thing], docs: Docs) -> set[Thing]:
    """The holders of the addresses; of an alias its primary, and the holder of that."""
    found = {holder for kind, name in things if kind == "address" for holder in _holder(account, name, docs)}
    # Between the events of a promotion two addresses may be the primaries of each other.
    return found | {holder for kind, name in found if kind == "address" for holder in _holder(account, name, docs)}


def _holder(account: str, address: str, docs: Docs) -> Iterator[Thing]:
    doc = docs.get((account, "address", address))
    if doc is None:
        return
    if doc["primary"] is not None:
        yield "address", doc["primary"]
    elif doc["kind"] == "personal":
        yield "user", doc["owner"]
    elif doc["kind"] == "team":
        yield "inbox", doc["inbox"]
