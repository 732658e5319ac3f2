"""What a cache did, for a page, a log line or a metric."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LayerStatistics:
    """One layer: how often it was asked, and had an answer."""

    hits: int
    misses: int

    @property
    def hit_ratio(self) -> float:
        """The share of hits, from 0 to 1; 0 when nobody asked."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


@dataclass(frozen=True)
class Statistics:
    """What a cache did since it was made, in this process.

    ``hits`` and ``misses`` are those of the whole: a value found in either layer is a hit.
    ``computed`` counts values that were made by a function, ``waited`` callers who waited for
    one that another caller was making, ``early`` values that were made anew before their end,
    ``invalidated`` entries of the memory that another process' change threw out, ``evicted``
    those that had to make room, ``away`` questions that Redis did not answer.
    """

    hits: int
    misses: int
    memory: LayerStatistics
    redis: LayerStatistics
    writes: int
    deletes: int
    computed: int
    waited: int
    early: int
    invalidated: int
    evicted: int
    expired: int
    away: int
    entries: int
    bytes: int
    is_shared: bool

    @property
    def hit_ratio(self) -> float:
        """The share of hits, from 0 to 1; 0 when nobody asked."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0
