"""The evidence within the audit's process: its follower, its metrics, its files over HTTP, and its warning."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import structlog

from services.audit.evidence.follower import EvidenceFollower, EvidencePlace
from services.audit.evidence.metrics import of_evidence
from services.audit.evidence.publication import publish_to
from services.audit.evidence.signer import SigningLimits
from shared.messaging.service import Service
from shared.process.settings import Settings
from shared.process.tree_files import PREFIX, tree_files
from shared.projections.history.following import FollowerLimits, running

# The share of the processor that commands leave to it: about 1,000 commands a second are followed, more wait.
REST_TIMES: Final = 40.0

log = structlog.get_logger(__name__)


def place_of(settings: Settings) -> EvidencePlace | None:
    """Return where the evidence is; None where the settings do not say."""
    if settings.evidence_dir is None or settings.evidence_keys_dir is None:
        return None
    return EvidencePlace(settings.evidence_dir, settings.evidence_keys_dir, settings.evidence_name)


@asynccontextmanager
async def followed_evidence(service: Service, limits: FollowerLimits) -> AsyncIterator[None]:
    """Make evidence where the settings have a place for it."""
    place = place_of(service.settings)
    if place is None:
        log.warning("evidence.off", advice="set SWITCHBOARD_EVIDENCE_DIR and SWITCHBOARD_EVIDENCE_KEYS_DIR")
        yield
        return
    signing = SigningLimits(checkpoint_seconds=service.settings.checkpoint_seconds)
    publish = publish_to(service.broker.connection)
    limits = replace(limits, rest_times=REST_TIMES)
    follower = EvidenceFollower(service.postgres_url, place, publish, limits, signing)

    async def fault() -> str | None:
        return follower.fault()

    service.warnings["evidence"] = fault
    service.routes[PREFIX] = tree_files(place.folder)
    async with running(follower, _report_error), of_evidence(follower, service.postgres_url) as sources:
        service.metric_sources += sources
        yield


def _report_error(error: BaseException) -> None:
    """Log why the follower ended; the age of the checkpoints shows that it did, and questions go on."""
    log.error("evidence.follower_ended", exc_info=error)
