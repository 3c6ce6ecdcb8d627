"""Attacks of a database's owner on the log: each is one function over a connection, for tests and for campaigns.

They leave a database that looks whole: indexes are unique again, and numbers have no gaps unless a gap is the attack.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import sql

Connection = psycopg.Connection[Any]

# By tree: the table, and the column of the number.
EVENTS: Final = ("events", "notification_id")
JOURNAL: Final = ("journal", "ordinal")
TABLES: Final = {"events": EVENTS, "journal": JOURNAL}

# Every column of the journal but the number, each with a value that it does not have.
JOURNAL_CHANGES: Final = {
    "entry": "gen_random_uuid()",
    "account": "account || 'x'",
    "command_id": "gen_random_uuid()",
    "kept": "NOT kept",
    "command": "command || 'x'",
    "actor": "coalesce(actor, '') || 'x'",
    "outcome": "CASE outcome WHEN 'refused' THEN 'unchanged' ELSE 'refused' END",
    "reason": "CASE WHEN reason IS NULL THEN 'FORBIDDEN' END",
    "position": "coalesce(position, 0) + 1",
    "digest": r"coalesce(digest, '') || '\x00'",
    "body": r"coalesce(body, '') || '\x20'",
    "reply": r"reply || '\x20'",
    "recorded_at": "recorded_at + interval '1 microsecond'",
    "log_position": "log_position + 1",
}
EVENT_CHANGES: Final = {
    "originator_id": "gen_random_uuid()",
    "originator_version": "originator_version + 1000",
    "topic": "topic || 'x'",
    "state": r"state || '\x20'",
}


@contextmanager
def as_owner(url: str) -> Iterator[Connection]:
    """A connection of the owner; what the block did is committed."""
    with psycopg.connect(url) as connection:
        yield connection


def change_byte(connection: Connection, position: int, at: int = 30) -> None:
    """Flip the last bit of a byte of an event's state."""
    statement = (
        "UPDATE connections.events SET state = set_byte(state, %(at)s %% length(state), "
        "get_byte(state, %(at)s %% length(state)) # 1) WHERE notification_id = %(position)s"
    )
    connection.execute(statement, {"at": at, "position": position})


def change_column(connection: Connection, tree: str, number: int, column: str) -> None:
    """Give one column of a row another value."""
    table, of = TABLES[tree]
    value = (EVENT_CHANGES if tree == "events" else JOURNAL_CHANGES)[column]
    connection.execute(
        sql.SQL("UPDATE connections.{} SET {} = {} WHERE {} = %s").format(
            sql.Identifier(table), sql.Identifier(column), sql.SQL(value), sql.Identifier(of)
        ),
        (number,),
    )


def delete(connection: Connection, tree: str, number: int) -> None:
    """Delete a row, and leave a gap."""
    _execute(connection, tree, "DELETE FROM {table} WHERE {number} = %s", (number,))


def delete_and_close(connection: Connection, tree: str, number: int) -> None:
    """Delete a row, and give the later ones the numbers that close the gap."""
    delete(connection, tree, number)
    _shift(connection, tree, number, -1)


def insert(connection: Connection, tree: str, number: int) -> None:
    """Insert a copy of a row with another identity in its place, and give the later ones a number more."""
    _shift(connection, tree, number - 1, 1)
    if tree == "events":
        connection.execute(
            "INSERT INTO connections.events SELECT gen_random_uuid(), originator_version, topic, state, %s "
            "FROM connections.events WHERE notification_id = %s",
            (number, number + 1),
        )
    else:
        connection.execute(
            "INSERT INTO connections.journal (entry, account, command_id, kept, command, actor, outcome, reason, "
            "position, digest, body, reply, recorded_at, ordinal, log_position) SELECT gen_random_uuid(), account, "
            "gen_random_uuid(), kept, command, actor, outcome, reason, position, digest, body, reply, recorded_at, %s, "
            "log_position FROM connections.journal WHERE ordinal = %s",
            (number, number + 1),
        )


def swap(connection: Connection, tree: str, one: int, other: int) -> None:
    """Exchange the numbers of two rows."""
    for was, becomes in ((one, -1), (other, one), (-1, other)):
        _execute(connection, tree, "UPDATE {table} SET {number} = %s WHERE {number} = %s", (becomes, was))


def move(connection: Connection, tree: str, one: int, to: int) -> None:
    """Give a row the number of a later one, and those in between a number less."""
    _execute(connection, tree, "UPDATE {table} SET {number} = -%s WHERE {number} = %s", (to, one))
    between = "UPDATE {table} SET {number} = -({number} - 1) WHERE {number} > %s AND {number} <= %s"
    _execute(connection, tree, between, (one, to))
    _execute(connection, tree, "UPDATE {table} SET {number} = -{number} WHERE {number} < 0", ())


def renumber(connection: Connection, tree: str, number: int, to: int) -> None:
    """Give a row a number that none has."""
    _execute(connection, tree, "UPDATE {table} SET {number} = %s WHERE {number} = %s", (to, number))


def truncate(connection: Connection, tree: str, after: int) -> None:
    """Delete the tail."""
    _execute(connection, tree, "DELETE FROM {table} WHERE {number} > %s", (after,))


def refusals(connection: Connection) -> list[int]:
    """The ordinals of all refusals."""
    rows = connection.execute("SELECT ordinal FROM connections.journal WHERE outcome = 'refused' ORDER BY ordinal")
    return [ordinal for (ordinal,) in rows.fetchall()]


def _shift(connection: Connection, tree: str, after: int, by: int) -> None:
    # By way of negative numbers: each is unique at every moment.
    _execute(connection, tree, "UPDATE {table} SET {number} = -({number} + %s) WHERE {number} > %s", (by, after))
    _execute(connection, tree, "UPDATE {table} SET {number} = -{number} WHERE {number} < 0", ())


def _execute(connection: Connection, tree: str, statement: str, arguments: tuple[int, ...]) -> None:
    table, number = TABLES[tree]
    names = {"table": sql.Identifier("connections", table), "number": sql.Identifier(number)}
    connection.execute(sql.SQL(statement).format(**names), arguments)
