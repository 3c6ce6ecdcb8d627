"""One account as one actor sees it: commands, questions, and answers that reflect the actor's own commands."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from shared.client.calls import Calls
from shared.client.errors import InvalidReply, InvalidRequest
from shared.client.outcomes import Page, QueryResult, require
from shared.client.retries import RetryingRequests, wait_seconds
from shared.language import subjects
from shared.language.answers import Accepted, AnyReply, NotAnswered, Reply, Unchanged
from shared.language.catalog import QUESTIONS, RESULTS
from shared.wire.ids import new_id

T = TypeVar("T")
REPLY: TypeAdapter[Reply] = TypeAdapter(AnyReply)


@dataclass
class LastPosition:
    """The position of the last effect seen on an account, shared by all who act on it together."""

    position: int = 0


class Account(Calls):
    """One account as one actor sees it; `Switchboard.account` makes one.

    A refusal is a value, not an exception; `require` turns it into one. Every call may raise the exceptions below.

    Attributes:
        name: the id of the account.
        actor: the id of a user, or `service:<name>`.

    Raises:
        RequestTimeout: no reply came in time. A command may have taken effect.
        InvalidRequest: the request cannot be sent; MessageTooLarge when it is larger than one message.
        PermissionDenied: NATS does not let this user send the request, or receive the reply.
        InvalidReply: this release cannot read the reply.
        ConnectionClosed: the client was closed.
    """

    def __init__(
        self, requests: RetryingRequests, name: str, actor: str, last_position: LastPosition | None = None
    ) -> None:
        self._requests = requests
        self._last = last_position or LastPosition()
        self.name = name
        self.actor = actor

    @property
    def position(self) -> int:
        """The position of the last effect seen here; every question reflects it, unless `at_least` is given.

        It counts the whole log. The events of one account may never reach it, as when a command changed nothing.
        """
        return self._last.position

    def acting_as(self, actor: str) -> "Account":
        """Return the same account as another actor sees it, with the same position."""
        return Account(self._requests, self.name, actor, self._last)

    async def send(self, command: str, fields: Mapping[str, Any]) -> Reply:
        """Send any command by its name.

        Args:
            command: the name of the command, such as `ConnectTeam`.
            fields: its fields, without the actor; None means absent.
        """
        body = to_json({"actor": self.actor, "command_id": new_id(), **without_none(fields)})
        reply = await self._requests.request(subjects.command(self.name, command), body)
        with decoding():
            outcome = REPLY.validate_python(reply)
        if isinstance(outcome, Accepted | Unchanged) and outcome.position:
            self._last.position = max(self._last.position, outcome.position)
        return outcome

    async def query(self, question: str, fields: Mapping[str, Any]) -> QueryResult[Any] | NotAnswered:
        """Ask any question that has one result, by its name.

        Args:
            question: the name of the question, such as `Address`.
            fields: its fields, without the actor; None means absent.
        """
        reply = await self.query_raw(question, fields)
        with decoding():
            if "error" in reply:
                return NotAnswered.model_validate(reply)
            result = adapter(question).validate_python(reply["result"])
            return QueryResult(reply["position"], result, reply.get("incomplete_since"))

    async def list(self, question: str, fields: Mapping[str, Any]) -> Page[Any] | NotAnswered:
        """Ask for one page of any question that has a list, by its name.

        Args:
            question: the name of the question, such as `Addresses`.
            fields: its fields, without the actor; None means absent.
        """
        reply = await self.query_raw(question, fields)
        with decoding():
            if "error" in reply:
                return NotAnswered.model_validate(reply)
            items = [adapter(question).validate_python(item) for item in reply["result"]]
            return Page(reply["position"], items, reply["next"], reply.get("incomplete_since"))

    async def query_raw(self, question: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Ask any question and return the answer as it is on the wire, an error too."""
        body = to_json({"actor": self.actor, "at_least": self.position, **without_none(fields)})
        return await self._requests.request(subjects.query(self.name, question), body, wait_seconds(body))


async def iterate(ask: Callable[..., Awaitable[Page[T] | NotAnswered]], /, **fields: Any) -> AsyncIterator[T]:
    """Yield all items of a list, page by page: `async for user in iterate(acme.users)`.

    Args:
        ask: a call of an account that returns pages.
        fields: the fields of the question.

    Raises:
        QuestionFailed: a page has no result.
    """
    after: str | None = None
    while True:
        page = require(await ask(**fields, after=after))
        for item in page.items:
            yield item
        if page.next is None:
            return
        after = page.next
        if fields.get("as_of") is not None:
            # A time near the end of the log may mean a later position by now.
            fields["as_of"] = page.position


def without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def to_json(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as values that JSON has.

    Raises:
        InvalidRequest: a time has no offset, so nobody knows which moment it is.
    """
    for name, value in fields.items():
        if isinstance(value, datetime) and value.utcoffset() is None:
            raise InvalidRequest(f"{name} is a time without an offset; give it a tzinfo, such as datetime.UTC")
    return {name: _to_json(value) for name, value in fields.items()}


def _to_json(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, set | frozenset):
        return sorted(value)
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


@cache
def adapter(question: str) -> TypeAdapter[Any]:
    """Reads a result of the question, or an item of its list."""
    return TypeAdapter(RESULTS[QUESTIONS[question]])


@contextmanager
def decoding() -> Iterator[None]:
    """Raise InvalidReply for a reply that does not have the expected fields."""
    try:
        yield
    except (ValidationError, KeyError, TypeError) as error:
        raise InvalidReply(f"this release cannot read the reply: {error}") from error
