"""A client of Switchboard: one typed call per command and question, refusals as values, events as they happen.

    async with connect("nats://127.0.0.1:4222") as switchboard:
        acme = switchboard.account("acme", actor="service:crm")
        match await acme.connect_team("support@acme.example", "inbox", visibility_acknowledged=True):
            case Refused() as refused:
                print(refused.message, [action.why for action in refused.next_actions])
            case Accepted() | Unchanged():
                print(require(await acme.address("support@acme.example")).result)
        async for event in switchboard.events(after=0):
            print(event.position, event.type)

A command keeps its id through every retry, so that it takes effect once. A question reflects every command that was
sent through the same account object.
"""

import logging

from shared.client.account import Account, iterate
from shared.client.calls import Calls
from shared.client.connection import Switchboard, connect
from shared.client.errors import (
    AuthenticationFailed,
    CommandRefused,
    ConnectionClosed,
    ConnectionFailed,
    InvalidReply,
    InvalidRequest,
    InvalidSettings,
    LogChanged,
    MessageTooLarge,
    PermissionDenied,
    QuestionFailed,
    ReplayIncomplete,
    RequestTimeout,
    SwitchboardError,
)
from shared.client.outcomes import Page, QueryResult, require
from shared.client.subscription import ReceivedEvent
from shared.language.answers import Accepted, NotAnswered, Refused, Reply, Unchanged
from shared.language.reasons import QuestionError, Reason

__all__ = [
    "Accepted",
    "Account",
    "AuthenticationFailed",
    "Calls",
    "CommandRefused",
    "ConnectionClosed",
    "ConnectionFailed",
    "InvalidReply",
    "InvalidRequest",
    "InvalidSettings",
    "LogChanged",
    "MessageTooLarge",
    "NotAnswered",
    "Page",
    "PermissionDenied",
    "QueryResult",
    "QuestionError",
    "QuestionFailed",
    "Reason",
    "ReceivedEvent",
    "Refused",
    "ReplayIncomplete",
    "Reply",
    "RequestTimeout",
    "Switchboard",
    "SwitchboardError",
    "Unchanged",
    "connect",
    "iterate",
    "require",
]

# Until the application configures logging, the client logs nothing.
logging.getLogger(__name__).addHandler(logging.NullHandler())
