"""One request to a running Switchboard, and its answer; for tools, not for services."""

import json
from collections.abc import Mapping
from typing import Any

import nats
import orjson
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from shared.runtime.settings import Settings, servers_of


class NoAnswer(Exception):
    """Nobody answered; the message says why and what to do."""


async def ask(url: str, subject: str, body: Mapping[str, Any], seconds: float) -> Any:
    """The reply's JSON.

    Raises:
        NoAnswer: NATS cannot be reached, no service listens, or none answered within `seconds`.
    """

    async def silent(_error: Exception) -> None:
        """The failure that counts is raised; nats-py would also write it to the log."""

    try:
        connection = await nats.connect(
            servers_of(url),
            connect_timeout=2,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            error_cb=silent,
            **Settings().nats_options(),
        )
    except (NatsError, OSError, TimeoutError) as error:
        raise NoAnswer(f"No NATS at {url}: {error}. Is Switchboard running (`switchboard run`)?") from error
    try:
        reply = await connection.request(subject, json.dumps(body).encode(), timeout=seconds)
        return orjson.loads(reply.data)
    except NoRespondersError as error:
        raise NoAnswer(f"Nobody answers {subject}: the service is not running.") from error
    except (NatsError, TimeoutError) as error:
        raise NoAnswer(f"No answer to {subject} within {seconds:g} s.") from error
    except orjson.JSONDecodeError as error:
        raise NoAnswer(f"The answer to {subject} is not JSON.") from error
    finally:
        await connection.close()
