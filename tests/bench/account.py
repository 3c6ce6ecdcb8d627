"""An account with one user to measure with, and the questions that tell when everything has followed."""

import json
import time
from typing import Any, NamedTuple

import nats
from nats.aio.client import Client

from shared.language import subjects
from shared.process.clock import new_id

OWNER = "owner1"
PATIENCE_SECONDS = 600.0
# One question to each service of views.
QUESTIONS: dict[str, dict[str, str]] = {"Usage": {}, "Routing": {"inbox": "inbox"}}


class UnexpectedReplyError(Exception):
    """An answer that no measure can go on with."""


class Account(NamedTuple):
    """An account on the Switchboard at `url`; its user `owner1` may connect addresses of his own."""

    url: str
    name: str

    @property
    def connecting(self) -> str:
        """The subject of the command that loads consist of."""
        return subjects.command(self.name, "ConnectPersonal")


async def ask(client: Client, subject: str, body: dict[str, Any]) -> dict[str, Any]:
    reply = await client.request(subject, json.dumps(body).encode(), timeout=30)
    return dict(json.loads(reply.data))


async def new_account(url: str) -> Account:
    """A fresh account on a plan without limits that a load would meet.

    Raises:
        UnexpectedReplyError: a command was not accepted.
    """
    account = Account(url, "load" + new_id()[-8:])
    owner = {"user": OWNER, "name": "Owner One", "permissions": ["personal_email_access"]}
    client = await nats.connect(url)
    try:
        await _accepted(
            client, account, "RegisterAccount", {"actor": "service:bench", "plan": "enterprise", "admin": "admin"}
        )
        await _accepted(client, account, "AddUser", {"actor": "admin", **owner})
    finally:
        await client.close()
    return account


async def until_viewed(account: Account) -> float:
    """Waits until both views show all that was committed when it was called; the seconds that took.

    Raises:
        UnexpectedReplyError: they do not within minutes.
    """
    client = await nats.connect(account.url)
    began = time.perf_counter()
    try:
        # A command that changes something marks the end of the log, by its position.
        mark = {"actor": "admin", "inbox": "inbox", "name": f"Inbox {new_id()}"}
        end = await _accepted(client, account, "RenameInbox", mark)
        for question, fields in QUESTIONS.items():
            body = {"actor": "admin", "at_least": end, "wait_ms": 5_000, **fields}
            await _answered(client, subjects.query(account.name, question), body)
    finally:
        await client.close()
    return time.perf_counter() - began


async def _accepted(client: Client, account: Account, command: str, body: dict[str, Any]) -> int:
    told = await ask(client, subjects.command(account.name, command), body)
    if told["outcome"] != "accepted":
        raise UnexpectedReplyError(f"{command}: {told}")
    return int(told["position"])


async def _answered(client: Client, subject: str, body: dict[str, Any]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while "error" in (told := await ask(client, subject, body)):
        if told["error"] != "VIEW_BEHIND" or time.monotonic() > end:
            raise UnexpectedReplyError(f"{subject}: {told}")
