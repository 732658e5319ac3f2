"""An entry as Redis holds it."""

from urllib.parse import quote, unquote

from mainstay._internal.caching.layer import Entry

_VERSION = b"1"


def pack(entry: Entry) -> bytes:
    """Return the entry in one piece, with the form's version in front."""
    tags = ",".join(quote(tag, safe="") for tag in entry.tags).encode()
    return b"%s|%.3f|%.3f|%s|" % (_VERSION, entry.made_at, entry.expires_at, tags) + entry.content


def unpack(packed: object) -> Entry | None:
    """Read what ``pack`` wrote; anything else is no entry."""
    if not isinstance(packed, bytes):
        return None
    try:
        version, made_at, expires_at, told, content = packed.split(b"|", 4)
        tags = tuple(unquote(tag) for tag in told.decode().split(",") if tag)
        entry = Entry(content, float(made_at), float(expires_at), tags)
    except ValueError:
        return None
    return entry if version == _VERSION else None
