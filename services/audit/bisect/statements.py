"""The statement that finds the positions at which the things that an answer depends on changed."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString

from services.audit.bisect.dependencies import Dependency
from shared.language.events import Aggregate
from shared.projections.history.versions import CURRENT_AND_PAST

CHANGES: Final[LiteralString] = """
SELECT v.position FROM {table} v
WHERE v.account = %(account)s AND v.position > %(after)s AND v.position <= %(last)s {named} {working}
"""
# By kind, since a statement has them all.
NAMED: Final[Mapping[Aggregate, LiteralString]] = {
    "account": "AND v.key = ANY(%(account_names)s)",
    "user": "AND v.key = ANY(%(user_names)s)",
    "inbox": "AND v.key = ANY(%(inbox_names)s)",
    "address": "AND v.key = ANY(%(address_names)s)",
}
# The fields of a user that decide about the answers of others, compared with those of the version before.
WORKING: Final[LiteralString] = """
    AND (v.doc->'status', v.doc->'permissions', v.doc->'seat', v.doc->'availability') IS DISTINCT FROM (
        SELECT (p.doc->'status', p.doc->'permissions', p.doc->'seat', p.doc->'availability') FROM users_past p
        WHERE p.stream = v.stream AND p.position < v.position ORDER BY p.position DESC LIMIT 1
    )
"""


def positions_of(dependencies: Sequence[Dependency]) -> tuple[LiteralString, dict[str, Any]]:
    """Return the statement, and the parameters that it needs besides `after`, `last` and `limit`."""
    parts: list[LiteralString] = []
    params: dict[str, Any] = {}
    for aggregate, names, working in dependencies:
        if names is not None:
            params[f"{aggregate}_names"] = list(names)
        for table in CURRENT_AND_PAST[aggregate]:
            part = CHANGES.replace("{table}", table).replace("{working}", WORKING if working else "")
            parts.append(part.replace("{named}", "" if names is None else NAMED[aggregate]))
    return " UNION ALL ".join(parts) + " ORDER BY position LIMIT %(limit)s", params
