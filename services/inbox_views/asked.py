"""One question in front of the view: who asks, and the rows it may look at."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final, LiteralString, cast

from services.inbox_views.domain import address as addresses
from services.inbox_views.domain import user as users
from services.inbox_views.domain.address import Around
from services.inbox_views.domain.document import Doc
from shared.core.address import CanonicalAddress
from shared.language import questions as q
from shared.language.reasons import QuestionError
from shared.language.text import SERVICE
from shared.runtime.views.replying import NotAnswered, after, not_allowed
from shared.runtime.views.view import Snapshot


class Asked:
    """One question in front of the view: who asks, and typed access to the rows, each look on record."""

    def __init__(self, snapshot: Snapshot, actor: str) -> None:
        self._snapshot = snapshot
        self.actor = actor
        self.account = cast(Doc, snapshot.account_doc)
        self.administers = actor.startswith(SERVICE) or users.administers(snapshot.actor_doc)

    def require_administrator(self) -> None:
        if not self.administers:
            raise not_allowed("account_access", "Only administrators may ask this.")

    def require_self(self, user: str) -> None:
        if not self.administers and self.actor != user:
            raise not_allowed("self", "Only the user himself and administrators may ask this.")

    async def user(self, name: str) -> Doc:
        self._snapshot.looked_at("user", name)
        rows = await self._select("SELECT doc FROM users WHERE account = %(account)s AND key = %(key)s", key=name)
        if not rows:
            raise NotAnswered(QuestionError.USER_NOT_FOUND, f"There is no user {name}.", {"user": name})
        return cast(Doc, rows[0][0])

    async def users(self, after_key: str = "", limit: int | None = None) -> list[Doc]:
        self._snapshot.looked_at("user")
        return [
            doc
            for (doc,) in await self._select(
                """
                SELECT doc FROM users WHERE account = %(account)s AND key > %(after)s ORDER BY key LIMIT %(limit)s
                """,
                after=after_key,
                limit=limit,
            )
        ]

    async def active_users(self) -> list[str]:
        self._snapshot.looked_at("user")
        rows = await self._select(
            "SELECT key FROM users WHERE account = %(account)s AND doc->>'status' = 'active' ORDER BY key"
        )
        return [key for (key,) in rows]

    async def inbox(self, name: str) -> Doc:
        self._snapshot.looked_at("inbox", name)
        rows = await self._select("SELECT doc FROM inboxes WHERE account = %(account)s AND key = %(key)s", key=name)
        if not rows:
            raise NotAnswered(QuestionError.INBOX_NOT_FOUND, f"There is no inbox {name}.", {"inbox": name})
        return cast(Doc, rows[0][0])

    async def inboxes(self) -> list[Doc]:
        self._snapshot.looked_at("inbox")
        rows = await self._select("SELECT doc FROM inboxes WHERE account = %(account)s ORDER BY key")
        return [doc for (doc,) in rows]

    async def address(self, name: CanonicalAddress) -> tuple[Doc, Around]:
        """What is known of an address, free when nothing is."""
        self._snapshot.looked_at("address", name.address)
        rows = await self._select(ONE_ADDRESS, key=name.address)
        if not rows:
            return {"address": name.address, "display": name.display} | addresses.FREE, Around()
        doc, around = in_context(rows[0])
        claim = addresses.follows(doc, around)
        if doc["primary"] is not None:
            self._snapshot.looked_at("address", doc["primary"])
        self._snapshot.looked_at("user", *(user for user in (claim["owner"], claim["connector"]) if user))
        return doc, around

    async def addresses(self, question: q.Addresses) -> list[tuple[Doc, Around]]:
        self._snapshot.looked_at("address")
        self._snapshot.looked_at("user")
        rows = await self._select(
            SOME_ADDRESSES,
            after=after(question),
            limit=question.limit + 1,
            state=question.state,
            kind=question.kind,
            inbox=question.inbox,
            owner=question.owner,
        )
        return await self._in_context(rows)

    async def addresses_in(self, names: Iterable[str]) -> list[tuple[Doc, Around]]:
        """The addresses connected to these inboxes, by name, without their aliases."""
        self._snapshot.looked_at("address")
        self._snapshot.looked_at("user")
        return await self._in_context(await self._select(ADDRESSES_IN, inboxes=list(names)))

    async def _in_context(self, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Doc, Around]]:
        aliases: defaultdict[str, list[str]] = defaultdict(list)
        if names := [doc["address"] for doc, *_ in rows]:
            for primary, alias in await self._select(ALIASES_OF, primaries=names):
                aliases[primary].append(alias)
        return [in_context((*row, aliases[name])) for name, row in zip(names, rows, strict=True)]

    async def owned(self, *users: str) -> list[Doc]:
        """The personal addresses of these users, orphaned ones not among them."""
        self._snapshot.looked_at("address")
        rows = await self._select(OWNED, owners=list(users))
        return [doc for (doc,) in rows]

    async def aliases(self, primaries: Iterable[str]) -> list[Doc]:
        self._snapshot.looked_at("address")
        rows = await self._select(ALIASES, primaries=list(primaries))
        return [doc for (doc,) in rows]

    async def orphans(self, after_key: str, limit: int) -> list[Doc]:
        self._snapshot.looked_at("address")
        return [doc for (doc,) in await self._select(ORPHANS, after=after_key, limit=limit)]

    async def open_inboxes(self) -> int:
        self._snapshot.looked_at("inbox")
        rows = await self._select(
            "SELECT count(*) FROM inboxes WHERE account = %(account)s AND NOT (doc->>'archived')::boolean"
        )
        return int(rows[0][0])

    async def _select(self, query: LiteralString, **params: Any) -> list[tuple[Any, ...]]:
        return await self._snapshot.select(query, params)


# ---- statements; `a` is the address, `c` where its state stands (itself, or the primary of an alias)
#
# LATERAL with LIMIT: where the statistics say that an account has hardly a row, an ordinary join looks at all rows of
# the account for each one, 25,000,000 pairs for 5,000 addresses. For the same reason the aliases of many addresses are
# a statement of their own. The collation of a primary is that of the index of primaries, which is of no use otherwise.

IN_CONTEXT: Final[LiteralString] = """
    FROM addresses a
    LEFT JOIN LATERAL (
        SELECT doc FROM addresses WHERE account = a.account AND key = a.doc->>'primary' LIMIT 1
    ) p ON true
    CROSS JOIN LATERAL (SELECT coalesce(p.doc, a.doc) AS doc) c
    LEFT JOIN LATERAL (SELECT doc FROM users WHERE account = a.account AND key = c.doc->>'owner' LIMIT 1) o ON true
    LEFT JOIN LATERAL (SELECT doc FROM users WHERE account = a.account AND key = c.doc->>'connector' LIMIT 1) n ON true
    WHERE a.account = %(account)s
"""
ONE_ADDRESS: Final[LiteralString] = (
    """
    SELECT a.doc, p.doc, o.doc, n.doc, ARRAY(
        SELECT x.key FROM addresses x
        WHERE x.account = a.account AND x.doc->>'primary' = a.key COLLATE "default" ORDER BY x.key
    )
    """  # noqa: S608  nothing of a caller's
    + IN_CONTEXT
    + "AND a.key = %(key)s"
)
ADDRESSES: Final[LiteralString] = "SELECT a.doc, p.doc, o.doc, n.doc" + IN_CONTEXT
ADDRESSES_IN: Final[LiteralString] = ADDRESSES + "AND a.doc->>'inbox' = ANY(%(inboxes)s) ORDER BY a.key"
SOME_ADDRESSES: Final[LiteralString] = (
    ADDRESSES
    + """
    AND a.key > %(after)s
    AND (%(state)s::text IS NULL OR c.doc->>'state' = %(state)s)
    AND (%(kind)s::text IS NULL OR c.doc->>'kind' = %(kind)s)
    AND (%(inbox)s::text IS NULL OR c.doc->>'inbox' = %(inbox)s)
    AND (%(owner)s::text IS NULL OR c.doc->>'owner' = %(owner)s)
    ORDER BY a.key LIMIT %(limit)s
    """
)
OWNED: Final[LiteralString] = """
    SELECT doc FROM addresses
    WHERE account = %(account)s AND doc->>'owner' = ANY(%(owners)s) AND doc->>'state' <> 'orphaned' ORDER BY key
"""
ALIASES: Final[LiteralString] = """
    SELECT doc FROM addresses WHERE account = %(account)s AND doc->>'primary' = ANY(%(primaries)s) ORDER BY key
"""
ALIASES_OF: Final[LiteralString] = """
    SELECT doc->>'primary', key FROM addresses
    WHERE account = %(account)s AND doc->>'primary' = ANY(%(primaries)s) ORDER BY key
"""
ORPHANS: Final[LiteralString] = """
    SELECT doc FROM addresses
    WHERE account = %(account)s AND doc->>'state' = 'orphaned' AND key > %(after)s ORDER BY key LIMIT %(limit)s
"""


def in_context(row: tuple[Any, ...]) -> tuple[Doc, Around]:
    doc, primary, owner, connector, aliases = row
    return doc, Around(primary, owner, connector, tuple(aliases))


# ---- answers
