"""The internals of the eventsourcing library that the event store uses, checked before the process starts.

There is no other path: without one of them commits would not go through our recorder or our connections.
"""

from collections.abc import Iterator

from eventsourcing.application import Application
from eventsourcing.persistence import JSONTranscoder, Mapper
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore, PostgresFactory

from shared.wire.internals import missing_internals, release_of


def unsupported_release() -> str | None:
    """Why the installed release of eventsourcing cannot carry the event store; None when it can."""
    missing = list(_missing())
    if not missing:
        return None
    return f"{release_of('eventsourcing')} lacks {', '.join(missing)}: install a release that pyproject.toml allows"


def _missing() -> Iterator[str]:
    hooks = ("construct_factory", "construct_mapper", "construct_recorder", "construct_transcoder")
    yield from missing_internals(Application, *hooks)
    yield from missing_internals(Mapper(JSONTranscoder()), "compressor", "cipher")
    yield from missing_internals(PostgresFactory, "mapper", "transcoder")
    yield from missing_internals(PostgresApplicationRecorder, "create_table")
    # It does not connect before it is used.
    datastore = PostgresDatastore("-", "-", "-", "-", "-", pool_size=0, max_overflow=1)
    yield from missing_internals(datastore, "transaction", "pool")
    if (pool := getattr(datastore, "pool", None)) is not None:
        yield from missing_internals(pool, "connection_class", "conninfo", "kwargs")
