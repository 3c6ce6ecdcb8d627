"""RFC 6962, section 2.1, word for word: recursive, over the entries themselves."""

import hashlib
from collections.abc import Sequence


def root(entries: Sequence[bytes]) -> bytes:
    """MTH(D[n])"""
    match len(entries):
        case 0:
            return hashlib.sha256().digest()
        case 1:
            return hashlib.sha256(b"\x00" + entries[0]).digest()
        case _:
            k = split(len(entries))
            return hashlib.sha256(b"\x01" + root(entries[:k]) + root(entries[k:])).digest()


def path(index: int, entries: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n])"""
    if len(entries) == 1:
        return []
    k = split(len(entries))
    if index < k:
        return [*path(index, entries[:k]), root(entries[k:])]
    return [*path(index - k, entries[k:]), root(entries[:k])]


def proof(old: int, entries: Sequence[bytes]) -> list[bytes]:
    """PROOF(m, D[n])"""
    return subproof(old, entries, complete=True)


def subproof(old: int, entries: Sequence[bytes], *, complete: bool) -> list[bytes]:
    """SUBPROOF(m, D[n], b)"""
    if old == len(entries):
        return [] if complete else [root(entries)]
    k = split(len(entries))
    if old <= k:
        return [*subproof(old, entries[:k], complete=complete), root(entries[k:])]
    return [*subproof(old - k, entries[k:], complete=False), root(entries[:k])]


def split(count: int) -> int:
    """The largest power of two smaller than n."""
    k = 1
    while 2 * k < count:
        k *= 2
    return k
