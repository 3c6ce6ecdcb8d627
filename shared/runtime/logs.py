"""Structured logs on standard error: one line per event, readable on a terminal, JSON elsewhere."""

import logging
import sys
from typing import Literal

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.runtime import clock


def configure(service: str, log_format: Literal["console", "json"] | None = None) -> None:
    """Sends the logs of this process to standard error, each line naming `service`.

    Libraries that log through `logging` are heard from WARNING up. No format given: console on a terminal, else JSON.
    """
    console = sys.stderr.isatty() if log_format is None else log_format == "console"
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _stamp(service),
        structlog.processors.StackInfoRenderer(),
    ]
    render = _console() if console else _json()
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


def _stamp(service: str) -> Processor:
    def stamp(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        line["time"] = clock.now()
        line["service"] = service
        return line

    return stamp


def _json() -> list[Processor]:
    # Plain tracebacks here and below: the others show local variables, and with them addresses.
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_dumps)]


def _dumps(line: EventDict, default: object = None, **_options: object) -> str:
    return orjson.dumps(line, default=str).decode()


def _console() -> list[Processor]:
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), timestamp_key="time", exception_formatter=structlog.dev.plain_traceback
        )
    ]
