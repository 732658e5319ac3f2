"""Paths and the patterns that they are compared with."""

from collections.abc import Iterable


def clean_path(path: str) -> str:
    """Return a decoded path with single slashes and resolved dot segments (RFC 3986 §5.2.4)."""
    if "//" not in path and "/." not in path and path[:1] == "/":
        return path
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    ends_open = segments[-1] in ("", ".", "..") and bool(kept)
    return "/" + "/".join(kept) + ("/" if ends_open else "")


class Patterns:
    """Exact paths, and prefixes before a final ``*``."""

    __slots__ = ("exact", "prefixes")

    def __init__(self, patterns: Iterable[str]) -> None:
        texts = list(patterns)
        self.exact = frozenset(text for text in texts if not text.endswith("*"))
        self.prefixes = tuple({text[:-1] for text in texts if text.endswith("*")})

    def hold(self, path: str) -> bool:
        """Whether one of them is the path's."""
        return path in self.exact or path.startswith(self.prefixes)
