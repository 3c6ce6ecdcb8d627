"""Answers the questions of auditors from the history of every row."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from services.audit.audit_view import AuditView
from services.audit.evidence.service import followed_evidence
from services.audit.evidence.verbs import run_verb
from services.audit.index.follower import IndexFollower
from services.audit.index.metrics import of_index
from services.audit.peers import Peers
from services.audit.projection import DEFINITION
from services.audit.questions import answer
from services.audit.record import QuestionRecord
from shared.language import subjects
from shared.language.audit import AUDIT_QUESTIONS
from shared.messaging.endpoint import Endpoint, discoverable
from shared.messaging.service import Service
from shared.process.postgres import PostgresError
from shared.process.settings import Settings
from shared.projections.history.following import FollowerLimits, running
from shared.projections.history.service import followed_history
from shared.projections.query_endpoint import QueryEndpoint
from shared.projections.view import View
from shared.projections.view_process import run_view

NAME: Final = "audit"
CHECK_SECONDS: Final = 0.2
READERS: Final = 4
# These followers get no notice of new events, so they look more often.
LIMITS: Final = FollowerLimits(look_seconds=0.5)
DESCRIPTION: Final = "Questions of auditors: who did what, what was refused, what was true then."

log = structlog.get_logger(__name__)


@asynccontextmanager
async def wire(service: Service) -> AsyncIterator[None]:
    """Follow the log and answer questions, as the context of `run`."""
    await service.broker.start()
    async with (
        followed_history(service, DEFINITION, live=False, view=AuditView, readers=READERS, limits=LIMITS) as history,
        _followed_index(service),
        followed_evidence(service, LIMITS),
        _answering(service, history),
    ):
        yield


@asynccontextmanager
async def _followed_index(service: Service) -> AsyncIterator[None]:
    follower = IndexFollower(service.postgres_url, LIMITS)
    async with running(follower, _report_error), of_index(follower, service.postgres_url) as sources:
        service.metric_sources += sources
        yield


def _report_error(error: BaseException) -> None:
    """Log why the follower ended; the lag shows that it did, and questions go on."""
    log.error("index.follower_ended", exc_info=error)


@asynccontextmanager
async def _answering(service: Service, history: View) -> AsyncIterator[None]:
    client, record = service.broker.connection, QuestionRecord(history)
    peers = Peers(client)
    endpoint = QueryEndpoint(
        history,
        AUDIT_QUESTIONS,
        lambda snapshot, question: answer(snapshot, question, peers),
        max_payload=lambda: client.max_payload,
        record=record.put,
    )
    endpoints = [
        endpoint.endpoint(f"questions-{n}", subjects.query("*", name), subjects.AUDIT_QUEUE)
        for n, name in enumerate(AUDIT_QUESTIONS, 1)
    ]
    service.parts |= {"history": endpoint.ready, "record": record.ready}
    await _until_of_this_log(service, history)
    # The first question about a person needs the tables, too.
    await record.ready()
    for one in endpoints:
        await one.open(client)
    try:
        async with discoverable(client, f"switchboard-{NAME}", DESCRIPTION, endpoints):
            service.metric_sources.append(endpoint.collect_metrics)
            yield
    finally:
        await _drain(endpoint, endpoints)
        await record.close()


async def _until_of_this_log(service: Service, history: View) -> None:
    """Return once no history of a lost log can answer; its follower drops such a history."""
    while (why := await _mismatch(history)) and not service.stopping.is_set():
        log.warning("history.contradicts_log", view=history.definition.view_name, why=why)
        await asyncio.sleep(CHECK_SECONDS)


async def _mismatch(history: View) -> str | None:
    try:
        return await history.log_mismatch()
    except PostgresError:
        # Questions get BUSY until the database is there.
        return None


async def _drain(endpoint: QueryEndpoint, endpoints: list[Endpoint]) -> None:
    for one in endpoints:
        await one.drain()
    await endpoint.drain()


def main() -> None:
    """Serve, or do one thing for an operator and end: `evidence <verb> <arguments>`, or a verb of the history."""
    match sys.argv[1:]:
        case ["evidence", verb, arguments]:
            sys.exit(run_verb(Settings(), verb, arguments))
        case _:
            run_view(NAME, DEFINITION, wire, live=False)


if __name__ == "__main__":
    main()
