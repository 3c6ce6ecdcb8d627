"""The internals of nats-py that Switchboard uses. A release without one of them takes nats-py's own path.

Lean frames use most of them. Two checks of the server use the others, and are left out without them.
"""

import inspect
import logging
from collections.abc import Iterator
from functools import cache
from typing import Final

from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.protocol import parser

from shared.wire.internals import missing_internals, release_of

OF_CLIENT: Final = (
    "_ps", "_err", "_error_cb", "_process_msg", "_send_command", "_flush_pending", "_max_pending_size", "_max_payload",
)  # fmt: skip
OF_PARSER: Final = ("buf", "state", "reset", "parse")
# The order in which frames are passed to `Client._process_msg`.
MESSAGE: Final = ["sid", "subject", "reply", "data", "headers"]

log = logging.getLogger(__name__)


def _missing() -> Iterator[str]:
    client = Client()
    yield from missing_internals(client, *OF_CLIENT)
    yield from missing_internals(Subscription(client), "_id")
    if (current := getattr(client, "_ps", None)) is not None:
        yield from missing_internals(current, *OF_PARSER)
    yield from missing_internals(parser, "AWAITING_CONTROL_LINE", "Parser")
    yield from missing_internals(client.connected_server_version, "_server_version")
    yield from missing_internals(client.jetstream(), "_nc")
    process = getattr(client, "_process_msg", None)
    if process is not None and list(inspect.signature(process).parameters) != MESSAGE:
        yield f"Client._process_msg({', '.join(MESSAGE)})"


# Checked on a client that is not connected.
MISSING: Final = tuple(_missing())


@cache
def warn() -> None:
    """Log once which internals this release of nats-py lacks."""
    advice = "install a release of nats-py within its bound; until then each message costs more processor time"
    extra = {"library": release_of("nats-py"), "missing": ", ".join(MISSING), "advice": advice}
    log.warning("nats.plain_path", extra=extra)
