"""Links between the documents lead somewhere, and the field's terms can be found."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.words.__main__ import ROOT
from tests.words.check import files

PAGES: Final = [path for path in files(ROOT) if path.suffix == ".md"]
LINK: Final = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)")
# A search for the term an expert knows leads to the page about it.
TERMS: Final = {
    "transactional outbox": "services/relay/README.md",
    "transactional-outbox relay": "shared/README.md",
    "idempotency key": "deploy/CONTRACT.md",
    "idempotency store": "services/connections/README.md",
    "optimistic concurrency": "deploy/CONTRACT.md",
    "group commit": "services/connections/README.md",
    "read your own writes": "deploy/CONTRACT.md",
    "backpressure": "deploy/CONTRACT.md",
    "read model": "services/inbox_views/README.md",
    "blue/green": "services/inbox_views/README.md",
    "dead letter": "deploy/RUNBOOK.md",
    "fencing token": "shared/README.md",
    "dynamic consistency boundar": "services/connections/DECISIONS.md",
    "bill of materials": "SECURITY.md",
}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """The headings of a page, as GitHub makes links of them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for name, heading in LINK.findall(page.read_text(encoding="utf-8")):
        target = page.parent / name if name else page
        assert target.exists(), name
        assert not heading or heading in anchors(target), (name, heading)


@pytest.mark.parametrize(("term", "page"), TERMS.items())
def test_the_terms_of_the_field_are_found_where_they_belong(term: str, page: str) -> None:
    text = " ".join((ROOT / page).read_text(encoding="utf-8").lower().replace("**", "").split())
    assert term in text


def test_the_documents_are_found() -> None:
    assert len(PAGES) > 15
