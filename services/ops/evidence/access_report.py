"""The content of a report about access: the answers of the audit to some questions, about one period of an account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from services.ops.audit.access import merged
from services.ops.audit.request import Asker, default_actor, fetch
from shared import __version__
from shared.language import audit
from shared.process import clock

if TYPE_CHECKING:
    from shared.client import Switchboard

FORMAT: Final = "switchboard-access-report/1"
# Access to a team's address follows from the inbox; so these rules are shown at addresses, and all others at inboxes.
AT_ADDRESSES: Final = {"owner", "alias"}

Item = Mapping[str, Any]


@dataclass(frozen=True)
class Period:
    """The first and the last moment of a report, as they are typed: positions, or times with their offset."""

    from_: int | str | None
    to: int | str | None

    @property
    def fields(self) -> dict[str, Any]:
        return {"from": self.from_, "to": self.to}


async def access_report(switchboard: "Switchboard", asker: Asker, period: Period) -> dict[str, Any]:
    """Ask everything, and return the report as JSON has it.

    Raises:
        typer.Exit: a question was refused, or there is no answer; the reason is printed.
    """
    coverage = (await fetch(switchboard, asker, audit.Coverage, {}))["result"]
    # Without an end it is the log as it is now, for all questions.
    period = Period(period.from_, coverage["log"]["position"] if period.to is None else period.to)
    population = (await fetch(switchboard, asker, audit.Changes, {"to": period.to}))["result"]
    leavers = (await fetch(switchboard, asker, audit.Leavers, period.fields))["result"]
    refusals = (await fetch(switchboard, asker, audit.Refusals, period.fields))["result"]
    users = {one["name"] for one in population if one["aggregate"] == "user"} | {one["user"] for one in leavers}
    intervals: list[Item] = []
    for user in sorted(users):
        intervals += _at_their_place(
            (await fetch(switchboard, asker, audit.AccessOf, {"user": user, **period.fields}))["result"]
        )
    return {
        "report": FORMAT,
        "account": asker.account,
        **period.fields,
        "made": {"by": asker.actor or default_actor(), "at": clock.now(), "with": f"switchboard {__version__}"},
        "log": coverage["log"],
        "unprotected": {name: coverage[name] for name in ("proof", "clocks", "dead_letters")},
        "population": [_as_of_the_end(one) for one in population if one["change"] == "added"],
        "access": [one for one in intervals if one["to"] is None or one["goes_on_after"]],
        "grants": [one for one in intervals if not one["began_before"]],
        "ends": [one for one in intervals if one["to"] is not None and not one["goes_on_after"]],
        "leavers": leavers,
        "refusals": {
            "groups": [one["group"] for one in refusals if one["group"]],
            "attempts": [one["entry"] for one in refusals if one["entry"]],
        },
    }


def last_position(report: Mapping[str, Any]) -> int:
    """Return the position of the last event that a report names; 0 without any."""
    edges = [one[end] for name in ("access", "grants", "ends") for one in report[name] for end in ("from", "to")]
    edges += [one[end] for one in report["leavers"] for end in ("left", "removed", "last_access")]
    positions: list[int] = [edge["position"] for edge in edges if edge] + [
        one["position"] for one in report["refusals"]["attempts"]
    ]
    last = report["to"] if isinstance(report["to"], int) else report["log"]["position"]
    return max([0, *(one for one in positions if one <= last)])


def _at_their_place(intervals: Sequence[Item]) -> list[Item]:
    """Leave out access to addresses that follows from an inbox, and join what differs in its kind only."""
    return merged([one for one in intervals if one["address"] is None or one["rule"] in AT_ADDRESSES])


def _as_of_the_end(one: Item) -> dict[str, Any]:
    """Return something that is there at the end of the period, with the values of its fields then."""
    values = {field["field"]: field["after"] for field in one["fields"]}
    return {"aggregate": one["aggregate"], "name": one["name"], "fields": values}
