"""A client of Switchboard for other services: one call per command and question, refusals as values, typed results.

    async with connected("nats://127.0.0.1:4222") as switchboard:
        acme = switchboard.account("acme", actor="service:crm")
        match await acme.connect_team("support@acme.example", "inbox", visibility_acknowledged=True):
            case Refused() as refused:
                print(refused.message, [action.why for action in refused.next_actions])
            case Accepted() | Unchanged():
                print(required(await acme.address("support@acme.example")).result)
        async for told in switchboard.events(after=0):
            print(told.position, told.type)

A command keeps its id through every retry, so that it takes effect once however often it was sent. What an account
object is asked is as of everything that was done through it.
"""

from shared.client.account import Account, every
from shared.client.asking import Unanswered
from shared.client.calls import Calls
from shared.client.connection import NotLetIn, Switchboard, Unreachable, connected
from shared.client.outcomes import Found, NotDone, Page, required
from shared.client.requests import TooLarge, Unsendable
from shared.client.watching import LogChanged, Told
from shared.language.answers import Accepted, NotAnswered, Refused, Reply, Unchanged
from shared.language.reasons import QuestionError, Reason
from shared.messaging.permissions import NotAllowed

__all__ = [
    "Accepted",
    "Account",
    "Calls",
    "Found",
    "LogChanged",
    "NotAllowed",
    "NotAnswered",
    "NotDone",
    "NotLetIn",
    "Page",
    "QuestionError",
    "Reason",
    "Refused",
    "Reply",
    "Switchboard",
    "Told",
    "TooLarge",
    "Unanswered",
    "Unchanged",
    "Unreachable",
    "Unsendable",
    "connected",
    "every",
    "required",
]
