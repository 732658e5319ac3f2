"""Apprise: any of the hundred services that its URLs name, through the optional library.

The library opens its own connections, past `kernel.outbound`; only the host in a URL is looked at
before, which a name that changes its mind gets past. Such channels are therefore the operator's to
allow (`MAINSTAY_ALERTS_APPRISE`), and what would read files of the server or act on it instead of
telling anybody is refused in any case (docs/decisions/0010). Apprise knows no idempotency key: a
try whose answer was lost may be shown twice.
"""

import importlib
import importlib.util
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

from mainstay_server.areas.alerts.models import Change
from mainstay_server.areas.alerts.schemas import ConfigField, Notice
from mainstay_server.areas.alerts.settings import AlertSettings
from mainstay_server.kernel.events import Refused, RetryLater
from mainstay_server.kernel.outbound import OutboundError, check_host_blocking
from mainstay_server.kernel.posting import invalid
from mainstay_server.kernel.settings import of

LABEL = "Apprise"
FIELDS: Sequence[ConfigField] = (
    ConfigField(
        name="url",
        label="Apprise URL",
        placeholder="tgram://bottoken/ChatID, ntfys://topic, mailtos://…",
        hint="One URL of one service, as the Apprise project documents it.",
        secret=True,
    ),
)
SIGNED = False
PER_MINUTE = 0

LONGEST_URL = 2000
LONGEST_REASON = 200
SHORTEST_SECRET = 6
TIMEOUT_SECONDS = 20.0
# Of one socket operation. A URL may ask for another; ours also ends what was given up.
SOCKET_TIMEOUT_SECONDS = 8.0
NOT_INSTALLED = (
    "Apprise is not installed: run pip install 'mainstay-server[apprise]' on the server"
    " and start it again."
)
NOT_ALLOWED = (
    "Apprise is switched off, because its connections pass by the server's address check:"
    " the operator allows it with MAINSTAY_ALERTS_APPRISE=true."
)

SCHEME = re.compile(r"([A-Za-z0-9]{2,30})://(.*)", re.DOTALL)
# Their first part is a host; with the others it may be a token.
NAMES_A_HOST = re.compile(
    r"((?:apprise|form|gotify|json|mailto|xml)s?)://(?:[^/?#]*@)?([A-Za-z0-9.-]+(?::\d+)?)(?=[/?#]|$)"
)
# Digits with dots, one number, hex or octal, or IPv6: any spelling of an address.
LIKE_AN_ADDRESS = re.compile(
    r"[0-9.]+|0[xX][0-9a-fA-F.xX]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*|localhost"
)
ACT_ON_THE_SERVER = frozenset(
    {"blink1", "dbus", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows"}
)
# Parameters by which a service reads a file of the machine that it runs on, and posts it.
READ_FILES = frozenset(
    {"file", "file_url", "keyfile", "pgp", "pgpprv", "pgppub", "subfile", "template", "wkd"}
)
TYPES = {
    "critical": "failure",
    "high": "failure",
    "warning": "warning",
    "medium": "warning",
    "resolved": "success",
}


def checked(config: Mapping[str, Any]) -> dict[str, str]:
    """One URL that Apprise understands, of a service elsewhere."""
    if why := not_ready():
        raise invalid("url", f"cannot be used. {why.rstrip('.')}")
    url = str(config.get("url", "")).strip()
    if len(url) > LONGEST_URL or not url.isprintable() or " " in url:
        raise invalid("url", f"must be one URL of at most {LONGEST_URL} characters, without spaces")
    if why := _danger_of(url):
        raise invalid("url", why.rstrip("."))
    if _service(url) is None:
        raise invalid(
            "url",
            "is not a URL that Apprise understands; compare it with"
            " https://github.com/caronc/apprise/wiki",
        )
    return {"url": url}


def shown(config: Mapping[str, Any]) -> str:
    """The service, and the host where it is known to be none of the secrets."""
    url = str(config["url"])
    if named := NAMES_A_HOST.match(url):
        return f"{named[1]}://{named[2]}/…"
    return f"{url.partition('://')[0]}://…"


def not_ready() -> str:
    """The operator has to allow it, and the library to be there."""
    if not of(AlertSettings).apprise_allowed:
        return NOT_ALLOWED
    return "" if importlib.util.find_spec("apprise") else NOT_INSTALLED


def send(
    notice: Notice,
    *,
    config: Mapping[str, Any],
    secrets: Sequence[str],
    delivery_id: str,
    now: datetime,
) -> str:
    """Let Apprise tell the one service; it says only whether that worked, so all is tried again.

    Refused are URLs that Apprise or we do not take any more.
    """
    _ = secrets, delivery_id, now  # nothing in Apprise's interface takes them
    if why := not_ready():
        raise RetryLater(why)
    url = config["url"]
    service = None if _danger_of(url) else _service(url)
    if service is None:
        raise Refused("Apprise does not take this URL any more; add the channel anew.")
    _refuse_forbidden(url)
    sender = _library().Apprise(service, asset=service.asset)
    with sender.notify(
        title=notice.headline,
        body="\n".join(_lines(notice)),
        body_format="text",
        notify_type=TYPES.get(notice.tone, "info"),
        timeout=TIMEOUT_SECONDS,
    ) as result:
        if not result:
            said = [entry.message for entry in result.logs()]
            raise RetryLater(_without_secrets(said[-1] if said else "It did not say why.", url))
    return ""


def _refuse_forbidden(url: str) -> None:
    """Refuse a URL whose host may not be reached; with most services the first part is no host."""
    place = url.partition("://")[2].rpartition("@")[2] if "@" in url else url.partition("://")[2]
    host = re.split(r"[/?#]", place, maxsplit=1)[0]
    bare = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if not (NAMES_A_HOST.match(url) or LIKE_AN_ADDRESS.fullmatch(bare)):
        return
    try:
        check_host_blocking(bare)
    except OutboundError as error:
        if error.kind == "blocked":  # what is wrong otherwise, Apprise says itself
            raise Refused(error.reason) from None


def _library() -> Any:  # noqa: ANN401 - an optional library, whose types may not be there
    return importlib.import_module("apprise")


def _service(url: str) -> Any | None:  # noqa: ANN401 - a plugin of the optional library
    """The service of a URL with what it may do bounded, or None when it is not understood."""
    library = _library()
    asset = library.AppriseAsset(
        storage_mode=library.PersistentStoreMode.MEMORY,
        http_redirects=False,
        pgp_autogen=False,
        pem_autogen=False,
        service_timeout=TIMEOUT_SECONDS,
    )
    service = library.Apprise.instantiate(url, asset=asset)
    if service is not None:
        service.socket_connect_timeout = SOCKET_TIMEOUT_SECONDS
        service.socket_read_timeout = SOCKET_TIMEOUT_SECONDS
        # The outbox tries again, and a failure that counts as none would never be seen.
        service.retry, service.optional = 0, False
    return service


def _danger_of(url: str) -> str:
    """Why a URL is not for a server that others share, or an empty string."""
    parts = SCHEME.fullmatch(url)
    if parts is None:
        return "must begin with the name of a service, such as tgram:// or mailtos://."
    if parts[1].lower() in ACT_ON_THE_SERVER:
        return (
            f"of {parts[1].lower()}:// would tell only the server itself; name a service elsewhere."
        )
    # Unquoted twice: what Apprise decodes once more must not slip through.
    query = unquote(parts[2].partition("?")[2])
    names = {name.lower().strip() for name, _ in parse_qsl(query, keep_blank_values=True)}
    if forbidden := sorted(names & READ_FILES):
        return f"must not have {forbidden[0]}=: it reads files of the server; leave it out."
    return ""


def _lines(notice: Notice) -> list[str]:
    said = [notice.resolution] if notice.change is Change.RESOLVED else []
    since = f"{notice.project_name} {notice.environment}, since {_moment(notice.opened_at)}"
    if notice.change is Change.RESOLVED and notice.resolved_at:
        since += f" until {_moment(notice.resolved_at)}"
    return [line for line in (*said, notice.message, notice.why_here, since, notice.url) if line]


def _without_secrets(said: str, url: str) -> str:
    """What Apprise said, without any piece of the URL in it."""
    for piece in re.split(r"[^\w.-]+", unquote(url)):
        if len(piece) >= SHORTEST_SECRET:
            said = said.replace(piece, "…")
    return f"Apprise could not deliver: {' '.join(said.split())[:LONGEST_REASON]}"


def _moment(at: datetime) -> str:
    return f"{at:%-d %b %Y, %H:%M} UTC"
