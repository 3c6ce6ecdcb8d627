"""The things that the answer to a question of the views depends on: only their events can change it.

Too many of them cost time and never an exact answer, so a question without an entry depends on everything.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from services.audit.access.rows import AccessRows
from shared.language import questions as q
from shared.language.events import Aggregate
from shared.projections.answers import canonical_or_refused

MOST_NAMES: Final = 5_000


class Dependency(NamedTuple):
    """Rows of one kind, all of the account without `names`; `working` leaves out what only shows a user's preferences.

    A user's status, permissions, seat and availability decide about others' answers; their signature does not.
    """

    aggregate: Aggregate
    names: frozenset[str] | None = None
    working: bool = False


ACCOUNT: Final = Dependency("account")
USERS_WORKING: Final = Dependency("user", working=True)
EVERYTHING: Final = (ACCOUNT, Dependency("user"), Dependency("inbox"), Dependency("address"))


async def dependencies_of(rows: AccessRows, question: q.Question) -> Sequence[Dependency]:
    """Return the dependencies of an answer at any time."""
    match question:
        case q.Account():
            return (ACCOUNT,)
        case q.Usage():
            return ACCOUNT, Dependency("inbox")
        case q.Teams():
            return ACCOUNT, USERS_WORKING
        case q.Orphans():
            return (Dependency("address"),)
        case q.Routing(inbox=inbox):
            return ACCOUNT, USERS_WORKING, Dependency("inbox", frozenset({inbox}))
        case q.Inbox(inbox=inbox):
            return ACCOUNT, USERS_WORKING, Dependency("inbox", frozenset({inbox})), await _in_inbox(rows, inbox)
        case q.Address(address=address):
            return await _of_address(rows, canonical_or_refused("fields.address", address).address)
        case q.User(user=user) | q.Identities(user=user):
            return ACCOUNT, Dependency("user", frozenset({user})), Dependency("inbox"), Dependency("address")
        case _:
            return EVERYTHING


async def _in_inbox(rows: AccessRows, inbox: str) -> Dependency:
    """Return the addresses that were ever in the inbox, and their aliases."""
    names = await rows.addresses_of(None, [inbox], "", MOST_NAMES)
    return Dependency("address", frozenset(names) if len(names) < MOST_NAMES else None)


async def _of_address(rows: AccessRows, name: str) -> Sequence[Dependency]:
    """Return the address with its primaries and aliases, their inboxes, and the people behind them."""
    own = await rows.addresses([name])
    primaries = await rows.addresses({primary for facts in own.values() for primary in facts.primaries})
    addresses = [*own.values(), *primaries.values()]
    inboxes = await rows.inboxes({inbox for facts in addresses for inbox in facts.inboxes})
    aliases = await rows.aliases_of([name])
    # Whether somebody reads an inbox depends on the members of teams, or on everyone.
    users = None if inboxes else frozenset().union(*(facts.people for facts in addresses))
    return (
        ACCOUNT,
        Dependency("address", frozenset({name, *primaries, *aliases})),
        Dependency("inbox", frozenset(inboxes)),
        Dependency("user", users, working=True),
    )
