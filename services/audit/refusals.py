"""The question `Refusals`: refused attempts in groups, and then one by one."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString

from services.audit.domain.things import Thing
from services.audit.index.pages import BEGINNING, IN_RANGE, Place, place_after
from services.audit.peers import Peers
from services.audit.ranges import LogRange, range_of
from services.audit.timeline_entries import body_of, entry_of_attempt
from shared.language.audit import Refusals
from shared.language.audit_answers import RefusalGroup, RefusalItem, Today
from shared.language.commands import COMMANDS
from shared.process import clock
from shared.process.journal_reader import CommandJournal, JournalRow
from shared.projections.answers import Page, canonical_or_refused
from shared.projections.snapshot import Snapshot

# Each dry run is a decision of the writers, which serve commands.
MOST_DRY_RUNS: Final = 20
BEYOND: Final = f"only the first {MOST_DRY_RUNS} entries of a page are tried"
NO_BODY: Final = "the body of the command is not on record"
UNKNOWN_COMMAND: Final = "this release does not know the command"

# The refusals of the account, or those that concern one thing: the address, or else the actor.
OF_ACCOUNT: Final[LiteralString] = "FROM audit_index.attempts e"
OF_THING: Final[LiteralString] = """
FROM (
    SELECT ordinal FROM audit_index.entries WHERE ordinal > 0 AND id = (
        SELECT id FROM audit_index.names WHERE account = %(account)s AND kind = %(kind)s AND name = %(name)s
    )
) AS t
CROSS JOIN LATERAL (SELECT * FROM audit_index.attempts WHERE ordinal = t.ordinal LIMIT 1) AS e
"""
MATCHING: Final[LiteralString] = """
{source} WHERE e.account = %(account)s AND e.outcome = 'refused' AND {in_range}
    AND (%(reason)s::text IS NULL OR e.reason = %(reason)s)
    AND (%(command)s::text IS NULL OR e.command = %(command)s)
    AND (%(given_by)s::text IS NULL OR e.actor = %(given_by)s)
""".replace("{in_range}", IN_RANGE)
GROUPS: Final[LiteralString] = """
SELECT e.reason, e.command, count(*), min(e.recorded_at), max(e.recorded_at) {matching}
GROUP BY e.reason, e.command ORDER BY count(*) DESC, e.reason, e.command
""".replace("{matching}", MATCHING)
ENTRIES: Final[LiteralString] = """
SELECT e.position, e.ordinal {matching} AND (e.position, e.ordinal) > (%(after_position)s, %(after_ordinal)s)
ORDER BY e.position, e.ordinal LIMIT %(limit)s
""".replace("{matching}", MATCHING)


async def refusals(snapshot: Snapshot, question: Refusals, peers: Peers) -> Page:
    """Return a page of entries; the first page begins with all groups."""
    range_, after, thing = await range_of(snapshot, question), place_after(question), _thing_of(question)
    source = OF_THING if thing else OF_ACCOUNT
    params = _parameters(question, range_, thing)
    items = [] if after != BEGINNING else await _groups(snapshot, source, params)
    page = {"after_position": after.position, "after_ordinal": after.ordinal, "limit": question.limit + 1}
    rows_of_page = await snapshot.select(ENTRIES.replace("{source}", source), params | page)
    places = [Place(*row) for row in rows_of_page]
    rows = await CommandJournal(snapshot.rows).entries_at([place.ordinal for place in places[: question.limit]])
    today = await _today(snapshot.account, rows, peers) if question.today else {}
    items += [(Place(row.log_position, row.ordinal).key, _item(row, today.get(row.ordinal))) for row in rows]
    return Page(items, more=len(places) > question.limit)


def _thing_of(question: Refusals) -> Thing | None:
    if question.address is not None:
        return Thing("address", canonical_or_refused("address", question.address).address)
    return None if question.given_by is None else Thing("actor", question.given_by)


def _parameters(question: Refusals, range_: LogRange, thing: Thing | None) -> dict[str, Any]:
    return {
        **range_.parameters,
        "reason": question.reason,
        "command": question.command,
        "given_by": question.given_by,
        "kind": thing and thing.kind,
        "name": thing and thing.name,
    }


async def _groups(
    snapshot: Snapshot, source: LiteralString, params: Mapping[str, Any]
) -> list[tuple[str, dict[str, Any]]]:
    rows = await snapshot.select(GROUPS.replace("{source}", source), params)
    groups = [
        RefusalGroup(reason=reason, command=command, count=count, first=clock.written(first), last=clock.written(last))
        for reason, command, count, first, last in rows
    ]
    # Where a page ends among the groups, the next one has all of them again.
    return [("", RefusalItem(group=group, entry=None, today=None).model_dump(mode="json")) for group in groups]


def _item(row: JournalRow, today: Today | None) -> dict[str, Any]:
    return RefusalItem(group=None, entry=entry_of_attempt(row), today=today).model_dump(mode="json")


# ---- what the same command would hear now


async def _today(account: str, rows: Sequence[JournalRow], peers: Peers) -> Mapping[int, Today]:
    """Return the outcome that each command would have now, by ordinal."""
    why_not = {row.ordinal: _why_not_tried(number, row) for number, row in enumerate(rows)}
    tried = [row for row in rows if why_not[row.ordinal] is None]
    replies = await peers.dry_runs(account, [(row.command, body_of(row) or {}) for row in tried])
    found = {row.ordinal: _of_reply(reply) for row, reply in zip(tried, replies, strict=True)}
    missing = {ordinal: _missing(why) for ordinal, why in why_not.items() if why is not None}
    return found | missing


def _why_not_tried(number: int, row: JournalRow) -> str | None:
    if row.body is None:
        return NO_BODY
    if row.command not in COMMANDS:
        return UNKNOWN_COMMAND
    return BEYOND if number >= MOST_DRY_RUNS else None


def _of_reply(reply: Mapping[str, Any]) -> Today:
    if "outcome" not in reply:
        return _missing(str(reply.get("error")))
    return Today(outcome=reply["outcome"], reason=reply.get("reason"), message=reply.get("message"), missing=None)


def _missing(why: str) -> Today:
    return Today(outcome=None, reason=None, message=None, missing=why)
