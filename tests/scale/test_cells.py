"""Several Switchboards behind one NATS are one to their callers: each account lives in one of them, whole."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.faults.verdict import stored_events
from tests.journeys.wire import Account, connected
from tests.real_servers import ROOT, RunningNats, RunningPostgres, new_folder
from tests.scale.fleet import Fleet, fleet

CELLS = 3
ACCOUNTS = 12


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningNats]:
    """As configured in deploy/; who does not say who he is is of the first cell."""
    for user in ("CALLERS", *(f"CELL{number}" for number in range(CELLS))):
        monkeypatch.setenv(f"SWITCHBOARD_{user}_PASSWORD", "secret")
    with new_folder() as folder:
        server = RunningNats(folder, (ROOT / "deploy/nats/cells.conf").read_text() + "no_auth_user: cell0\n")
        yield server
        server.kill()


def url_of(bus: RunningNats, user: str) -> str:
    return bus.url.replace("nats://", f"nats://{user}:secret@")


@pytest.fixture
def cells(bus: RunningNats, postgres: RunningPostgres) -> Iterator[list[Fleet]]:
    """A writer each, that serves partitions; the last one answers questions, too."""
    with ExitStack() as stack:
        made = [
            stack.enter_context(
                fleet(url_of(bus, f"cell{n}"), postgres.new_database(), {"SWITCHBOARD_SPREAD_ACCOUNTS": "true"})
            )
            for n in range(CELLS)
        ]
        begun = [cell.begin("connections") for cell in made]
        begun += [made[-1].begin(service) for service in ("relay", "inbox-views")]
        for member in begun:
            member.wait_until_ready()
        yield made


async def test_callers_see_one_switchboard_and_each_account_is_in_one_cell(
    bus: RunningNats, cells: list[Fleet]
) -> None:
    async with connected(url_of(bus, "callers")) as wire:
        accounts = [Account(wire, f"company-{number}") for number in range(ACCOUNTS)]
        for account in accounts:
            await account.do("RegisterAccount", plan="starter", admin="ana")
            fields = {"address": "support@acme.example", "inbox": "inbox", "visibility_acknowledged": True}
            await account.do("ConnectTeam", "ana", **fields)
        kept = [stored_events(cell.postgres_url) for cell in cells]
        homes = [{event.account for event in events} for events in kept]
        for account in accounts:
            if account.name in homes[-1]:
                assert (await account.see("Address", address="support@acme.example"))["state"] == "connected"
    print("\naccounts in each cell:", *map(sorted, homes))
    assert sorted(name for home in homes for name in home) == sorted(account.name for account in accounts)
    assert all(homes)
    assert [[event.position for event in events] for events in kept] == [
        list(range(1, len(events) + 1)) for events in kept
    ]
