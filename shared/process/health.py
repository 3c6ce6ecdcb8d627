"""Liveness, readiness and metrics of a process over HTTP, and further pages that it may have."""

import asyncio
import errno
import gzip
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson

READY = "ok"
PROBE_SECONDS = 2.0
_REQUEST_SECONDS = 5.0
JSON = "application/json"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
_LONGEST_HEAD = 16_384
_ACCEPTS_GZIP = re.compile(rb"\r\naccept-encoding:[^\r]*\bgzip\b(?!;\s*q=0(?![.]\d*[1-9]))", re.IGNORECASE)
_PHRASES = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}

Probe = Callable[[], Awaitable[str | None]]


@dataclass(frozen=True)
class Page:
    """The body of an answer, its content type, and for how long caches may keep it (`Cache-Control`).

    One that is large is sent compressed to callers that accept gzip.
    """

    content_type: str
    body: bytes
    cache: str = "no-store"
    large: bool = False


# The page at a path, which begins with the prefix of the route; None where there is none.
Route = Callable[[str], Awaitable[Page | None]]


class PortUnavailableError(Exception):
    """Another program listens on the port, or this user may not listen there."""


class HostUnavailableError(Exception):
    """This machine does not have the address to listen on."""


@dataclass(frozen=True)
class Health:
    """`parts` has `ok` for each part, or why it is not ready; `warnings` are faults beside readiness."""

    service: str
    parts: Mapping[str, str]
    warnings: Mapping[str, str] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        return all(state == READY for state in self.parts.values())

    def to_json(self) -> bytes:
        body = {"service": self.service, "ready": self.ready, "parts": dict(self.parts)}
        return orjson.dumps(body | ({"warnings": dict(self.warnings)} if self.warnings else {}))


async def examine(service: str, parts: Mapping[str, Probe], warnings: Mapping[str, Probe] | None = None) -> Health:
    """Probe all parts at once; a part that fails or takes longer than `PROBE_SECONDS` is not ready."""
    probes = [*parts.values(), *(warnings or {}).values()]
    states = await asyncio.gather(*map(_state, probes))
    faults = zip(warnings or {}, states[len(parts) :], strict=True)
    return Health(
        service,
        dict(zip(parts, states[: len(parts)], strict=True)),
        {name: state for name, state in faults if state != READY},
    )


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
    routes: Mapping[str, Route] | None = None,
) -> AsyncIterator[None]:
    """Answer GET `/health/live` (200), `/health/ready` (200 or 503, with the parts as JSON) and `/metrics` (200, in
    the text format of Prometheus); `routes` has further pages by the prefix of their paths, and may change.

    Raises:
        PortUnavailableError: another program listens there, or this user may not.
        HostUnavailableError: this machine does not have the address.
    """

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # No answer for a caller that disconnects or sends nothing.
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                status, page = await _answer(head, health, metrics, routes or {})
                body, encoding = await _encoded(page, head)
                writer.write(_head(status, page, encoding, len(body)) + (b"" if head.startswith(b"HEAD ") else body))
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
    head: bytes,
    health: Callable[[], Awaitable[Health]],
    metrics: Callable[[], Awaitable[bytes]],
    routes: Mapping[str, Route],
) -> tuple[int, Page]:
    try:
        method, target, _version = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
    except ValueError:
        return 400, _error("not a request")
    if method not in {"GET", "HEAD"}:
        return 405, _error("only GET")
    match target.partition("?")[0]:
        case "/health/live":
            return 200, Page(JSON, orjson.dumps({"live": True}))
        case "/health/ready":
            found = await health()
            return (200 if found.ready else 503), Page(JSON, found.to_json())
        case "/metrics":
            return 200, Page(TEXT, await metrics())
        case path:
            page = await _page(path, routes)
            return (404, _error("try /health/ready, /health/live or /metrics")) if page is None else (200, page)


async def _page(path: str, routes: Mapping[str, Route]) -> Page | None:
    for prefix, route in routes.items():
        if path.startswith(prefix):
            return await route(path)
    return None


def _error(text: str) -> Page:
    return Page(JSON, orjson.dumps({"error": text}))


async def _encoded(page: Page, head: bytes) -> tuple[bytes, str]:
    """Return the body as it is sent, and its header lines."""
    if not page.large:
        return page.body, ""
    if not _ACCEPTS_GZIP.search(head):
        return page.body, "Vary: Accept-Encoding\r\n"
    body = await asyncio.to_thread(gzip.compress, page.body, mtime=0)
    return body, "Vary: Accept-Encoding\r\nContent-Encoding: gzip\r\n"


def _head(status: int, page: Page, encoding: str, length: int) -> bytes:
    return (
        f"HTTP/1.1 {status} {_PHRASES[status]}\r\nContent-Type: {page.content_type}\r\n{encoding}"
        f"Cache-Control: {page.cache}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    ).encode()
