"""Read a DSN: where to send, and as whom."""

from typing import NamedTuple
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


class Dsn(NamedTuple):
    """A project's address: ``http(s)://<ingest key>@host[:port][/prefix]/<project number>``."""

    scheme: str
    key: str
    host: str
    port: int
    prefix: str
    number: int

    @property
    def requests_path(self) -> str:
        """The path that takes request batches."""
        return f"{self.prefix}/api/{self.number}/requests/"


def parse_dsn(text: str) -> Dsn:
    """Take a DSN apart.

    The form is Sentry's, so one DSN serves a Sentry SDK and this one; an old secret after the
    key is allowed and not used.

    Raises ValueError with the part that is wrong, and never with the DSN itself: it would end
    in the host's log.
    """
    parts = urlsplit(text.strip())
    if parts.scheme not in _PORTS:
        raise ValueError("it must start with http:// or https://")
    if not parts.username:
        raise ValueError("the ingest key before the @ is missing")
    if not parts.hostname:
        raise ValueError("the host after the @ is missing")
    if any(ord(c) <= ord(" ") or ord(c) > ord("~") for c in parts.path + parts.username):
        raise ValueError("the key and the path must be plain ASCII without spaces")
    prefix, _, number = parts.path.rstrip("/").rpartition("/")
    if not (number.isascii() and number.isdigit()):
        raise ValueError("it must end with /<project number>")
    return Dsn(
        scheme=parts.scheme,
        key=parts.username,
        host=parts.hostname,
        port=parts.port or _PORTS[parts.scheme],
        prefix=prefix,
        number=int(number),
    )
