"""One account as one caller sees it: gives commands, asks questions, and reads what it wrote."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter

from shared.client.asking import Asking, wait_of
from shared.client.calls import Calls
from shared.client.outcomes import Found, Page, required
from shared.language import subjects
from shared.language.answers import RESULTS, Accepted, AnyReply, NotAnswered, Reply, Unchanged
from shared.language.questions import QUESTIONS
from shared.process.clock import new_id

T = TypeVar("T")
REPLY: TypeAdapter[Reply] = TypeAdapter(AnyReply)


@dataclass
class Seen:
    """How far those have seen who act on one account together."""

    position: int = 0


class Account(Calls):
    """`actor` is who asks: a user's id, or `service:<name>`.

    Every call raises `Unanswered` when nobody answers in time, `Unsendable` (`TooLarge` is one) for what cannot be a
    message, `NotAllowed` where NATS keeps this user from it, and nothing else but what nats-py raises when the client
    is closed; what Switchboard refuses is a value.
    """

    def __init__(self, asking: Asking, name: str, actor: str, seen: "Seen | None" = None) -> None:
        self._asking = asking
        self._seen = seen or Seen()
        self.name = name
        self.actor = actor

    @property
    def position(self) -> int:
        """Of the last effect seen here; a question is as of it at least, unless it says otherwise.

        A place in the whole log: the events of one account may never come to it, as when a command changed nothing.
        """
        return self._seen.position

    def acting_as(self, actor: str) -> "Account":
        """The same account as somebody else sees it, with everything seen here."""
        return Account(self._asking, self.name, actor, self._seen)

    async def give(self, command: str, fields: Mapping[str, Any]) -> Reply:
        """Any command by its name; `fields` without the actor, None stands for absent."""
        body = written({"actor": self.actor, "command_id": new_id(), **present(fields)})
        reply = REPLY.validate_python(await self._asking.ask(subjects.command(self.name, command), body))
        if isinstance(reply, Accepted | Unchanged) and reply.position:
            self._seen.position = max(self._seen.position, reply.position)
        return reply

    async def find(self, question: str, fields: Mapping[str, Any]) -> Found[Any] | NotAnswered:
        """Any question that has one result, by its name; as of the last effect seen here unless `at_least` is given."""
        reply = await self.raw(question, fields)
        if "error" in reply:
            return NotAnswered.model_validate(reply)
        result = adapter(question).validate_python(reply["result"])
        return Found(reply["position"], result, reply.get("incomplete_since"))

    async def list(self, question: str, fields: Mapping[str, Any]) -> Page[Any] | NotAnswered:
        """A page of any question that has a list."""
        reply = await self.raw(question, fields)
        if "error" in reply:
            return NotAnswered.model_validate(reply)
        items = [adapter(question).validate_python(one) for one in reply["result"]]
        return Page(reply["position"], items, reply["next"], reply.get("incomplete_since"))

    async def raw(self, question: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to any question as it is on the wire, an error too."""
        body = written({"actor": self.actor, "at_least": self.position, **present(fields)})
        return await self._asking.ask(subjects.query(self.name, question), body, wait_of(body))


async def every(ask: Callable[..., Awaitable[Page[T] | NotAnswered]], /, **fields: Any) -> AsyncIterator[T]:
    """All items of a list, page by page: `async for user in every(acme.users)`.

    Raises:
        NotDone: a page was not answered.
    """
    after: str | None = None
    while True:
        page = required(await ask(**fields, after=after))
        for item in page.items:
            yield item
        if page.next is None:
            return
        after = page.next


def present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def written(fields: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON has it."""
    return {name: plain(value) for name, value in fields.items()}


def plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, set | frozenset):
        return sorted(value)
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


@cache
def adapter(question: str) -> TypeAdapter[Any]:
    """Reads a result, or an item of a list."""
    return TypeAdapter(RESULTS[QUESTIONS[question]])
