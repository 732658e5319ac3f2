"""Long lists taken piece by piece, where a statement or a transaction may only be so large."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def batched(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items in their order, at most `size` at a time; nothing of nothing.

    As `itertools.batched` of Python 3.12, with slices of the list instead of tuples.
    """
    for first in range(0, len(items), size):
        yield items[first : first + size]
