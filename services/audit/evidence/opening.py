"""Take up a tree where it was left: by this process, or by another one with a folder of its own."""

from typing import NamedTuple

import structlog

from services.audit.evidence.comparison import require_extends
from services.audit.evidence.folder import TreeFolder
from services.audit.evidence.growth import GrowingTree
from shared.transparency.checkpoints import Checkpoint
from shared.transparency.errors import TransparencyError

log = structlog.get_logger(__name__)


class OtherTreeError(Exception):
    """The folder, PostgreSQL and the log are not of one origin."""


class OpenedTree(NamedTuple):
    """The tree as far as it is in the folder, and the heads that it has to come to, the smallest first.

    Those heads may have been signed, so the log must lead to them before anything else is signed.
    """

    growing: GrowingTree
    ahead: list[Checkpoint]


def open_tree(folder: TreeFolder, committed: Checkpoint, log_id: str) -> OpenedTree:
    """Open the tree with the origin of the committed head.

    Raises:
        OtherTreeError: the folder has another tree that no new origin has replaced.
        LogChangedError: the tree in the folder does not extend the committed head.
    """
    if not is_of_log(committed.origin, log_id):
        raise OtherTreeError(f"the committed head is of {committed.origin}, and the log here is {log_id}")
    here = folder.head()
    if here is not None and here.origin != committed.origin:
        _put_aside(folder, here, committed)
        here = None
    growing = GrowingTree(folder) if here is None else _load(folder, here)
    heads = [committed] if here is None else [committed, here]
    if here is not None and committed.size <= here.size == growing.size:
        require_extends(folder, committed, here)
    ahead = {head.size: head for head in heads if head.size > growing.size}
    return OpenedTree(growing, [ahead[size] for size in sorted(ahead)])


def is_of_log(origin: str, log_id: str) -> bool:
    return f"/{log_id}/" in origin


def _put_aside(folder: TreeFolder, here: Checkpoint, committed: Checkpoint) -> None:
    if _began(committed.origin) <= _began(here.origin):
        raise OtherTreeError(f"the folder has the tree {here.origin}, and the committed head is of {committed.origin}")
    place = folder.put_aside(here.origin)
    log.warning("evidence.origin_replaced", former=here.origin, new=committed.origin, folder=str(place))


def _began(origin: str) -> str:
    """Return when an origin began, in text that sorts; empty for the first one of a log."""
    return origin.rpartition("/")[2].partition("-")[2]


def _load(folder: TreeFolder, here: Checkpoint) -> GrowingTree:
    try:
        growing = GrowingTree.load(folder, here.size)
        if growing.root() == here.root:
            return growing
        why = "it leads to another root"
    except (FileNotFoundError, TransparencyError) as error:
        why = str(error)
    log.warning("evidence.folder_damaged", origin=here.origin, size=here.size, why=why)
    return GrowingTree(folder)
