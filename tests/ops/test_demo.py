"""The demo tells its story against whatever Switchboard is there, and its picture is of what it tells."""

import re

from services.ops import demo
from shared.process.clock import new_id
from tests import command_line
from tests.ops.picture import FILE
from tests.real_servers import RunningSwitchboard


async def played(url: str, *words: str) -> tuple[int, str]:
    environment = {"COLUMNS": "120", "SWITCHBOARD_NATS_URL": url}
    ended = await command_line.run("demo", *words, environment=environment, merged=True)
    return ended.code, ended.output


async def test_the_story_is_told_as_often_as_one_likes(running: RunningSwitchboard) -> None:
    for _ in range(2):
        code, output = await played(running.nats_url)
        assert code == 0, output
    for told in ("ADDRESS_ALREADY_PERSONAL", "ADDRESS_ORPHANED", "AddressReclaimed", "TeamAddressMoved", "Unchanged"):
        assert told in output
    assert re.search(r"support@acme\.example +connected +team +- +help +healthy", output)


async def test_a_story_that_cannot_be_told_says_where_it_went_otherwise(running: RunningSwitchboard) -> None:
    name = f"demo-{new_id()[-8:]}"
    assert (await played(running.nats_url, "--account", name))[0] == 0
    code, output = await played(running.nats_url, "--account", name)
    assert code == 1
    assert "ACCOUNT_EXISTS" in output
    assert "The demo failed" in output


def test_the_picture_shows_the_chapters_and_fetches_nothing() -> None:
    svg = FILE.read_text().replace("&#160;", " ")
    assert "ADDRESS_ALREADY_PERSONAL" in svg
    assert "users_and_teams" in svg
    assert not re.search(r"(?:url\(|href=|src:)\s*['\"]?https?:", svg)
    assert demo.CHAPTERS[1:4] == (demo.clash, demo.routing, demo.leaving)
