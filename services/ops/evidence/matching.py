"""Names what happened to rows that are not the leaves of a tree: changed, missing, inserted, or moved.

A row that has moved has the content of a leaf elsewhere. Contents wait for one another, some thousands of them; beyond
that, the oldest are named without.
"""

from dataclasses import dataclass, field
from typing import Final

from services.ops.evidence.findings import Findings, Kind

# Each takes some hundred bytes.
MOST_WAITING: Final = 20_000


@dataclass(slots=True)
class _Slot:
    """A number whose leaf or row is without its counterpart."""

    leaf: bytes | None = None
    leaf_waits: bool = False
    rows: list[bytes] = field(default_factory=list)


class Matcher:
    """Takes differences in the order of their numbers, and names them."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._slots: dict[int, _Slot] = {}
        # Numbers by content: of leaves without a row, and of rows without a leaf.
        self._leaves: dict[bytes, int] = {}
        self._rows: dict[bytes, int] = {}

    def add(self, number: int, leaf: bytes | None, rows: list[bytes], *, lost: bool) -> None:
        """Add a number.

        Args:
            leaf: the content of the leaf there, None where it cannot be read.
            rows: the contents of the rows there that are not the leaf.
            lost: the leaf is not among the rows there.
        """
        slot = self._slots.setdefault(number, _Slot())
        slot.rows += rows
        if lost:
            slot.leaf, slot.leaf_waits = leaf, True
            self._await_row(number, leaf)
        for row in rows:
            self._await_leaf(number, row)
        if len(self._slots) > MOST_WAITING:
            self._settle(len(self._slots) // 2)

    @property
    def waits(self) -> bool:
        """Whether a leaf has no row yet."""
        return bool(self._leaves)

    def add_new(self, number: int, row: bytes) -> None:
        """Add a row after the last leaf: it may be one that has moved there, and is nothing else."""
        if (leaf_at := self._leaves.get(row)) is not None:
            self._slots.setdefault(number, _Slot()).rows.append(row)
            del self._leaves[row]
            self._moved(leaf_at, number, row)

    def finish(self) -> None:
        """Name everything that is left."""
        self._settle(len(self._slots))

    def _await_row(self, number: int, leaf: bytes | None) -> None:
        if leaf is None:
            return
        if (row_at := self._rows.pop(leaf, None)) is not None:
            self._moved(number, row_at, leaf)
        else:
            self._leaves[leaf] = number

    def _await_leaf(self, number: int, row: bytes) -> None:
        if (leaf_at := self._leaves.pop(row, None)) is not None:
            self._moved(leaf_at, number, row)
        else:
            self._rows[row] = number

    def _moved(self, leaf_at: int, row_at: int, content: bytes) -> None:
        self._findings.at(Kind.MOVED, leaf_at, to=row_at)
        self._slots[leaf_at].leaf_waits = False
        self._slots[row_at].rows.remove(content)
        for number in (leaf_at, row_at):
            self._forget(number)

    def _forget(self, number: int) -> None:
        slot = self._slots.get(number)
        if slot is not None and not slot.leaf_waits and not slot.rows:
            del self._slots[number]

    def _settle(self, count: int) -> None:
        for number in sorted(self._slots)[:count]:
            slot = self._slots.pop(number)
            if slot.leaf_waits:
                self._findings.at(Kind.CHANGED if slot.rows else Kind.MISSING, number)
                self._drop(self._leaves, slot.leaf, number)
            for _ in slot.rows[1 if slot.leaf_waits else 0 :]:
                self._findings.at(Kind.INSERTED, number)
            for row in slot.rows:
                self._drop(self._rows, row, number)

    @staticmethod
    def _drop(waiting: dict[bytes, int], content: bytes | None, number: int) -> None:
        if content is not None and waiting.get(content) == number:
            del waiting[content]
