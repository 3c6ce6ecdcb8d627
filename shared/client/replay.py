"""The events of a replay, from its first message to its last: each once, in order, and none missing or changed.

A replay is a range of the event log that an operator publishes again under a name. Every message has a running number
and a running digest, which are checked here, across lost connections.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping

from nats.aio.client import Client

from shared.client.errors import InvalidRequest, ReplayIncomplete
from shared.client.subscription import (
    PAUSE_SECONDS,
    READ_ERRORS,
    SUBJECTS_OF_READERS,
    ReceivedEvent,
    event_of,
    raise_if_final,
    read,
)
from shared.language import subjects
from shared.language.replays import NO_DIGEST, ReplayEnded, ReplayStarted, digest_after
from shared.language.subjects import Ce
from shared.wire.permissions import Permissions

log = logging.getLogger(__name__)


class ReadReplay:
    """The part of a replay that was read: `ended` is true behind its last message."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._id = ""
        self._count = 0
        self._digest = NO_DIGEST
        self.ended = False

    def add(self, headers: Mapping[str, str], body: bytes) -> None:
        """
        Raises:
            InvalidRequest: the first message is not that of a replay.
            ReplayIncomplete: something is missing or changed, or the replay was stopped.
        """
        if not self._id:
            if headers.get(Ce.TYPE) != ReplayStarted.stored_name():
                raise InvalidRequest(f"these are not all messages of the replay {self._name}: read it without account")
            self._id = headers.get(Ce.REPLAY_ID, "")
        elif headers.get(Ce.REPLAY_ID) != self._id:
            raise ReplayIncomplete(self._name, self._count, "it was removed, and another one has its name")
        elif headers.get(Ce.TYPE) == ReplayEnded.stored_name():
            self._end(json.loads(body))
        else:
            self._add_event(headers, body)

    def _add_event(self, headers: Mapping[str, str], body: bytes) -> None:
        self._count += 1
        self._digest = digest_after(self._digest, headers.get(Ce.ID, ""), headers.get(Ce.POSITION, ""), body)
        if headers.get(Ce.REPLAY_DIGEST) != self._digest:
            raise ReplayIncomplete(self._name, self._count - 1, "the next event is missing or was changed")

    def _end(self, ended: Mapping[str, object]) -> None:
        if (ended.get("count"), ended.get("digest")) != (self._count, self._digest):
            raise ReplayIncomplete(self._name, self._count, "the last events are missing")
        if not ended.get("complete"):
            raise ReplayIncomplete(self._name, self._count, "it was stopped")
        self.ended = True


async def replay(
    client: Client,
    name: str,
    account: str | None = None,
    consumer: str | None = None,
    permissions: Permissions | None = None,
) -> AsyncIterator[ReceivedEvent]:
    """Yield every event of a replay, and return behind its last message; wait for messages that are not there yet.

    Args:
        client: the connection to NATS.
        name: the name of the replay.
        account: the account of a replay that is of one account; None for one of all accounts.
        consumer: the name of the JetStream consumer, for a NATS user that may use only that one.
        permissions: the permissions of the connection; without them a denied subject is not noticed.

    Raises:
        ReplayIncomplete: something is missing or changed, or the replay was stopped.
        InvalidRequest: the replay is not one of this account.
        PermissionDenied: NATS does not let this user read it.
        ConnectionClosed: the client was closed.
    """
    permissions = permissions or Permissions()
    found, place = ReadReplay(name), 1
    while True:
        denials = permissions.count
        try:
            async for message in read(client, subjects.replay(name, account), place, consumer, subjects.REPLAY_STREAM):
                place = message.metadata.sequence.stream + 1
                found.add(message.headers or {}, message.data)
                if found.ended:
                    return
                if (event := event_of(message)) is not None:
                    yield event
        except READ_ERRORS as error:
            raise_if_final(client, permissions.since(denials, *SUBJECTS_OF_READERS), error)
            log.info("replay.again", extra={"replay": name, "error": type(error).__name__})
        await asyncio.sleep(PAUSE_SECONDS)
