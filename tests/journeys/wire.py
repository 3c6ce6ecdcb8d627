"""Speaks with Switchboard as another team's tool would: commands, questions and facts over NATS, and nothing else.

Every subject and header is spelled here anew, from the public contract and not from the code under test.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import nats
import nats.errors
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError, ServiceUnavailableError

TRUSTED = "service:journeys"
AUDITOR = "service:audit.journeys"
ANSWER_SECONDS = 15.0
EVENTS = "switchboard.event.v1.>"
STREAM = "SWITCHBOARD_EVENTS"


@dataclass(frozen=True)
class Reply:
    """The reply to a command or a question; `error` is (code, name) of the micro headers, None when it bears none."""

    body: dict[str, Any]
    error: tuple[int, str] | None
    raw: bytes

    @property
    def outcome(self) -> str | None:
        return self.body.get("outcome")

    @property
    def reason(self) -> str | None:
        """Why a command was refused or a question not answered."""
        return self.body.get("reason") or self.body.get("error")

    @property
    def position(self) -> int:
        position: int = self.body["position"]
        return position

    @property
    def result(self) -> Any:
        assert "result" in self.body, self.body
        return self.body["result"]

    @property
    def types(self) -> list[str]:
        """The types of the events of an accepted command."""
        return [event["type"] for event in self.body["events"]]

    def typed(self) -> bool:
        """Whether it is one of the forms that the contract knows, with the headers that belong to it."""
        match self.body:
            case {"outcome": "accepted" | "unchanged"} | {"position": int(), "result": _}:
                return self.error is None
            case {"outcome": "refused", "reason": name, "message": str()} | {"error": name, "message": str()}:
                return self.error is not None and self.error[1] == name and 400 <= self.error[0] < 600
        return False


@dataclass(frozen=True)
class Fact:
    """One message of the event stream."""

    subject: str
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def name(self) -> str:
        return self.subject.rsplit(".", 1)[1]

    @property
    def position(self) -> int:
        return int(self.headers["ce-position"])


class Wire:
    """One connection to the bus."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def ask(
        self,
        subject: str,
        data: bytes,
        headers: Mapping[str, str] | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> Reply:
        """Raises `nats.errors.TimeoutError` or `NoRespondersError` when nobody answers."""
        message = await self.client.request(subject, data, timeout=seconds, headers=dict(headers) if headers else None)
        told = message.headers or {}
        code = told.get("Nats-Service-Error-Code")
        error = (int(code), told["Nats-Service-Error"]) if code is not None else None
        return Reply(json.loads(message.data.decode("utf-8")), error, message.data)

    async def command(self, account: str, name: str, actor: str | None = TRUSTED, /, **fields: Any) -> Reply:
        return await self.ask(command_subject(account, name), body(actor, fields))

    async def question(self, account: str, name: str, actor: str | None = TRUSTED, /, **fields: Any) -> Reply:
        return await self.ask(question_subject(account, name), body(actor, fields))

    async def audited(self, account: str, position: int, seconds: float = 60.0) -> None:
        """Returns when the audit, which follows the log on its own and rests meanwhile, answers as of a position."""
        asked = {"at_least": position, "wait_ms": 10_000}
        async with asyncio.timeout(seconds):
            while (told := await self.question(account, "Coverage", AUDITOR, **asked)).error:
                assert told.reason in {"BUSY", "VIEW_BEHIND"}, told.body
                await asyncio.sleep(0.05)

    async def flood(self, requests: Iterable[tuple[str, bytes]], in_flight: int = 256) -> list[Reply]:
        """The replies in the order of the requests, of which so many are under way at any time.

        Raises:
            AssertionError: a request was not answered; says which.
        """
        waiting = list(enumerate(requests))
        waiting.reverse()
        replies: dict[int, Reply] = {}
        unanswered: list[str] = []

        async def work() -> None:
            while waiting and len(unanswered) < in_flight:
                number, (subject, data) = waiting.pop()
                try:
                    replies[number] = await self.ask(subject, data)
                except nats.errors.Error as error:
                    unanswered.append(f"{error!r} for {subject!r} {data[:300]!r}")

        async with asyncio.TaskGroup() as tasks:
            for _ in range(in_flight):
                tasks.create_task(work())
        assert not unanswered, f"{len(unanswered)} requests were not answered, such as {unanswered[:3]}"
        return [replies[number] for number in range(len(replies))]

    async def facts(self, until: int, subject: str = EVENTS, seconds: float = 60.0) -> list[Fact]:
        """Everything on the stream under that subject, up to the position `until`, which must come in time."""
        found: list[Fact] = []
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.ALL, ack_policy=AckPolicy.NONE, inactive_threshold=30.0, mem_storage=True
        )
        try:
            async with asyncio.timeout(seconds):
                while not await self._read(subject, config, until, found):
                    found.clear()
        except TimeoutError as error:
            ends = found[-1].position if found else None
            raise AssertionError(f"in {seconds:g} s {subject} came up to position {ends}, not {until}") from error
        return found

    async def _read(self, subject: str, config: ConsumerConfig, until: int, found: list[Fact]) -> bool:
        """Whether all of it was read: on a cluster that has just lost a node the reader may be lost as well."""
        await self.stream_is_there()
        subscription = await self.client.jetstream().pull_subscribe(subject, stream=STREAM, config=config)
        try:
            while not found or found[-1].position < until:
                try:
                    messages = await subscription.fetch(512, timeout=0.5)
                except nats.errors.TimeoutError:
                    continue
                except ServiceUnavailableError:
                    return False
                found += [Fact(m.subject, m.headers or {}, json.loads(m.data)) for m in messages]
        finally:
            await subscription.unsubscribe()
        return True

    async def stream_is_there(self) -> None:
        """Returns when there is a stream: one that was lost is made anew by Switchboard."""
        while True:
            try:
                await self.client.jetstream().stream_info(STREAM)
            except (NotFoundError, ServiceUnavailableError, nats.errors.NoRespondersError):
                await asyncio.sleep(0.05)
            else:
                return


@asynccontextmanager
async def connected(url: str | list[str], **options: Any) -> AsyncIterator[Wire]:
    client = await nats.connect(url, name="journeys", **options)
    try:
        yield Wire(client)
    finally:
        await client.close()


class Account:
    """One account as its callers know it: what is asked is answered as of everything that was done before."""

    def __init__(self, wire: Wire, name: str) -> None:
        self.wire = wire
        self.name = name
        self.position = 0

    async def attempt(self, command: str, actor: str | None = TRUSTED, /, **fields: Any) -> Reply:
        """Gives a command, whatever comes of it."""
        reply = await self.wire.command(self.name, command, actor, **fields)
        self.position = max(self.position, reply.body.get("position", 0))
        return reply

    async def do(self, command: str, actor: str | None = TRUSTED, /, **fields: Any) -> Reply:
        """Gives a command that must be accepted."""
        reply = await self.attempt(command, actor, **fields)
        assert reply.outcome == "accepted", reply.body
        return reply

    async def ask(self, question: str, actor: str | None = TRUSTED, /, **fields: Any) -> Reply:
        return await self.wire.question(
            self.name, question, actor, **{"at_least": self.position, "wait_ms": 10_000} | fields
        )

    async def see(self, question: str, actor: str | None = TRUSTED, /, **fields: Any) -> Any:
        """The result of a question that must be answered."""
        reply = await self.ask(question, actor, **fields)
        assert reply.error is None, reply.body
        return reply.result

    async def pages(self, question: str, actor: str | None = TRUSTED, /, **fields: Any) -> list[Any]:
        """A whole list, page by page."""
        found: list[Any] = []
        after: str | None = None
        while True:
            reply = await self.ask(question, actor, after=after, **fields)
            found += reply.result
            after = reply.body["next"]
            if after is None:
                return found

    async def facts(self, until: int | None = None) -> list[Fact]:
        """The account's facts, up to its last one known here (or `until`)."""
        subject = f"switchboard.event.v1.{self.name}.>"
        return await self.wire.facts(self.position if until is None else until, subject)


def body(actor: str | None, fields: Mapping[str, Any]) -> bytes:
    return json.dumps({"actor": actor, **fields}).encode()


def command_subject(account: str, name: str) -> str:
    return f"switchboard.command.v1.{account}.{name}"


def question_subject(account: str, name: str) -> str:
    return f"switchboard.query.v1.{account}.{name}"


def differences(expected: Any, got: Any, at: str = "") -> list[str]:
    """What is not as expected: of a dict the keys named, of a list every element; a callable decides itself."""
    if callable(expected):
        return [] if expected(got) else [f"{at or 'it'}: {got!r}"]
    if isinstance(expected, dict) and isinstance(got, dict):
        missing = [f"{at}.{key} is missing in {got!r}" for key in expected if key not in got]
        return missing + [
            found for key in expected if key in got for found in differences(expected[key], got[key], f"{at}.{key}")
        ]
    if isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            return [f"{at or 'it'}: {len(got)} instead of {len(expected)} elements: {got!r}"]
        pairs = zip(expected, got, strict=True)
        return [found for n, (want, have) in enumerate(pairs) for found in differences(want, have, f"{at}[{n}]")]
    return [] if expected == got and type(expected) is type(got) else [f"{at or 'it'}: {got!r} instead of {expected!r}"]


class Some:
    """A list with at least one element like this."""

    def __init__(self, *expected: Any) -> None:
        self._expected = expected

    def __call__(self, got: Any) -> bool:
        return isinstance(got, list) and all(
            any(not differences(wanted, element) for element in got) for wanted in self._expected
        )


class Without:
    """Nowhere in it stands any of these texts."""

    def __init__(self, *texts: str) -> None:
        self._texts = texts

    def __call__(self, got: Any) -> bool:
        told = json.dumps(got, ensure_ascii=False)
        return not any(text in told for text in self._texts)


class Unordered:
    """A list with exactly these elements, in whatever order."""

    def __init__(self, expected: Sequence[Any]) -> None:
        self._expected = expected

    def __call__(self, got: Any) -> bool:
        return isinstance(got, list) and len(got) == len(self._expected) and Some(*self._expected)(got)


def is_time(value: Any) -> bool:
    """Whether it is a time of RFC 3339 in UTC."""
    return isinstance(value, str) and len(value) >= 20 and value[10] == "T" and value.endswith("Z")
