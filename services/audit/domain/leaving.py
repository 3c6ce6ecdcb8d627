"""The people who left: deactivated, mostly removed later, and perhaps back in between."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from services.audit.domain.facts import Life, UserFacts, UserFields
from services.audit.domain.spans import Span, Version


@dataclass(frozen=True)
class Leaving:
    """A person was active until the event at `left`; `removed` is the position of the removal that followed.

    `returned` are the spans after it in which the same person was active again.
    """

    user: UserFacts
    life: Life
    left: int
    removed: int | None
    returned: tuple[Span, ...]

    @property
    def last_active(self) -> int | None:
        """The position at which the person was active for the last time; None while they are."""
        return self.returned[-1].end if self.returned else self.left

    def has(self, start: int) -> bool:
        """Return whether access that began at a position is this person's, not that of another with the id."""
        return self.user.life_at(start) == self.life


def leavings(user: UserFacts, versions: Sequence[Version[UserFields]], first: int, last: int) -> list[Leaving]:
    """Return the first time that each person with this id left or was removed by an event from `first` to `last`."""
    found: dict[Life, Leaving] = {}
    removals = [after.position for before, after in pairwise(versions) if _removes(before.row, after.row)]
    for active, following in zip(user.active, (*user.active[1:], None), strict=True):
        life = user.life_at(active.start)
        if active.end is None or life in found:
            continue
        back = following.start if following is not None and user.life_at(following.start) == life else None
        removed = next((one for one in removals if one > active.end and (back is None or one < back)), None)
        if any(at is not None and first <= at <= last for at in (active.end, removed)):
            returned = tuple(one for one in user.active if one.start > active.end and user.life_at(one.start) == life)
            found[life] = Leaving(user, life, active.end, removed, returned)
    return list(found.values())


def _removes(before: UserFields, after: UserFields) -> bool:
    return before["status"] != "removed" and after["status"] == "removed"
