"""Whatever goes wrong under load: nothing acknowledged is lost, nothing is doubled, and everybody sees the same.

In the quick tier every nemesis strikes once while clients in processes of their own are at work, and the checker judges
the result. Each campaign has a file of its own, so that they run at the same time.
"""

from pathlib import Path

from tests.faults.campaign import Campaign, fight

SEED = 1


async def nothing_is_lost(campaign: Campaign, folder: Path) -> None:
    fought = await fight(campaign, SEED, folder)
    assert fought.missed == []
    assert {name: fought.verdict[name] for name, count in fought.differences.items() if count} == {}
    assert {struck.nemesis for struck in fought.struck} == {nemesis.name for nemesis in campaign.nemeses}
    assert fought.counts["commands"] > 0
    # On the way to PostgreSQL and to a view nothing is in the way of those who ask: the writer looks for what it lost.
    if campaign.setting != "behind proxies":
        assert sum(fought.counts[f"tries that ended in {how}"] for how in ("timeout", "bus error", "BUSY")) > 0
