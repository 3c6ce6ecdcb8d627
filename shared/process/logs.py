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
# A terminal obeys them: they move the cursor, colour, begin a line, or reverse the direction of writing.
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def configure(service: str, log_format: Literal["console", "json"] | None = None) -> None:
    """Send the logs of this process to standard error; each line names `service`.

    Libraries that log through `logging` are included from WARNING up. The default format is console on a terminal, else
    JSON. Every text that looks like an address is masked, in messages of exceptions above all.
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
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.WARNING)
    # The packages that clients use, too, log through `logging`: a client does not load structlog.
    logging.getLogger("shared").setLevel(logging.INFO)
    # It warns of each attempt to connect, over several lines; our own code logs once that a server is away.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)


def _stamp(service: str) -> Processor:
    def stamp(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        line["time"] = clock.now()
        line["service"] = service
        return line

    return stamp


def masked(text: str) -> str:
    """Replace everything between blanks and quotes that has an `@` inside by a mask."""
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
        name = unique = masked(str(key))
        number = 1
        while unique in found:
            number += 1
            unique = f"{name} ({number})"
        found[unique] = _masked_value(value)
    return found


def _in_one_line(value: object) -> object:
    """A log line is one line, and a terminal gets nothing but text."""
    if not isinstance(value, str | Exception) or str(value).isprintable():
        return value
    words = " ".join(str(value).split())
    return "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in words)


def _masked_value(value: object) -> object:
    match value:
        case float() if not math.isfinite(value):
            return str(value)  # JSON cannot write it
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
        # Numbers beyond 64 bits, and text that is not UTF-8.
        return json.dumps(line)


def _console() -> Processor:
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), timestamp_key="time", exception_formatter=structlog.dev.plain_traceback
    )

    def render(logger: WrappedLogger, method: str, line: EventDict) -> str:
        return renderer(logger, method, {_without_controls(key): _rendered(key, value) for key, value in line.items()})

    return render


def _rendered(key: str, value: object) -> object:
    """Text only: inside lists and the like the renderer escapes by itself."""
    if not isinstance(value, str):
        return value
    return _without_controls(value, but="\n\t") if key in _OF_SEVERAL_LINES else _without_controls(value)


def _without_controls(text: str, but: str = "") -> str:
    """Write the characters that a terminal obeys as escapes."""
    return _CONTROLS.sub(lambda one: one[0] if one[0] in but else one[0].encode("unicode_escape").decode(), text)
