"""Where the verbs that read the database find PostgreSQL."""

from services.ops.terminal import settings


def postgres_url(url: str | None) -> str:
    """This URL, that of the settings, or the socket of the PostgreSQL of `switchboard run`."""
    from services.ops.local.postgres_server import Postgres

    held = settings()
    return url or held.postgres_url or Postgres(held.data_dir).url()
