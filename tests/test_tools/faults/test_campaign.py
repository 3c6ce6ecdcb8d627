"""A campaign that cannot be fought to its end costs no other its verdict, and leaves nothing running."""

from pathlib import Path
from typing import Any

import pytest

from tests.faults import ledger
from tests.faults.campaign import Campaign, Fought, fight, missed
from tests.faults.scene import SETTINGS
from tests.real_servers import RunningSwitchboard, new_folder


async def test_what_keeps_a_campaign_from_its_end_is_a_failure_of_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_chance: Any) -> Any:
        raise OSError("nothing starts here")

    monkeypatch.setitem(SETTINGS, "on its own", broken)
    fought = await fight(Campaign("broken", (), 0), 1, tmp_path)
    assert ledger.failures([fought], goals=False) == ["broken: the campaign: OSError: nothing starts here"]


def test_a_failure_is_told_with_the_one_that_it_came_from() -> None:
    fought = Fought("told", "on its own", 1)
    try:
        try:
            raise AssertionError("it did not start")
        finally:
            raise ConnectionResetError("Connection lost")
    except ConnectionResetError as error:
        missed(fought, "a nemesis", error)
    (told,) = fought.missed
    assert told == "a nemesis: ConnectionResetError: Connection lost\n    after AssertionError: it did not start"


def test_what_was_closed_starts_no_more() -> None:
    with new_folder() as folder:
        running = RunningSwitchboard(folder)
        running.close()
        with pytest.raises(RuntimeError, match="closed"):
            running.launch()
