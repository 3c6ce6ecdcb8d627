"""The event store's one writer in a process: an application of the eventsourcing library with its own recorder."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast
from uuid import UUID

import psycopg
from eventsourcing.application import Application
from eventsourcing.persistence import (
    ApplicationRecorder,
    InfrastructureFactory,
    PersistenceError,
    Transcoder,
)
from eventsourcing.postgres import PostgresFactory
from eventsourcing.utils import Environment
from psycopg.rows import dict_row

from services.connections.store.recorder import GroupRecorder, StoreUnavailable
from services.connections.store.rows import JournaledReply, JournalEntry, ReadSet, RecordedMapper, Rows
from services.connections.store.set_migration import SetMigration, SetVersion
from services.connections.store.state_cache import StateCache, UnreadableStreams, set_of
from shared.core.decider import Page
from shared.language.events import Aggregate
from shared.process.postgres import Direct, reason_of


def unsafe_switch() -> str | None:
    """Why nothing may be written: the library's path without a lock is switched on in the environment."""
    if os.environ.get("POSTGRES_ENABLE_DB_FUNCTIONS", "").lower() in ("y", "yes", "t", "true", "on", "1"):
        return "POSTGRES_ENABLE_DB_FUNCTIONS is set: that path takes no lock and readers lose events; unset it"
    return None


class EventStore(Application[UUID]):
    """Opens the store and makes what is missing; units of work read and write through it.

    Args:
        url: PostgreSQL, as a libpq URL; the schema is made when it is not there.
        pages: how each kind of aggregate is rebuilt.
        unreadable: collects the streams with an event that this release cannot read.
        set_version: the version of the constraint sets; sets of former versions are migrated at the start.

    Raises:
        ValueError: the library's unsafe path (POSTGRES_ENABLE_DB_FUNCTIONS) is switched on.
        StoreUnavailable: PostgreSQL does not answer, or this role may not create the tables.
    """

    name = "connections"
    env: ClassVar[dict[str, str]] = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        # Placeholders: the whole of the URL, sslmode and the like too, is given to the pool in construct_factory.
        "POSTGRES_DBNAME": "-",
        "POSTGRES_HOST": "-",
        "POSTGRES_USER": "-",
        "POSTGRES_PASSWORD": "-",
        "POSTGRES_SCHEMA": "connections",
        "POSTGRES_POOL_SIZE": "0",
        "POSTGRES_MAX_OVERFLOW": "2",
        "POSTGRES_CONNECT_TIMEOUT": "5",
    }

    def __init__(
        self,
        url: str,
        pages: Mapping[Aggregate, Page],
        unreadable: UnreadableStreams | None = None,
        set_version: SetVersion | None = None,
    ) -> None:
        if problem := unsafe_switch():
            raise ValueError(problem)
        self._url = url
        self._require_answer()
        try:
            super().__init__()
        except PersistenceError as error:
            raise StoreUnavailable(str(error)) from error
        self.group_recorder = cast(GroupRecorder, self.recorder)
        self.recorded_mapper = cast(RecordedMapper, self.mapper)
        if set_version is not None:
            self._migrate_sets(set_version, pages)
        found = unreadable or UnreadableStreams()
        self.cache = StateCache(pages, self.group_recorder.since, self.recorded_mapper, found)

    def _require_answer(self) -> None:
        """The library's pool would say after five seconds that there is no connection, and not why."""
        try:
            Direct.connect(self._url).close()
        except psycopg.Error as error:
            raise StoreUnavailable(reason_of(error)) from error

    def _migrate_sets(self, rules: SetVersion, pages: Mapping[Aggregate, Page]) -> None:
        try:
            with Direct.connect(self._url, autocommit=True) as connection:
                SetMigration(connection, self.recorded_mapper, pages, set_of).migrate(rules)
        except psycopg.Error as error:
            self.close()
            raise StoreUnavailable(reason_of(error)) from error

    # ---- seams of the library

    def construct_factory(self, env: Environment) -> InfrastructureFactory[Any]:
        factory = super().construct_factory(env)
        datastore = cast(PostgresFactory, factory).datastore
        datastore.pool.connection_class = Direct
        datastore.pool.conninfo = self._url
        datastore.pool.kwargs = {"row_factory": dict_row}
        return factory

    def construct_mapper(self) -> RecordedMapper:
        factory = cast(PostgresFactory, self.factory)
        return cast(RecordedMapper, factory.mapper(self.construct_transcoder(), RecordedMapper))

    def construct_transcoder(self) -> Transcoder:
        return self.factory.transcoder()

    def construct_recorder(self) -> ApplicationRecorder:
        datastore = cast(PostgresFactory, self.factory).datastore
        recorder = GroupRecorder(datastore, events_table_name="events")
        recorder.url = self._url
        recorder.create_table()
        return recorder

    def close(self) -> None:
        if hasattr(self, "recorder"):
            cast(GroupRecorder, self.recorder).close()
        super().close()

    def probe(self) -> None:
        """Returns when the store answers.

        Raises:
            StoreUnavailable: it does not.
        """
        self.group_recorder.since(ReadSet({}, {}))

    # ---- the command journal

    def journaled(self, commands: Sequence[tuple[str, str]]) -> list[JournaledReply]:
        """As `GroupRecorder.journaled`."""
        return self.group_recorder.journaled(commands)

    def journal(self, entry: JournalEntry) -> None:
        """Records a command alone, which nothing was decided on.

        Raises:
            StoreUnavailable, CommitOutcomeUnknown: the store does not answer.
        """
        self.group_recorder.append(Rows(ReadSet({}, {}), journal=[entry]))
