"""The same journeys by the typed client: what it makes of every reply and answer says what the wire says.

The wire stays the witness: the tables are the ones of the other pages, which share no code with the client.
"""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic_core import to_jsonable_python

from shared.client import Accepted, NotAnswered, Page, QueryResult, Refused, Switchboard, Unchanged, connect
from shared.client import Account as Typed
from tests.journeys import test_article, test_beyond_peers, test_complaints
from tests.journeys.steps import Case
from tests.journeys.wire import TRUSTED, Account, Reply
from tests.real_servers import RunningSwitchboard

CASES = (*test_article.CASES, *test_complaints.CASES, *test_beyond_peers.CASES)


class OfClient(Reply):
    """`body` is what the client understood, as JSON."""

    def typed(self) -> bool:
        """The client said what it is, or it would have raised."""
        return True


class ByClient(Account):
    """An account that was furnished over the wire, and is worked with by the client from then on."""

    def __init__(self, furnished: Account, switchboard: Switchboard) -> None:
        super().__init__(furnished.wire, furnished.name)
        self._account = switchboard.account(furnished.name, TRUSTED)
        self._furnished = furnished.position

    def _as(self, actor: str | None) -> Typed:
        assert actor is not None
        return self._account.acting_as(actor)

    async def attempt(self, command: str, actor: str | None = TRUSTED, /, **fields: Any) -> Reply:
        reply = await getattr(self._as(actor), call_of(command))(**fields)
        assert isinstance(reply, Accepted | Unchanged | Refused), reply
        return OfClient(to_jsonable_python(reply), None, b"")

    async def ask(self, question: str, actor: str | None = TRUSTED, /, **fields: Any) -> Reply:
        caller = self._as(actor)
        asked = {"at_least": max(caller.position, self._furnished), "wait_ms": 10_000} | fields
        answer = await getattr(caller, call_of(question))(**asked)
        match answer:
            case QueryResult(position=position, result=result):
                return OfClient({"position": position, "result": to_jsonable_python(result)}, None, b"")
            case Page(position=position, items=items, next=following):
                told = {"position": position, "result": to_jsonable_python(items), "next": following}
                return OfClient(told, None, b"")
        assert isinstance(answer, NotAnswered), answer
        return OfClient(to_jsonable_python(answer), None, b"")


def call_of(message: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", message).lower()


@pytest.fixture
async def by_client(account: Account, running: RunningSwitchboard) -> AsyncIterator[ByClient]:
    async with connect(running.nats_url) as switchboard:
        yield ByClient(account, switchboard)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_the_journey_is_the_same_by_the_client(case: Case, by_client: ByClient) -> None:
    await case.happen(by_client)
