"""The statements that read the versions of rows which decide about access, from the history of the audit.

Versions that changed nothing about access are left out: their fields are compared with those of the version before.
The history may be further than the answer's position, `reached`.
"""

from typing import Final, LiteralString

# By user: the fields that decide about access, and the position from which they were so.
USERS: Final[LiteralString] = """
SELECT key, fields, position FROM (
    SELECT key, fields, position,
           lag(fields) OVER (PARTITION BY key ORDER BY position) IS DISTINCT FROM fields AS changed
    FROM (
        SELECT key, position, jsonb_build_object(
            'name', doc->'name', 'status', doc->'status', 'permissions', doc->'permissions'
        ) AS fields
        FROM (
            SELECT key, position, doc FROM users_current WHERE account = %(account)s AND key = ANY(%(names)s)
            UNION ALL SELECT key, position, doc FROM users_past WHERE account = %(account)s AND key = ANY(%(names)s)
        ) AS versions
        WHERE position <= %(reached)s
    ) AS reduced
) AS compared
WHERE changed ORDER BY key, position
"""
# Every user that ever was has a current version.
ALL_USERS: Final[LiteralString] = """
SELECT key FROM users_current WHERE account = %(account)s AND key > %(after)s ORDER BY key LIMIT %(limit)s
"""
# Within a range; the condition on permissions is that of an index.
ADMINISTRATORS: Final[LiteralString] = """
SELECT key FROM users_current
WHERE account = %(account)s AND doc->'permissions' ?| ARRAY['account_access', 'super_admin']
    AND position <= %(last)s
UNION SELECT key FROM users_past
WHERE account = %(account)s AND doc->'permissions' ?| ARRAY['account_access', 'super_admin']
    AND position <= %(last)s AND until > %(first)s
"""
# Events about the members of teams, found by the index: an account's row has all of its teams, and is large.
TEAM_EVENTS: Final[LiteralString] = """
SELECT v.originator_id, v.originator_version, v.topic, v.state, v.notification_id
FROM (
    SELECT DISTINCT e.position
    FROM audit_index.names n JOIN audit_index.entries e ON e.id = n.id AND e.ordinal = 0 AND e.position <= %(reached)s
    WHERE n.account = %(account)s AND n.kind = %(kind)s AND n.name = ANY(%(names)s)
) AS concerned
JOIN connections.events v ON v.notification_id = concerned.position AND v.originator_id = %(stream)s
ORDER BY v.notification_id
"""
# By inbox: when an address in it could send.
SENDS: Final[LiteralString] = """
SELECT doc->>'inbox', position, NULL::bigint FROM addresses_current
WHERE account = %(account)s AND doc->>'inbox' = ANY(%(names)s) AND (doc->>'sends')::boolean
    AND position <= %(reached)s
UNION ALL SELECT doc->>'inbox', position, until FROM addresses_past
WHERE account = %(account)s AND doc->>'inbox' = ANY(%(names)s) AND (doc->>'sends')::boolean
    AND position <= %(reached)s
ORDER BY 2
"""
ALIASES_OF: Final[LiteralString] = """
SELECT key FROM addresses_current WHERE account = %(account)s AND doc->>'primary' = ANY(%(names)s)
UNION SELECT key FROM addresses_past WHERE account = %(account)s AND doc->>'primary' = ANY(%(names)s)
"""
# The addresses that a user owned or that were in inboxes, and the aliases of all these.
ADDRESSES_OF: Final[LiteralString] = """
WITH direct AS MATERIALIZED (
    SELECT key FROM addresses_current WHERE account = %(account)s AND doc->>'owner' = %(user)s
    UNION SELECT key FROM addresses_past WHERE account = %(account)s AND doc->>'owner' = %(user)s
    UNION SELECT key FROM addresses_current WHERE account = %(account)s AND doc->>'inbox' = ANY(%(inboxes)s)
    UNION SELECT key FROM addresses_past WHERE account = %(account)s AND doc->>'inbox' = ANY(%(inboxes)s)
)
SELECT key FROM (
    SELECT key FROM direct
    UNION SELECT a.key FROM direct JOIN addresses_current a
        ON a.account = %(account)s AND a.doc->>'primary' = direct.key COLLATE "default"
    UNION SELECT a.key FROM direct JOIN addresses_past a
        ON a.account = %(account)s AND a.doc->>'primary' = direct.key COLLATE "default"
) AS found
WHERE key > %(after)s ORDER BY key LIMIT %(limit)s
"""
OWNED_BY: Final[LiteralString] = """
SELECT key FROM addresses_current
WHERE account = %(account)s AND doc->>'owner' = %(user)s AND key > %(after)s AND position <= %(reached)s
UNION SELECT key FROM addresses_past
WHERE account = %(account)s AND doc->>'owner' = %(user)s AND key > %(after)s AND position <= %(reached)s
    AND (until > %(reached)s OR NOT %(now)s)
ORDER BY key LIMIT %(limit)s
"""
# The users who were not active after an event in a range of positions.
INACTIVE: Final[LiteralString] = """
SELECT key FROM users_current
WHERE account = %(account)s AND position >= %(first)s AND position <= %(last)s AND doc->>'status' <> 'active'
UNION SELECT key FROM users_past
WHERE account = %(account)s AND position >= %(first)s AND position <= %(last)s AND doc->>'status' <> 'active'
ORDER BY key
"""
# Versions of addresses without an owner, by their former owner.
ORPHANED: Final[LiteralString] = """
SELECT key, doc->>'owner', position, NULL::bigint FROM addresses_current
WHERE account = %(account)s AND doc->>'owner' = ANY(%(names)s) AND (doc->>'orphaned')::boolean
    AND position <= %(reached)s
UNION ALL SELECT key, doc->>'owner', position, until FROM addresses_past
WHERE account = %(account)s AND doc->>'owner' = ANY(%(names)s) AND (doc->>'orphaned')::boolean
    AND position <= %(reached)s
ORDER BY 1, 3
"""
# The holders of addresses from a position on.
HOLDERS: Final[LiteralString] = """
SELECT key, position, doc->>'owner', doc->>'inbox' FROM addresses_current
WHERE account = %(account)s AND (key, position) IN (SELECT * FROM unnest(%(names)s::text[], %(positions)s::bigint[]))
UNION ALL SELECT key, position, doc->>'owner', doc->>'inbox' FROM addresses_past
WHERE account = %(account)s AND (key, position) IN (SELECT * FROM unnest(%(names)s::text[], %(positions)s::bigint[]))
"""
