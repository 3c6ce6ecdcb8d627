"""Liveness, readiness and metrics of a process over HTTP."""

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson

READY = "ok"
PROBE_SECONDS = 2.0
_REQUEST_SECONDS = 5.0
JSON = "application/json"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
_LONGEST_HEAD = 16_384
_PHRASES = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}

Probe = Callable[[], Awaitable[str | None]]


class PortUnavailableError(Exception):
    """Another program listens on the port, or this user may not listen there."""


class HostUnavailableError(Exception):
    """This machine does not have the address to listen on."""


@dataclass(frozen=True)
class Health:
    """`parts` has `ok` for each part, or why it is not ready."""

    service: str
    parts: Mapping[str, str]

    @property
    def ready(self) -> bool:
        return all(state == READY for state in self.parts.values())

    def to_json(self) -> bytes:
        return orjson.dumps({"service": self.service, "ready": self.ready, "parts": dict(self.parts)})


async def examine(service: str, parts: Mapping[str, Probe]) -> Health:
    """Probe all parts at once; a part that fails or takes longer than `PROBE_SECONDS` is not ready."""
    states = await asyncio.gather(*(_state(probe) for probe in parts.values()))
    return Health(service, dict(zip(parts, states, strict=True)))


async def _state(probe: Probe) -> str:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return await probe() or READY
    except TimeoutError:
        return f"no answer within {PROBE_SECONDS:g} s"
    except Exception as error:  # noqa: BLE001  a probe's failure is its answer
        return f"{type(error).__name__}: {error}"


@asynccontextmanager
async def serve_http(
    port: int,
    health: Callable[[], Awaitable[Health]],
    metrics: Callable[[], Awaitable[bytes]],
    host: str = "127.0.0.1",
) -> AsyncIterator[None]:
    """Answer GET `/health/live` (200), `/health/ready` (200 or 503, with the parts as JSON) and `/metrics` (200, in
    the text format of Prometheus).

    Raises:
        PortUnavailableError: another program listens there, or this user may not.
        HostUnavailableError: this machine does not have the address.
    """

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # No answer for a caller that disconnects or sends nothing.
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                status, kind, body = await _answer(head, health, metrics)
                writer.write(_response(status, kind, body, with_body=not head.startswith(b"HEAD ")))
                await writer.drain()
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except RuntimeError:
            # uvloop raises it for a closed transport.
            if not writer.transport.is_closing():
                raise
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(on_connection, host, port, limit=_LONGEST_HEAD)
    except OSError as error:
        what = f"port {port} on {host}: {error.strerror or error}"
        if error.errno in {errno.EADDRINUSE, errno.EACCES}:
            raise PortUnavailableError(what) from error
        raise HostUnavailableError(what) from error
    try:
        yield
    finally:
        server.close()


async def _answer(
    head: bytes, health: Callable[[], Awaitable[Health]], metrics: Callable[[], Awaitable[bytes]]
) -> tuple[int, str, bytes]:
    """Status, content type and body."""
    try:
        method, target, _version = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
    except ValueError:
        return 400, JSON, orjson.dumps({"error": "not a request"})
    if method not in {"GET", "HEAD"}:
        return 405, JSON, orjson.dumps({"error": "only GET"})
    match target.partition("?")[0]:
        case "/health/live":
            return 200, JSON, orjson.dumps({"live": True})
        case "/health/ready":
            found = await health()
            return (200 if found.ready else 503), JSON, found.to_json()
        case "/metrics":
            return 200, TEXT, await metrics()
        case _:
            return 404, JSON, orjson.dumps({"error": "try /health/ready, /health/live or /metrics"})


def _response(status: int, kind: str, body: bytes, *, with_body: bool) -> bytes:
    head = (
        f"HTTP/1.1 {status} {_PHRASES[status]}\r\nContent-Type: {kind}\r\nCache-Control: no-store\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (body if with_body else b"")
