"""The follower that makes evidence: of all audit processes one at a time lets the trees grow and signs them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from services.audit.evidence.folder import TreeFolder
from services.audit.evidence.heads import StaleHolderError
from services.audit.evidence.keys import KeyFolder
from services.audit.evidence.leaves import EventLeaves, JournalLeaves
from services.audit.evidence.signer import SigningContext, SigningLimits, TreeSigner
from services.audit.evidence.witnesses import WitnessOffers
from shared.process.cancellation import cancellation_requested
from shared.process.journal_reader import JournalReader
from shared.process.log_reader import LogReader
from shared.process.postgres import DirectAsync, PostgresError
from shared.process.tree_files import VERIFIER_KEYS
from shared.projections.history.following import STARTING, FollowerLimits, LogFollower
from shared.transparency.checkpoints import Tree

NAME: Final = "evidence"
SESSION: Final = {
    "synchronous_commit": "on",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
}

log = structlog.get_logger(__name__)

# Sends the checkpoint of a tree to all that listen.
Publish = Callable[[Tree, bytes], Awaitable[None]]


@dataclass(frozen=True)
class EvidencePlace:
    """Where trees and signing keys are, and the beginning of the origin of a new log."""

    folder: Path
    keys: Path
    name: str

    def key_folder(self) -> KeyFolder:
        return KeyFolder(self.keys, self.folder / VERIFIER_KEYS)


class LogNotBegunError(Exception):
    """No writer has made the log yet."""


class EvidenceFollower(LogFollower):
    """Follows log and journal with one tree each.

    Attributes:
        signers: one for each tree; none while another process holds the lease.
    """

    expected = (LogNotBegunError, StaleHolderError, PostgresError, TimeoutError, OSError)

    def __init__(
        self,
        postgres_url: str,
        place: EvidencePlace,
        publish: Publish,
        limits: FollowerLimits,
        signing: SigningLimits,
    ) -> None:
        super().__init__(postgres_url, NAME, NAME, limits)
        self.signers: list[TreeSigner] = []
        self._place = place
        self._publish = publish
        self._signing = signing
        self._offers: WitnessOffers | None = None

    def fault(self) -> str | None:
        """Why this process, which holds the lease, does not sign every tree; None on standby, too."""
        if not self.follows:
            return None
        faults = [f"{one.tree}: {one.error}" for one in self.signers if one.error is not None]
        if self._offers is not None:
            faults += self._offers.contradictions.values()
        if self.last_error is not None and not faults:
            return self.last_error
        return "; ".join(faults) or None

    @property
    def fails(self) -> bool:
        """Whether an error keeps this process, which holds the lease, from signing any tree, such as a full disk."""
        return self.follows and self.last_error not in {None, STARTING}

    def _log_error(self, error: str) -> None:
        log.warning("evidence.not_followed", error=error)

    def _log_followed(self, position: int) -> None:
        log.info("evidence.followed", position=position)

    async def _follow(self) -> None:
        async with AsyncExitStack() as stack:
            events = await stack.enter_async_context(LogReader(self._url))
            journal = await stack.enter_async_context(JournalReader(self._url))
            connection = await DirectAsync.connect(
                self._url, settings=SESSION, autocommit=True, application_name="audit-evidence"
            )
            await stack.enter_async_context(connection)
            if (log_id := await events.identity()) is None:
                raise LogNotBegunError("there is no log yet")
            context = SigningContext(
                self._place.name,
                log_id,
                connection,
                self._place.key_folder(),
                self._signing,
                self._require_lease,
                self._publish,
            )
            trees = [
                (leaves, TreeFolder(self._place.folder, leaves.tree))
                for leaves in (EventLeaves(events), JournalLeaves(journal))
            ]
            self.signers = [TreeSigner(leaves, folder, context) for leaves, folder in trees]
            stack.callback(self.signers.clear)
            folders = [(leaves.tree, folder) for leaves, folder in trees]
            self._offers = WitnessOffers(
                self._url, self._place.folder, folders, self._require_lease, self._limits.look_seconds
            )
            stack.push_async_callback(_end, asyncio.create_task(self._offers.run()))
            while not cancellation_requested():
                await self._step(events)

    async def _step(self, events: LogReader) -> None:
        """Let each tree take its next leaves and rest, or wait for more."""
        self._require_lease()
        began = time.monotonic()
        grew = [await signer.step() for signer in self.signers]
        end = await events.end()
        # A log that always grows is followed, too.
        self._clear_error(end)
        if any(grew):
            self._growth.observe(end)
            await self._back_off(events, time.monotonic() - began)
        else:
            await asyncio.sleep(self._limits.look_seconds)


async def _end(offering: "asyncio.Task[None]") -> None:
    offering.cancel()
    await asyncio.wait({offering})
    if not offering.cancelled():
        # The lease is over, as the signers have noticed, too.
        offering.exception()
