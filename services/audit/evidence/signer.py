"""One tree, from its leaves to its checkpoints. It signs nothing that contradicts what may have been signed before.

The order of a checkpoint: its tiles are durable; log, tiles and committed head are compared; the new head is durable in
the folder and in PostgreSQL; only then is it signed, written and published. A process that is killed anywhere leaves a
committed head, and the next one signs that or one that extends it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from services.audit.evidence import heads
from services.audit.evidence.comparison import require_extends, require_same_rows
from services.audit.evidence.folder import TreeFolder
from services.audit.evidence.growth import GrowingTree
from services.audit.evidence.heads import TakenHead
from services.audit.evidence.keys import KeyFolder, KeyPair, KeysError, sign, verifier_keys
from services.audit.evidence.leaves import Leaves, LogChangedError
from services.audit.evidence.opening import OtherTreeError, is_of_log, open_tree
from shared.process import clock, failpoints
from shared.process.postgres import PostgresSession
from shared.transparency.checkpoints import Checkpoint, Tree, log_origin
from shared.transparency.errors import TransparencyError
from shared.transparency.tiles import TILE_WIDTH

log = structlog.get_logger(__name__)

# Reasons not to sign a tree until somebody acts; the other tree goes on.
NOT_SIGNED = (LogChangedError, OtherTreeError, KeysError, TransparencyError)


@dataclass(frozen=True)
class SigningLimits:
    """
    Args:
        batch: the most leaves that become durable at once.
        checkpoint_seconds: the least time between two checkpoints of a tree.
        check_seconds: how often an idle tree is compared with the log, and one that is not signed is tried again.
    """

    batch: int = 4_096
    checkpoint_seconds: float = 10.0
    check_seconds: float = 5.0


@dataclass(frozen=True)
class SigningContext:
    """Things that the signers of both trees have in common.

    Args:
        name: the beginning of a first origin.
        connection: that of the heads; a commit on it is durable.
        require_lease: raises when the lease is over.
        publish: sends a checkpoint to all that listen.
    """

    name: str
    log_id: str
    connection: PostgresSession
    keys: KeyFolder
    limits: SigningLimits
    require_lease: Callable[[], None]
    publish: Callable[[Tree, bytes], Awaitable[None]]


class TreeSigner:
    """Lets one tree grow and signs it, while this process holds the lease.

    Attributes:
        error: why the tree is not signed; None while it is.
        signed: the head of the last checkpoint that this signer made.
    """

    def __init__(self, leaves: Leaves, folder: TreeFolder, context: SigningContext) -> None:
        self.tree = leaves.tree
        self.error: str | None = None
        self.signed: Checkpoint | None = None
        self._leaves = leaves
        self._folder = folder
        self._context = context
        self._head: TakenHead | None = None
        self._growing: GrowingTree | None = None
        self._ahead: list[Checkpoint] = []
        self._signing: list[int] = []
        self._checkpoint_at = 0.0
        self._check_at = 0.0

    async def step(self) -> bool:
        """Take the next leaves, and sign when it is time; return whether there were any leaves.

        Raises:
            StaleHolderError, LeaseLostError: another process signs.
            PostgresError, OSError: a server or the disk does not do its part; the signer has to be made again.
        """
        if self.error is not None and time.monotonic() < self._check_at:
            return False
        try:
            return await self._step()
        except NOT_SIGNED as error:
            await self._set_error(str(error))
            return False

    async def _step(self) -> bool:
        if self._growing is None:
            self._growing = await self._open()
        grew = await self._grow(self._growing)
        if not grew and time.monotonic() >= self._check_at:
            await self._compare(self._growing)
        if self._is_due(self._growing):
            await self._checkpoint(self._growing)
        return grew

    # ---- opening

    async def _open(self) -> GrowingTree:
        here = await asyncio.to_thread(self._folder.head)
        first = log_origin(self._context.name, self._context.log_id, self.tree)
        if here is not None and is_of_log(here.origin, self._context.log_id):
            # PostgreSQL may have lost the head, as a new database has.
            first = here.origin
        self._head = await heads.take(self._context.connection, self.tree, first)
        opened = await asyncio.to_thread(open_tree, self._folder, self._head.committed, self._context.log_id)
        self._ahead = opened.ahead
        growing = opened.growing
        if growing.size:
            last_tile = (growing.size - 1) // TILE_WIDTH * TILE_WIDTH
            await require_same_rows(self._leaves, self._folder, growing.size, last_tile, growing.size)
        return growing

    # ---- growing

    async def _grow(self, growing: GrowingTree) -> bool:
        limit = self._context.limits.batch
        if self._ahead:
            limit = min(limit, self._ahead[0].size - growing.size)
        leaves = await self._leaves.after(growing.size, limit)
        if leaves:
            await asyncio.to_thread(growing.append, leaves)
        if self._ahead:
            self._come_to(self._ahead[0], growing, more=bool(leaves))
        return bool(leaves)

    def _come_to(self, head: Checkpoint, growing: GrowingTree, *, more: bool) -> None:
        """Require that the log leads to a head that may have been signed."""
        if growing.size < head.size:
            if not more:
                raise LogChangedError(
                    f"the log ends at {self._leaves.number} {growing.size}, and {head.size} were hashed"
                )
        elif growing.root() != head.root:
            raise LogChangedError(
                f"the log does not lead to the committed root of {head.size} leaves: a row was changed"
            )
        else:
            self._ahead.pop(0)

    async def _compare(self, growing: GrowingTree) -> None:
        """Compare the last row of an idle tree, and look whether it is still this process that signs it."""
        self._check_at = time.monotonic() + self._context.limits.check_seconds
        await heads.require_taken(self._context.connection, self._taken())
        if self.signed is not None and self.signed.size == growing.size:
            await self._require_same_row(growing.size, growing.size)
            if not await asyncio.to_thread(self._folder.has_checkpoint_of, self.signed):
                # Somebody removed it, or a former holder of the lease that was paused has put an older one there.
                self.signed = None

    # ---- signing

    def _is_due(self, growing: GrowingTree) -> bool:
        if self._ahead or time.monotonic() < self._checkpoint_at:
            return False
        same = self.signed is not None and self.signed.size == growing.size
        return not same or self._signing != self._context.keys.numbers()

    async def _checkpoint(self, growing: GrowingTree) -> None:
        self._checkpoint_at = time.monotonic() + self._context.limits.checkpoint_seconds
        pairs = await asyncio.to_thread(self._context.keys.pairs_or_first)
        head = self._taken()
        new = Checkpoint(head.committed.origin, growing.size, growing.root())
        await asyncio.to_thread(growing.write_edge)
        failpoints.reached("evidence.tiles")
        for size in {head.committed.size, new.size}:
            await self._require_same_row(size, new.size)
        await asyncio.to_thread(require_extends, self._folder, head.committed, new)
        await self._commit(head, new)
        failpoints.reached("evidence.head")
        self._context.require_lease()
        await self._sign(new, pairs)

    async def _commit(self, head: TakenHead, new: Checkpoint) -> None:
        """Make the head durable, in the folder and in PostgreSQL; only the process that has taken it can."""
        self._context.require_lease()
        await asyncio.to_thread(self._folder.write_head, new)
        self._head = await heads.move(self._context.connection, head, new)

    async def _sign(self, new: Checkpoint, pairs: list[KeyPair]) -> None:
        note = await asyncio.to_thread(sign, new, pairs, clock.posix_seconds())
        failpoints.reached("evidence.signed")
        await asyncio.to_thread(self._folder.write_verifier_keys, new.origin, verifier_keys(new.origin, pairs))
        await asyncio.to_thread(self._folder.write_checkpoint, note)
        failpoints.reached("evidence.written")
        await heads.set_signed(self._context.connection, self._taken(), clock.now())
        await self._context.publish(self.tree, note)
        failpoints.reached("evidence.published")
        self._signing = [pair.number for pair in pairs]
        self.signed = new
        self._set_signed()

    async def _require_same_row(self, number: int, size: int) -> None:
        if number:
            await require_same_rows(self._leaves, self._folder, size, number - 1, number)

    def _taken(self) -> TakenHead:
        assert self._head is not None, "the tree is open"
        return self._head

    # ---- errors

    def _set_signed(self) -> None:
        if self.error is not None:
            self.error = None
            log.info("evidence.signed_again", tree=self.tree, size=self._taken().committed.size)

    async def _set_error(self, error: str) -> None:
        """Note why the tree is not signed; it is opened and compared from the start before anything is signed again."""
        self._growing = self.signed = None
        self._check_at = time.monotonic() + self._context.limits.check_seconds
        if error != self.error:
            self.error = error
            log.error("evidence.not_signed", tree=self.tree, error=error)
        if self._head is not None:
            await heads.set_error(self._context.connection, self._head, error)
