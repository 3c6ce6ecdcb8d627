"""The text of a started launcher: the addresses of everything, and first commands to try."""

from collections.abc import Sequence

from shared.process.settings import Settings
from shared.process.urls import without_password

DEFAULT_NATS = "nats://127.0.0.1:4222"


def summary(settings: Settings, nats_url: str, postgres_url: str, services: Sequence[str], seconds: float) -> str:
    """The lines to print once everything is ready, `seconds` after the start. URLs are shown without passwords."""
    lines = [
        f"\nSwitchboard is ready ({seconds:.1f} s).\n",
        f"  NATS        {without_password(nats_url)}",
        f"  PostgreSQL  {without_password(postgres_url)}",
    ]
    if settings.nats_url is None or settings.postgres_url is None:
        lines.append(f"  Data        {settings.data_dir.absolute()}")
    if port := settings.http_port:
        lines.append(f"  Health      http://{settings.http_host}:{port}/health/ready")
        lines.append(f"  Metrics     http://{settings.http_host}:{port}/metrics")
        lines.append(f"  Evidence    http://{settings.http_host}:{port}/tlog/events/checkpoint")
    url = "" if nats_url == DEFAULT_NATS else f" --url {without_password(nats_url)}"
    lines += [
        f"  Services    {', '.join(services)}",
        "\nTry, in another terminal:",
        f"  .venv/bin/switchboard command{url} acme RegisterAccount actor=service:demo plan=starter admin=ana",
        f"  .venv/bin/switchboard query{url} acme Inboxes actor=ana",
        "\nCtrl-C stops everything.\n",
    ]
    return "\n".join(lines)
