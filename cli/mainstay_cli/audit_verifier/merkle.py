"""The Merkle tree of RFC 6962, which checkpoints sign the root of."""

import hashlib
from collections.abc import Sequence


def leaf_hash(line: bytes) -> bytes:
    """The hash of one row: of a zero byte and the row's text (RFC 6962, 2.1)."""
    return hashlib.sha256(b"\0" + line).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees: of a one byte and both of their hashes."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    """A tree that only grows, known by the roots of its whole subtrees, the greatest first."""

    def __init__(self, size: int = 0, whole: Sequence[bytes] = ()) -> None:
        if size.bit_count() != len(whole):
            raise ValueError(f"a tree of {size} leaves has another number of whole subtrees")
        self.size = size
        self.whole = list(whole)

    def append(self, subtree: bytes, *, height: int = 0) -> list[bytes]:
        """Add a leaf, or a whole subtree of so many levels that stands where one can stand.

        Returns the subtrees that are whole by it: itself, and each that it completed.
        """
        made = [subtree]
        place = self.size >> height
        while place & 1:
            made.append(node_hash(self.whole.pop(), made[-1]))
            place >>= 1
        self.whole.append(made[-1])
        self.size += 1 << height
        return made

    def root(self) -> bytes:
        """The root of all leaves so far."""
        if not self.whole:
            return hashlib.sha256().digest()
        *rest, root = self.whole
        for subtree in reversed(rest):
            root = node_hash(subtree, root)
        return root

    def grown(self, size: int, subtrees: Sequence[bytes]) -> "Tree":
        """The tree that this one became by so many leaves, which only their subtrees tell of.

        These are the fewest and greatest that stand where one can, the nearest first.
        """
        tree, left = Tree(self.size, self.whole), list(reversed(subtrees))
        while left and tree.size < size:
            fits = (size - tree.size).bit_length() - 1
            aligned = (tree.size & -tree.size).bit_length() - 1 if tree.size else fits
            tree.append(left.pop(), height=min(fits, aligned))
        if left or tree.size != size:
            raise ValueError(f"the subtrees do not lead to a tree of {size} leaves")
        return tree
