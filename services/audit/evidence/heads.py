"""The committed heads in PostgreSQL: the size and the root of each tree, durable before anything is signed.

A process that begins to sign takes the head under a term of its own, one more than the last. A head moves only under
the term under which it was taken, so a process whose lease is over moves none.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, LiteralString, NamedTuple, get_args

from shared.process.postgres import PostgresSession
from shared.transparency.checkpoints import Checkpoint, Tree, log_origin
from shared.transparency.merkle import EMPTY_ROOT

TREES: Final[tuple[Tree, ...]] = get_args(Tree)

# Orders all that make the tables or begin an origin.
LOCK: Final[LiteralString] = "SELECT pg_advisory_xact_lock(5824113008)"
TABLES: Final[tuple[LiteralString, ...]] = (
    "CREATE SCHEMA IF NOT EXISTS evidence",
    """
    CREATE TABLE IF NOT EXISTS evidence.heads (
        tree text COLLATE "C" NOT NULL,
        origin text COLLATE "C" NOT NULL,
        size bigint NOT NULL,
        root bytea NOT NULL,
        term bigint NOT NULL,
        began timestamptz NOT NULL,
        reason text,
        signed_at timestamptz,
        error text,
        PRIMARY KEY (tree, origin)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS evidence.witnessed (
        tree text COLLATE "C" NOT NULL,
        origin text COLLATE "C" NOT NULL,
        name text COLLATE "C" NOT NULL,
        size bigint NOT NULL,
        witnessed_at timestamptz NOT NULL,
        PRIMARY KEY (tree, origin, name)
    )
    """,
)
EXISTS: Final[LiteralString] = "SELECT to_regclass('evidence.heads') IS NOT NULL"
# The origin that began last is the one in use.
CURRENT: Final[LiteralString] = """
SELECT origin, size, root, term FROM evidence.heads WHERE tree = %s ORDER BY began DESC, origin DESC LIMIT 1
"""
BEGIN: Final[LiteralString] = """
INSERT INTO evidence.heads (tree, origin, size, root, term, began, reason)
VALUES (%s, %s, 0, %s, 0, coalesce(%s, now()), %s)
"""
TAKE: Final[LiteralString] = "UPDATE evidence.heads SET term = term + 1 WHERE tree = %s AND origin = %s RETURNING term"
MOVE: Final[LiteralString] = """
UPDATE evidence.heads SET size = %s, root = %s WHERE tree = %s AND origin = %s AND term = %s AND size = %s AND root = %s
"""
SIGNED: Final[LiteralString] = """
UPDATE evidence.heads SET signed_at = %s, error = NULL WHERE tree = %s AND origin = %s AND term = %s
"""
FAILED: Final[LiteralString] = """
UPDATE evidence.heads SET error = %s WHERE tree = %s AND origin = %s AND term = %s
"""
WITNESSED: Final[LiteralString] = """
INSERT INTO evidence.witnessed (tree, origin, name, size, witnessed_at) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (tree, origin, name) DO UPDATE SET size = excluded.size, witnessed_at = excluded.witnessed_at
"""
# A millisecond after every other origin, where the clock has run back: the name and the order have its time.
NEW_ORIGIN: Final[LiteralString] = """
SELECT id, began, to_char(began AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS.MS"Z"')
FROM connections.log, (SELECT greatest(now(), max(began) + interval '1 ms') AS began FROM evidence.heads) AS moment
"""
STALE: Final = "another process signs, or a new origin has begun"


class StaleHolderError(Exception):
    """Another process has taken the head, or an operator has begun a new origin."""


class TakenHead(NamedTuple):
    """The committed head of a tree, and the term under which this process may move it."""

    tree: Tree
    committed: Checkpoint
    term: int


async def take(connection: PostgresSession, tree: Tree, first_origin: str) -> TakenHead:
    """Take the head of a tree from its holder; where there is not any, one of an empty tree with this origin."""
    async with connection.transaction():
        await make_tables(connection)
        current = await _current(connection, tree)
        if current is None:
            await connection.execute(BEGIN, (tree, first_origin, EMPTY_ROOT, None, None))
            current = Checkpoint(first_origin, 0, EMPTY_ROOT)
        ((term,),) = await (await connection.execute(TAKE, (tree, current.origin))).fetchall()
    return TakenHead(tree, current, term)


async def require_taken(connection: PostgresSession, head: TakenHead) -> None:
    """Require that the head is the one in use, and that nobody has taken it since.

    Raises:
        StaleHolderError: it is not.
    """
    rows = await (await connection.execute(CURRENT, (head.tree,))).fetchall()
    if not rows or (rows[0][0], rows[0][3]) != (head.committed.origin, head.term):
        raise StaleHolderError(STALE)


async def move(connection: PostgresSession, head: TakenHead, to: Checkpoint) -> TakenHead:
    """Commit a later head of the tree.

    Raises:
        StaleHolderError: this process is not the holder any more; nothing was changed.
    """
    committed = head.committed
    values = (to.size, to.root, head.tree, committed.origin, head.term, committed.size, committed.root)
    await _require_changed(connection, MOVE, values)
    return head._replace(committed=to)


async def set_signed(connection: PostgresSession, head: TakenHead, time: str) -> None:
    """Record when the head was signed; it has no error any more.

    Raises:
        StaleHolderError: this process is not the holder any more.
    """
    await _require_changed(connection, SIGNED, (time, head.tree, head.committed.origin, head.term))


async def set_error(connection: PostgresSession, head: TakenHead, error: str) -> None:
    """Record why the head is not signed any more.

    Raises:
        StaleHolderError: this process is not the holder any more.
    """
    await _require_changed(connection, FAILED, (error, head.tree, head.committed.origin, head.term))


async def set_witnessed(connection: PostgresSession, tree: Tree, head: Checkpoint, name: str, at: datetime) -> None:
    """Record that a witness has cosigned a head."""
    await connection.execute(WITNESSED, (tree, head.origin, name, head.size, at))


async def begin_origin(connection: PostgresSession, name: str, reason: str) -> list[str]:
    """Let each tree begin again under a new origin, and return these; nobody can move a former head any more."""
    found = []
    async with connection.transaction():
        await make_tables(connection)
        rows = await (await connection.execute(NEW_ORIGIN)).fetchall()
        for log_id, began, stamp, tree in [(*row, tree) for row in rows for tree in TREES]:
            origin = f"{log_origin(name, str(log_id), tree)}-{stamp}"
            await connection.execute("UPDATE evidence.heads SET term = term + 1 WHERE tree = %s", (tree,))
            await connection.execute(BEGIN, (tree, origin, EMPTY_ROOT, began, reason))
            found.append(origin)
    return found


async def current_heads(connection: PostgresSession) -> Mapping[Tree, Checkpoint]:
    """Return the committed heads in use; none before the first process of this release."""
    ((exists,),) = await (await connection.execute(EXISTS)).fetchall()
    if not exists:
        return {}
    found = [(tree, await _current(connection, tree)) for tree in TREES]
    return {tree: head for tree, head in found if head is not None}


async def make_tables(connection: PostgresSession) -> None:
    await connection.execute(LOCK)
    for statement in TABLES:
        await connection.execute(statement)


async def _current(connection: PostgresSession, tree: Tree) -> Checkpoint | None:
    rows = await (await connection.execute(CURRENT, (tree,))).fetchall()
    return Checkpoint(rows[0][0], rows[0][1], bytes(rows[0][2])) if rows else None


async def _require_changed(connection: PostgresSession, statement: LiteralString, values: Sequence[object]) -> None:
    cursor = await connection.execute(statement, values)
    if not cursor.rowcount:
        raise StaleHolderError(STALE)
