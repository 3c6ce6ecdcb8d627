"""Checkpoints on NATS, for all that watch the log."""

from services.audit.evidence.follower import Publish
from shared.language import subjects
from shared.messaging.requests import send_notice
from shared.transparency.checkpoints import Tree
from shared.wire.connection import NatsClient


def publish_to(client: NatsClient) -> Publish:
    """Return the function that publishes checkpoints; without NATS none arrives, and signing goes on."""

    async def publish(tree: Tree, note: bytes) -> None:
        await send_notice(client, subjects.CHECKPOINT, note, {subjects.CHECKPOINT_TREE: tree})

    return publish
