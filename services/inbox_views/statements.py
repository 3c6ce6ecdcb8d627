"""The statements of the questions; `a` is the address, `c` the row of its claim: itself, or an alias's primary.

LATERAL with LIMIT: where the statistics say that an account has hardly a row, an ordinary join compares all rows of
the account for each one, 25,000,000 pairs for 5,000 addresses. For the same reason the aliases of many addresses have
a statement of their own. A primary needs the collation of the index of primaries, or the index is not used.
"""

from typing import Final, LiteralString

USERS: Final[LiteralString] = """
    SELECT doc FROM users WHERE account = %(account)s AND key > %(after)s ORDER BY key LIMIT %(limit)s
"""
ACTIVE: Final[LiteralString] = """
    SELECT key FROM users WHERE account = %(account)s AND doc->>'status' = 'active'
"""
IN_CONTEXT: Final[LiteralString] = """
    FROM addresses a
    LEFT JOIN LATERAL (
        SELECT doc FROM addresses WHERE account = a.account AND key = a.doc->>'primary' LIMIT 1
    ) p ON true
    CROSS JOIN LATERAL (SELECT coalesce(p.doc, a.doc) AS doc) c
    LEFT JOIN LATERAL (SELECT doc FROM users WHERE account = a.account AND key = c.doc->>'owner' LIMIT 1) o ON true
    LEFT JOIN LATERAL (SELECT doc FROM users WHERE account = a.account AND key = c.doc->>'connector' LIMIT 1) n ON true
"""
SHOWN_WITH: Final[LiteralString] = """
    SELECT a.doc, p.doc, o.doc->>'status', o.doc->'permissions', n.doc->>'status'
"""
ALIASES_OF_IT: Final[LiteralString] = """
    , ARRAY(
        SELECT x.key FROM addresses x
        WHERE x.account = a.account AND x.doc->>'primary' = a.key COLLATE "default" ORDER BY x.key
    )
"""
ITS_INBOX: Final[LiteralString] = """
    LEFT JOIN LATERAL (SELECT doc FROM inboxes WHERE account = a.account AND key = c.doc->>'inbox' LIMIT 1) i ON true
"""
ONE_ADDRESS: Final[LiteralString] = (
    SHOWN_WITH
    + ", i.doc"
    + ALIASES_OF_IT
    + IN_CONTEXT
    + ITS_INBOX
    + "WHERE a.account = %(account)s AND a.key = %(key)s"
)
ADDRESSES: Final[LiteralString] = SHOWN_WITH + IN_CONTEXT + "WHERE a.account = %(account)s "
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
CLAIMS: Final[LiteralString] = """
    SELECT a.doc, p.doc FROM addresses a
    LEFT JOIN LATERAL (
        SELECT doc FROM addresses WHERE account = a.account AND key = a.doc->>'primary' LIMIT 1
    ) p ON true
    WHERE a.account = %(account)s AND a.key = ANY(%(names)s)
"""
TEAM: Final[LiteralString] = """
    SELECT doc FROM addresses WHERE account = %(account)s AND doc->>'inbox' = ANY(%(inboxes)s) ORDER BY key
"""
FIRST_SENDERS: Final[LiteralString] = """
    SELECT min(key), doc->>'inbox' FROM addresses
    WHERE account = %(account)s AND doc->>'inbox' IS NOT NULL AND (doc->>'sends')::boolean
    GROUP BY 2 ORDER BY 1
"""
OWNED: Final[LiteralString] = """
    SELECT doc FROM addresses
    WHERE account = %(account)s AND doc->>'owner' = ANY(%(owners)s) AND doc->>'state' <> 'orphaned' ORDER BY key
"""
CONNECTED_BY: Final[LiteralString] = """
    SELECT key FROM addresses WHERE account = %(account)s AND doc->>'connector' = %(connector)s ORDER BY key
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
