"""Offers each checkpoint to the witnesses, beside the signing: no witness can slow that down."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from services.audit.evidence import heads
from services.audit.evidence.folder import TreeFolder
from shared.evidence.witnesses import (
    Witness,
    WitnessAheadError,
    WitnessError,
    WitnessListError,
    WitnessRefusedError,
    cosign,
    cosignatures,
    read_witnesses,
)
from shared.process.cancellation import cancellation_requested
from shared.process.postgres import DirectAsync, PostgresError
from shared.transparency.checkpoints import Checkpoint, Tree, parse_checkpoint
from shared.transparency.errors import TransparencyError
from shared.transparency.notes import Note, NoteSignature, parse_note
from shared.transparency.tiles import TileReader

LOOK_SECONDS: Final = 1.0
# After a witness did not cosign, it is asked again.
RETRY_SECONDS: Final = 10.0
FORKED: Final = 422

log = structlog.get_logger(__name__)


class WitnessOffers:
    """Asks all witnesses in the list for their cosignatures, while this process holds the lease.

    Attributes:
        contradictions: why a witness says that the log was forked or rolled back, by tree and witness.
    """

    def __init__(
        self,
        url: str,
        evidence: Path,
        folders: Sequence[tuple[Tree, TreeFolder]],
        require_lease: Callable[[], None],
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self.contradictions: dict[tuple[Tree, str], str] = {}
        self._url = url
        self._evidence = evidence
        self._folders = folders
        self._require_lease = require_lease
        self._look_seconds = look_seconds
        # The size that a witness has cosigned, the moment of the next attempt, and the last error.
        self._sizes: dict[tuple[Tree, str], int] = {}
        self._next: dict[tuple[Tree, str], float] = {}
        self._errors: dict[tuple[Tree, str], str] = {}

    async def run(self) -> None:
        """Offer checkpoints until it is cancelled."""
        while not cancellation_requested():
            for tree, folder in self._folders:
                try:
                    await self._offer(tree, folder)
                except (WitnessListError, TransparencyError, PostgresError, OSError) as error:
                    self._note_error((tree, ""), str(error))
            await asyncio.sleep(self._look_seconds)

    async def _offer(self, tree: Tree, folder: TreeFolder) -> None:
        witnesses = await asyncio.to_thread(read_witnesses, self._evidence)
        data = await asyncio.to_thread(folder.checkpoint) if witnesses else None
        if data is None:
            return
        note = parse_note(data)
        head = parse_checkpoint(note.text)
        asked = [one for one in witnesses if self._is_due(tree, one, note)]
        answers = await asyncio.gather(*(self._ask(tree, folder, one, data, head) for one in asked))
        self._require_lease()
        found = [one for answer in answers for one in answer]
        if found and (cosigned := await asyncio.to_thread(folder.add_cosignatures, note.text, found)):
            await self._record(tree, head, witnesses, parse_note(cosigned))

    def _is_due(self, tree: Tree, witness: Witness, note: Note) -> bool:
        now = asyncio.get_running_loop().time()
        return self._next.get((tree, witness.name), 0.0) <= now and not cosignatures(note, [witness])

    async def _ask(
        self, tree: Tree, folder: TreeFolder, witness: Witness, note: bytes, head: Checkpoint
    ) -> list[NoteSignature]:
        """Return the cosignatures of a witness; none where it refuses, which is logged."""
        which, tiles = (tree, witness.name), TileReader(folder.read, head.size)
        try:
            found = await asyncio.to_thread(cosign, witness, note, tiles, min(self._sizes.get(which, 0), head.size))
        except (WitnessError, TransparencyError) as error:
            self._next[which] = asyncio.get_running_loop().time() + RETRY_SECONDS
            if isinstance(error, WitnessAheadError) or (
                isinstance(error, WitnessRefusedError) and error.status == FORKED
            ):
                self.contradictions[which] = f"{tree}: {error}"
            self._note_error(which, str(error))
            return []
        self._sizes[which] = head.size
        self.contradictions.pop(which, None)
        self._errors.pop(which, None)
        return found

    def _note_error(self, which: tuple[Tree, str], error: str) -> None:
        if self._errors.get(which) != error:
            self._errors[which] = error
            log.warning("evidence.not_witnessed", tree=which[0], witness=which[1], error=error)

    async def _record(self, tree: Tree, head: Checkpoint, witnesses: Sequence[Witness], note: Note) -> None:
        async with await DirectAsync.connect(self._url, autocommit=True, application_name="audit-evidence") as session:
            for one in cosignatures(note, witnesses):
                time = datetime.fromtimestamp(one.time or 0, UTC)
                await heads.set_witnessed(session, tree, head, one.key.name, time)
        log.info("evidence.witnessed", tree=tree, size=head.size)
