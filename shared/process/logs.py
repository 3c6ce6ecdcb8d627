"""Structured logs on standard error: a line per event, readable on a terminal, JSON elsewhere, no address in clear."""

import json
import logging
import math
import re
import sys
from collections.abc import Iterable
from typing import Final, Literal

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.process import clock

MASK: Final = "…@…"
_OF_SEVERAL_LINES: Final = frozenset(("exception", "stack"))
_RUN: Final = re.compile(r'[^\s"]+')
# An address, or a user and password in a URL; what begins with it is a decorator in a line of code.
_AT: Final = re.compile(r"[^@]@")
# What moves the cursor, colours, begins a line, or turns the direction of writing around: a terminal obeys it.
_OBEYED: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def configure(service: str, log_format: Literal["console", "json"] | None = None) -> None:
    """Sends the logs of this process to standard error, each line naming `service`.

    Libraries that log through `logging` are heard from WARNING up. No format given: console on a terminal, else JSON.
    Whatever looks like an address is masked, wherever in a line it stands: in what an exception says above all.
    """
    console = sys.stderr.isatty() if log_format is None else log_format == "console"
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _stamp(service),
        structlog.processors.StackInfoRenderer(),
    ]
    # Plain tracebacks: the others show local variables, and with them addresses.
    render: list[Processor] = [structlog.processors.format_exc_info, _mask, _console() if console else _json()]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),  # one write per line: several processes share it
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.WARNING)
    # It warns of each try to connect, over several lines; what is away is told once by whoever needs it.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)


def _stamp(service: str) -> Processor:
    def stamp(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        line["time"] = clock.now()
        line["service"] = service
        return line

    return stamp


def masked(text: str) -> str:
    """The text with a mask in place of everything between blanks and quotes that has an `@` inside."""
    if "@" not in text:
        return text
    return _RUN.sub(lambda run: MASK if _AT.search(run[0]) else run[0], text)


def _mask(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    return _masked_items(
        (key, value if key in _OF_SEVERAL_LINES else _in_one_line(value)) for key, value in line.items()
    )


def _masked_items(items: Iterable[tuple[object, object]]) -> dict[str, object]:
    """Keys that look the same once they are masked are numbered, so that none is lost."""
    found: dict[str, object] = {}
    for key, value in items:
        name = told = masked(str(key))
        number = 1
        while told in found:
            number += 1
            told = f"{name} ({number})"
        found[told] = _masked_value(value)
    return found


def _in_one_line(value: object) -> object:
    """A line of log is one line, and tells a terminal nothing but text."""
    if not isinstance(value, str | Exception) or str(value).isprintable():
        return value
    words = " ".join(str(value).split())
    return "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in words)


def _masked_value(value: object) -> object:
    match value:
        case float() if not math.isfinite(value):
            return str(value)  # JSON has no word for it
        case None | bool() | int() | float():
            return value
        case dict():
            return _masked_items(value.items())
        case list() | tuple() | set() | frozenset():
            return [_masked_value(item) for item in value]
        case _:
            return masked(str(value))


def _json() -> Processor:
    return structlog.processors.JSONRenderer(serializer=_dumps)


def _dumps(line: EventDict, **_options: object) -> str:
    try:
        return orjson.dumps(line).decode()
    except TypeError:
        # Numbers beyond 64 bits, and text that is no UTF-8.
        return json.dumps(line)


def _console() -> Processor:
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), timestamp_key="time", exception_formatter=structlog.dev.plain_traceback
    )

    def render(logger: WrappedLogger, method: str, line: EventDict) -> str:
        return renderer(logger, method, {_harmless(key): _shown(key, value) for key, value in line.items()})

    return render


def _shown(key: str, value: object) -> object:
    """Text only: within lists and the like the renderer escapes by itself."""
    if not isinstance(value, str):
        return value
    return _harmless(value, but="\n\t") if key in _OF_SEVERAL_LINES else _harmless(value)


def _harmless(text: str, but: str = "") -> str:
    """The text with what a terminal would obey spelled out."""
    return _OBEYED.sub(lambda one: one[0] if one[0] in but else one[0].encode("unicode_escape").decode(), text)
