"""A log that a former release began is evidence from its first row on, as soon as its entries are numbered."""

from pathlib import Path

from services.connections.commands import PAGES
from services.connections.store.event_store import EventStore
from tests.audit.evidence.making import Evidence, following, leaves_of, require_no_contradiction, signed
from tests.audit.past import past_in
from tests.connections.former_store import FormerWriter, an_entry
from tests.transparency import naive_tree


async def test_events_and_entries_of_a_former_release_are_signed(database: str, folder: Path) -> None:
    former = FormerWriter(database)
    for second in range(10, 40):
        time = f"2026-11-25T09:00:{second}.000Z"
        former.append(an_entry("accepted", time, 2), an_entry("refused", time), an_entry("unchanged", time, 2))
    former.close()
    evidence = Evidence(folder)
    async with following(database, evidence):
        EventStore(database, PAGES).close()
        heads = await signed(database, evidence)
        assert {tree: head.size for tree, head in heads.items()} == {"events": 60, "journal": 90}
        with past_in(database) as later:
            later.begin("zenith")
        heads = await signed(database, evidence)
    for tree, leaves in (await leaves_of(database)).items():
        assert heads[tree].root == naive_tree.root(leaves)
    require_no_contradiction(evidence.published, evidence)
