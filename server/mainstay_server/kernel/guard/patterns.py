"""Patterns of paths, as every section of a policy writes them."""

from collections.abc import Iterable


class Patterns:
    """Exact paths, and prefixes that ended with `*`."""

    __slots__ = ("_exact", "_prefixes")

    def __init__(self, patterns: Iterable[str]) -> None:
        given = tuple(patterns)
        self._exact = frozenset(p for p in given if not p.endswith("*"))
        self._prefixes = tuple(p[:-1] for p in given if p.endswith("*"))

    def match(self, path: str) -> bool:
        """Whether one of them stands for the path."""
        return path in self._exact or path.startswith(self._prefixes)
