"""What is published in the repository is what the code says, and the command line tells when it is not."""

import re
from html.parser import HTMLParser
from pathlib import Path
from pkgutil import resolve_name
from unittest.mock import patch

import pytest
from typer.testing import CliRunner

from services.ops.cli import app
from services.ops.contract.command import PUBLISHED, differing, published, stale
from services.ops.contract.page import page
from services.ops.contract.schemas import messages
from shared.language.catalog import QUESTIONS
from shared.language.commands import COMMANDS
from shared.language.reasons import CODES
from tests.real_servers import ROOT

DONE, NOT_CURRENT = 0, 1


def contract(*words: str) -> tuple[int, str]:
    """Exit code and what was printed."""
    ran = CliRunner().invoke(app, ["contract", *words])
    return ran.exit_code, ran.output


def test_the_published_contract_is_what_the_code_says() -> None:
    wrong = differing(ROOT / PUBLISHED) | {str(path) for path in stale(ROOT / PUBLISHED)}
    assert not wrong, "run: switchboard contract write"


def test_writing_it_makes_it_current(folder: Path) -> None:
    assert contract("write", "--folder", str(folder))[0] == DONE
    assert contract("check", "--folder", str(folder)) == (DONE, f"{folder} matches the code.\n")
    assert len(list(folder.rglob("*.json"))) == len(published())


@pytest.mark.parametrize("name", ["asyncapi.json", "schemas/commands/Pause.json"])
def test_a_file_that_was_changed_is_named(name: str, folder: Path) -> None:
    contract("write", "--folder", str(folder))
    (folder / name).write_text((folder / name).read_text().replace("Pause", "Halt", 1))
    code, told = contract("check", "--folder", str(folder))
    assert code == NOT_CURRENT
    assert name in told
    assert "switchboard contract write" in told


def test_a_file_that_is_missing_or_left_over_is_named(folder: Path) -> None:
    contract("write", "--folder", str(folder))
    (folder / "schemas/commands/Pause.json").rename(folder / "schemas/commands/Halt.json")
    code, told = contract("check", "--folder", str(folder))
    assert code == NOT_CURRENT
    assert "Pause.json" in told
    assert "Halt.json" in told
    contract("write", "--folder", str(folder))
    assert contract("check", "--folder", str(folder))[0] == DONE
    assert not (folder / "schemas/commands/Halt.json").exists()


@pytest.mark.parametrize(
    ("table", "name", "told"),
    [
        ("services.ops.contract.meanings.FIELDS", "tool", "BindTool.tool has no description"),
        ("services.ops.contract.decisions.COMMAND_RULES", COMMANDS["BindTool"], "BindTool has no entry"),
        ("services.ops.contract.question_rules.QUESTION_RULES", QUESTIONS["Usage"], "Usage has no entry"),
    ],
)
def test_what_nobody_has_described_yet_is_told_with_the_place(
    table: str, name: object, told: str, folder: Path
) -> None:
    published.cache_clear()
    described = resolve_name(table)
    with patch.dict(described):  # it restores the order, too
        del described[name]
        for words in (("write", "--folder", str(folder)), ("check",), ("page", "--to", str(folder / "page.html"))):
            code, output = contract(*words)
            assert (code, told in output) == (NOT_CURRENT, True), output
    assert not list(folder.rglob("*.*"))


# ---- the page


class Read(HTMLParser):
    """What a page says of itself; fails where tags do not close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.attributes |= found.keys()
        self.ids += [value for value in [found.get("id")] if value]
        self.links += [value for value in [found.get("href")] if value]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def shown() -> Read:
    found = Read()
    found.feed(page())
    assert found.open == []
    return found


def test_the_page_has_a_place_for_every_message_and_reason(shown: Read) -> None:
    assert {f"{message.group}.{message.name}" for message in messages()} <= set(shown.ids) | {"answers.NotAnswered"}
    assert {f"reasons.{name}" for name in CODES} <= set(shown.ids)
    assert len(set(shown.ids)) == len(shown.ids)


def test_every_link_of_the_page_leads_to_a_place_on_it(shown: Read) -> None:
    assert {link.removeprefix("#") for link in shown.links} <= set(shown.ids)
    assert all(link.startswith("#") for link in shown.links)


def test_the_page_takes_nothing_from_elsewhere(shown: Read) -> None:
    assert not shown.attributes & {"src", "srcset", "onclick"}
    assert not re.search(r"url\(|@import|<script|<link", page())


def test_the_page_is_made_where_one_wants_it(folder: Path) -> None:
    code, told = contract("page", "--to", str(folder / "new" / "contract.html"))
    assert (code, told) == (DONE, f"Open {folder / 'new' / 'contract.html'}\n")
    assert "nats req switchboard.command.v1.acme.ConnectTeam" in (folder / "new" / "contract.html").read_text()
