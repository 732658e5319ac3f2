"""Text for XML: what XML 1.0 cannot hold at all is left out (2.2, the production Char)."""

import re

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def legal(text: str) -> str:
    """The text without the characters that no XML document may contain."""
    return _ILLEGAL.sub("", text)
