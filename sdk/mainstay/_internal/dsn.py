"""Read a DSN: where to send, and as whom."""

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

_PORTS = {"http": 80, "https": 443}
_GUARD_KEY_PREFIX = "mst_guard_"


class Dsn(NamedTuple):
    """A project's address: ``http(s)://<ingest key>@host[:port][/prefix]/<project number>``."""

    scheme: str
    key: str
    host: str
    port: int
    prefix: str
    number: int

    @property
    def place(self) -> str:
        """The address without its keys."""
        return f"{self.scheme}://{self.host}:{self.port}{self.prefix}/{self.number}"

    @property
    def requests_path(self) -> str:
        """The path that takes request batches."""
        return f"{self.prefix}/api/{self.number}/requests/"

    @property
    def alerts_path(self) -> str:
        """The path that takes alerts of the app itself."""
        return f"{self.prefix}/api/{self.number}/alerts/"

    @property
    def report_path(self) -> str:
        """The path that takes reports of what passed the guard."""
        return f"{self.prefix}/api/guard/report"

    @property
    def policy_path(self) -> str:
        """The path that gives the guard's policy."""
        return f"{self.prefix}/api/guard/policy"


def parse_dsn(text: str) -> Dsn:
    """Take a DSN apart.

    The form is Sentry's, so one DSN serves a Sentry SDK and this one. The guard key stands where
    Sentry's old secret did; any other secret there is allowed and not used.

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


def guard_key_in(text: str) -> str:
    """Return the guard key that stands in a DSN, or ``""``.

    It is not a part of ``Dsn``, so that printing one never shows a secret.
    """
    secret = unquote(urlsplit(text.strip()).password or "")
    return secret if secret.startswith(_GUARD_KEY_PREFIX) else ""
