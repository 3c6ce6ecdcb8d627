"""The connections of a view: how long they wait, which plans PostgreSQL may choose, and which rows they see."""

from typing import Any

import orjson
from psycopg import AsyncConnection
from psycopg.types.json import set_json_loads

from shared.process.postgres import Pool
from shared.projections.definition import ProjectionDefinition
from shared.projections.tables import AS_OF, NEWEST

CONNECT_SECONDS = 2.0
# A process that is stopped while it holds the row's lock may not stop the others for longer.
SESSION = {"lock_timeout": "10s", "idle_in_transaction_session_timeout": "10s"}
# Plans are kept while the tables grow: only plans that stay good are allowed.
PLANS = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off"}
# A history's statements name no position of their own.
AS_OF_NEWEST = {AS_OF: str(NEWEST), "max_parallel_workers_per_gather": "0"}


def connection_pool(
    postgres_url: str, definition: ProjectionDefinition, max_size: int, application_name: str, **settings: str
) -> Pool:
    """Return a pool, not open yet, whose connections find the tables of the view without their schema."""
    path = {"search_path": f"{definition.name},public"}
    temporal = AS_OF_NEWEST if definition.temporal else {}
    return Pool(
        postgres_url,
        # A history is asked less often: its connections come with its questions.
        min_size=0 if definition.temporal else 1,
        max_size=max_size,
        kwargs={
            "settings": SESSION | PLANS | path | temporal | settings,
            "application_name": application_name,
            "connect_timeout": 5,
            "autocommit": True,
        },
        configure=_configure,
        open=False,
        timeout=CONNECT_SECONDS,
        reconnect_timeout=0.0,
    )


async def _configure(connection: AsyncConnection[Any]) -> None:
    set_json_loads(orjson.loads, connection)
    connection.prepare_threshold = 1
