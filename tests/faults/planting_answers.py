"""Defects to plant in what questions were answered."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from tests.faults.answered import AsOf, told_by
from tests.faults.evidence import Evidence
from tests.faults.history import Answer, Question
from tests.faults.planting import defect
from tests.faults.planting_heard import DEFECTS

__all__ = ["DEFECTS"]


def some(found: Evidence, name: str) -> Question:
    return next(one for one in of_the_present(found) if one.name == name)


def of_the_present(found: Evidence) -> list[Question]:
    return [one for one in found.questions if one.asked.how == "reply" and one.as_of is None]


def with_answer(found: Evidence, one: Question, told: Mapping[str, Any]) -> Evidence:
    other = replace(one, asked=one.asked._replace(answer=Answer(orjson.dumps({**one.reply, **told}))))
    return replace(found, questions=[other if known is one else known for known in found.questions])


@defect("a view shows not yet what was written before", "answers as of before what was asked for")
def _(found: Evidence) -> Evidence:
    one = some(found, "Address")
    return with_answer(found, one, {"position": one.at_least - 1})


@defect("a view says that it has what is not there", "answers as of beyond the log")
def _(found: Evidence) -> Evidence:
    return with_answer(found, some(found, "Resolve"), {"position": found.log[-1].position + 1})


@defect("a view says a later position than its rows have", "answers unlike the log as of their position")
def _(found: Evidence) -> Evidence:
    """As when the position is read after the rows, and the address has changed meanwhile."""
    as_of, end = AsOf(found.log), found.log[-1].position
    shown = (one for one in of_the_present(found) if one.name == "Address")
    changed = next(one for one in shown if as_of.shown(one.account, one.address, end) != told_by(one))
    return with_answer(found, changed, {"position": end})


@defect("a history answers as of its end", "answers as of another position than asked")
def _(found: Evidence) -> Evidence:
    end = found.log[-1].position
    past = (one for one in found.questions if one.asked.how == "reply" and one.as_of not in (None, end))
    return with_answer(found, next(past), {"position": end})


@defect("mail was led elsewhere for a moment", "answers unlike the log as of their position")
def _(found: Evidence) -> Evidence:
    one = some(found, "Resolve")
    (led,) = one.reply["result"]
    return with_answer(found, one, {"result": [{**led, "destination": "personal", "owner": "eve", "inbox": None}]})


@defect("a view does not know an account for a moment", "questions answered in no form of the contract")
def _(found: Evidence) -> Evidence:
    one = some(found, "Address")
    refused = Answer(b'{"error":"ACCOUNT_NOT_FOUND","message":"There is no account."}', (404, "ACCOUNT_NOT_FOUND"))
    other = replace(one, asked=one.asked._replace(answer=refused))
    return replace(found, questions=[other if known is one else known for known in found.questions])
