"""Defects to plant in what a follower heard."""

from collections.abc import Callable
from dataclasses import replace

from tests.faults.evidence import Evidence
from tests.faults.heard import Heard
from tests.faults.planting import defect
from tests.faults.planting_views import DEFECTS

__all__ = ["DEFECTS"]


def with_heard(found: Evidence, change: Callable[[list[Heard]], None]) -> Evidence:
    messages = list(found.hearing.messages)
    change(messages)
    return replace(found, hearing=replace(found.hearing, messages=messages))


@defect("an event was told before it was stored, and was lost with its commit", "heard and never stored")
def _(found: Evidence) -> Evidence:
    last = found.hearing.messages[-1]
    lost = last._replace(position=last.position + 1, id="x")
    return with_heard(found, lambda messages: messages.append(lost))


@defect("an event was told otherwise than it stands now", "heard otherwise than stored")
def _(found: Evidence) -> Evidence:
    return with_heard(found, lambda messages: messages.append(messages.pop()._replace(digest="x")))


@defect("a lost stream was told again with other ids", "heard in two ways", "heard and never stored")
def _(found: Evidence) -> Evidence:
    again = [one._replace(reading=found.hearing.readings + 1, id=f"again-{one.id}") for one in found.hearing.messages]
    return with_heard(found, lambda messages: messages.extend(again))


@defect("an event came after the one that follows it", "heard out of order", "passed over in a reading")
def _(found: Evidence) -> Evidence:
    return with_heard(found, lambda messages: messages.insert(-2, messages.pop()))


@defect("the stream had a hole, and it was filled too late", "passed over in a reading", "acknowledged and not heard")
def _(found: Evidence) -> Evidence:
    return with_heard(found, lambda messages: messages.__delitem__(len(messages) // 2))


@defect("the stream stopped before its end", "acknowledged and not heard")
def _(found: Evidence) -> Evidence:
    return with_heard(found, lambda messages: messages.__delitem__(slice(-20, None)))
