"""Whatever goes wrong under load: nothing acknowledged is lost, nothing is doubled, and everybody sees the same.

The quick tier of the fault suite, `make faults`: every nemesis strikes once while clients in processes of their own are
at work, and what is left of it all is judged.
"""

from pathlib import Path

import pytest

from tests.faults.campaign import Campaign, fight
from tests.faults.plan import QUICK

SEED = 1


@pytest.mark.parametrize("campaign", QUICK, ids=lambda campaign: campaign.name)
async def test_nothing_is_lost_doubled_or_seen_otherwise(campaign: Campaign, tmp_path: Path) -> None:
    fought = await fight(campaign, SEED, tmp_path)
    assert fought.missed == []
    assert {name: fought.verdict[name] for name, count in fought.differences.items() if count} == {}
    assert {struck.nemesis for struck in fought.struck} == {nemesis.name for nemesis in campaign.nemeses}
    assert fought.counts["commands"] > 0
    # On the way to PostgreSQL and to a view nothing is in the way of those who ask: the writer looks for what it lost.
    if campaign.setting != "behind proxies":
        assert sum(fought.counts[f"tries that ended in {how}"] for how in ("timeout", "bus error", "BUSY")) > 0
