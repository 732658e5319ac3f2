"""What a check says to a port and expects back: text that stands for bytes."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

LONGEST_SHOWN = 60
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|(.?))", re.DOTALL)
_MEANT = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}


def unescaped(text: str) -> bytes:
    r"""The bytes of a text in which \r, \n, \t, \0, \\ and \xHH stand for theirs.

    Raises ValueError for another letter behind a backslash.
    """
    parts, end = [], 0
    for found in _ESCAPE.finditer(text):
        parts.append(text[end : found.start()].encode())
        end = found.end()
        if found.group(1):
            parts.append(bytes.fromhex(found.group(1)))
        elif found.group(2) in _MEANT:
            parts.append(_MEANT[found.group(2)])
        else:
            raise ValueError(
                f"has {found.group()!r} at {found.start() + 1}, which stands for nothing; "
                "a backslash itself is written twice"
            )
    return b"".join([*parts, text[end:].encode()])


def shown(data: bytes) -> str:
    """The beginning of what came back, fit for a sentence."""
    text = data[: LONGEST_SHOWN + 1].decode("utf-8", "replace").strip()
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(data) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"


def _checked(text: str) -> str:
    unescaped(text)
    return text


Said = Annotated[str, Field(max_length=2_000), AfterValidator(_checked)]
