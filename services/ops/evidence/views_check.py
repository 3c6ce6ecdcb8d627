"""Comparison of live rows and histories with the log: each view is rebuilt beside them, compared, and dropped again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.ops.views.process import VIEWS, outcome_of

# The audit has a history only.
WITHOUT_LIVE_ROWS: Final = ("audit",)

OnStep = Callable[[str, int, int], None]


@dataclass(frozen=True)
class RowsReport:
    """Rows of a view, live or its history.

    Args:
        tables: by table its rows, and how many of them were added, removed and changed, as `views compare` says.
        not_read: why they were not compared; None where they were.
    """

    view: str
    history: bool
    position: int = 0
    same: bool = True
    tables: Mapping[str, Mapping[str, Any]] | None = None
    not_read: str | None = None

    @property
    def title(self) -> str:
        return f"{self.view}, history" if self.history else self.view

    @property
    def rows(self) -> int:
        return sum(table["rows"] for table in (self.tables or {}).values())

    def to_json(self) -> dict[str, Any]:
        names = ("view", "history", "position", "same", "rows", "tables", "not_read")
        return {name: getattr(self, name) for name in names}


def check_views(postgres_url: str, on_step: OnStep) -> list[RowsReport]:
    """Compare the rows of all views and histories with those that the log makes."""
    found = []
    for view in VIEWS:
        status = outcome_of(view, "show", {}, postgres_url, None)
        which = (True,) if view in WITHOUT_LIVE_ROWS else (False, True)
        found += [_check(view, history, status, postgres_url, on_step) for history in which]
    return found


def _check(view: str, history: bool, status: Mapping[str, Any], url: str, on_step: OnStep) -> RowsReport:
    why = _why_not(status, history)
    if why is not None:
        return RowsReport(view, history, not_read=why)
    title = RowsReport(view, history).title

    def step(one: Mapping[str, Any]) -> None:
        on_step(title, one["position"], one["end"])

    arguments = {"history": history}
    rebuilt = outcome_of(view, "rebuild", arguments, url, step)
    if "done" not in rebuilt:
        return RowsReport(view, history, not_read=_reason(rebuilt))
    try:
        compared = outcome_of(view, "compare", arguments, url, step)
    finally:
        outcome_of(view, "drop", arguments, url, None)
    if "done" not in compared:
        return RowsReport(view, history, not_read=_reason(compared))
    done = compared["done"]
    return RowsReport(view, history, done["position"], done["same"], done["tables"])


def _why_not(status: Mapping[str, Any], history: bool) -> str | None:
    """Return why the rows must not be rebuilt: there are others beside them, which would be dropped."""
    if "done" not in status:
        return _reason(status)
    rows = status["done"]
    if history and not rows["temporal"]:
        rows = rows.get("history")
    if rows is None:
        return "there are no rows yet"
    if rows["beside"]:
        return "there are other rows beside them: drop these first (`switchboard views drop`)"
    return None


def _reason(outcome: Mapping[str, Any]) -> str:
    return str(next(iter(outcome.values())))
