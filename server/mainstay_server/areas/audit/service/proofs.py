"""Proofs: what stands in the tree before and behind some rows, read with a handful of queries."""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from mainstay_cli.audit_verifier.merkle import node_hash
from sqlalchemy.orm import Session

from mainstay_server.areas.audit.models import AuditRow, AuditSubtree

from .appending import HEIGHTS_KEPT

Place = tuple[int, int]  # the height of a whole subtree, and how many of it stand before it


class Subtrees:
    """Roots of whole subtrees of one log, from what is kept of it.

    `removed` are those of the rows that retention removed, of which nothing smaller is known.
    """

    def __init__(
        self, session: Session, organization_id: str, removed: Sequence[str], size: int
    ) -> None:
        self._session = session
        self._organization_id = organization_id
        pairs = zip(places_before(size), removed, strict=True)
        self._known = {place: bytes.fromhex(text) for place, text in pairs}

    def before(self, size: int) -> list[bytes]:
        """The whole subtrees of the first rows, the greatest first."""
        return [self._root(place) for place in places_before(size)]

    def between(self, first: int, last: int) -> list[bytes]:
        """The fewest whole subtrees of the rows after `first` up to `last`, the nearest first."""
        return [self._root(place) for place in places_between(first, last)]

    def _root(self, place: Place) -> bytes:
        if place not in self._known:
            self._read_below(place)
        if place not in self._known:
            height, number = place
            assert height > 0, "a row of the log is missing"
            left = self._root((height - 1, 2 * number))
            right = self._root((height - 1, 2 * number + 1))
            self._known[place] = node_hash(left, right)
        return self._known[place]

    def _read_below(self, place: Place) -> None:
        """Read what is kept within a subtree, at most 256 hashes of the next level that is kept."""
        height, number = place
        at = (height - 1) // HEIGHTS_KEPT * HEIGHTS_KEPT if height else 0
        first, count = number << (height - at), 1 << (height - at)
        for found, text in self._session.execute(self._kept(at, first, first + count)):
            self._known.setdefault((at, found), bytes.fromhex(text))

    def _kept(self, height: int, first: int, end: int) -> sa.Select[Any, Any]:
        if height == 0:
            return sa.select(AuditRow.position - 1, AuditRow.hash).where(
                AuditRow.organization_id == self._organization_id,
                AuditRow.position > first,
                AuditRow.position <= end,
            )
        return sa.select(AuditSubtree.place, AuditSubtree.hash).where(
            AuditSubtree.organization_id == self._organization_id,
            AuditSubtree.height == height,
            AuditSubtree.place >= first,
            AuditSubtree.place < end,
        )


def places_before(size: int) -> Iterator[Place]:
    """Where the whole subtrees of the first rows stand, the greatest first (RFC 6962, 2.1)."""
    done = 0
    for height in reversed(range(size.bit_length())):
        if size >> height & 1:
            yield height, done >> height
            done += 1 << height


def places_between(first: int, last: int) -> Iterator[Place]:
    """Where the fewest whole subtrees of the rows after `first` up to `last` stand."""
    while first < last:
        fits = (last - first).bit_length() - 1
        aligned = (first & -first).bit_length() - 1 if first else fits
        height = min(fits, aligned)
        yield height, first >> height
        first += 1 << height
