"""Post a message to somebody's receiver, and read from its answer whether to try again.

Several areas and the mail read the same statuses alike: what may pass, what never will, and what
says that nobody will ever be there again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from .events import Refused, RetryLater
from .outbound import OutboundError, Response, fetch_blocking
from .problems import Invalid

POST_TIMEOUT_SECONDS = 10.0
MOST_ANSWER_BYTES = 64 * 1024
MOST_QUOTED = 120
LONGEST_WISHED_PAUSE_SECONDS = 24 * 3600.0
# Somebody has to renew a key over there; knocking every few seconds would not help.
PAUSE_WHEN_UNAUTHORIZED_SECONDS = 15 * 60.0
LONGEST_URL = 2000
LONGEST_WORD = 20  # longer first parts of a path are tokens rather than words


class ReceiverGone(Refused):
    """The receiver will never take anything again: whatever leads to it is to be switched off."""


class ReceiverMissing(RetryLater):
    """Nobody is there (404): a proxy without its app says so too, so only a lasting one is gone."""


@dataclass(frozen=True, kw_only=True)
class Posted:
    """What a receiver answered to a POST, and what that means for the try."""

    status: int
    said: str
    body: bytes
    retry_after_seconds: float | None

    @property
    def reason(self) -> str:
        """One sentence for the delivery history, with the beginning of what was answered."""
        return f"The receiver answered {self.status}" + (f": {self.said}" if self.said else ".")

    def accept(self) -> None:
        """Return when it was taken; otherwise say whether another try makes sense.

        Raises `RetryLater` for 408, 425, 429 and 5xx (not before `Retry-After`, RFC 9110 section
        10.2.3) and for 401 and 403 (a while later), `Refused` for the rest.
        """
        status = self.status
        if 200 <= status < 300:  # noqa: PLR2004 - the class of success
            return
        if status in (401, 403):
            raise RetryLater(self.reason, after_seconds=PAUSE_WHEN_UNAUTHORIZED_SECONDS)
        if status in (408, 425, 429) or status >= 500:  # noqa: PLR2004 - the class of their faults
            raise RetryLater(self.reason, after_seconds=self.retry_after_seconds)
        if 300 <= status < 400:  # noqa: PLR2004 - the class of redirects
            raise Refused(f"{self.reason} Redirects are not followed; give the final URL.")
        raise Refused(self.reason)


def post_json(
    url: str,
    body: bytes,
    *,
    key: str,
    headers: Mapping[str, str],
    public_only: bool = False,
    now: datetime,
) -> Posted:
    """POST a body of JSON under an idempotency key; at most 10 s. The caller judges the answer.

    `public_only` is for URLs that strangers give: no private address is reached, whoever else may.

    Raises `RetryLater` when there was no answer, `Refused` when the address is not to be reached.
    """
    try:
        answer = fetch_blocking(
            "POST",
            url,
            headers={"content-type": "application/json", "idempotency-key": key, **headers},
            body=body,
            timeout_seconds=POST_TIMEOUT_SECONDS,
            max_body_bytes=MOST_ANSWER_BYTES,
            public_only=public_only,
        )
    except OutboundError as error:
        failure = Refused if error.kind == "blocked" else RetryLater
        raise failure(error.reason) from None
    return Posted(
        status=answer.status,
        said=_beginning_of(answer),
        body=answer.body,
        retry_after_seconds=_retry_after(answer.headers.get("retry-after", ""), now=now),
    )


def checked_url(url: str, *, field: str, example: str) -> str:
    """A receiver's URL as it is kept, of http or https; `field` of a config is who gave it.

    Raises `Invalid` with the next step.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        host, credentials, _ = parts.hostname, parts.username or parts.password, parts.port
    except ValueError:
        raise invalid(field, "is not a URL; copy it again from the receiver") from None
    if parts.scheme not in ("http", "https") or not host:
        raise invalid(field, f"must begin with https:// or http:// and name a host: {example}")
    if credentials:
        raise invalid(field, f"must not hold a user name or password, but be as {example}")
    if len(url) > LONGEST_URL or not url.isprintable() or " " in url:
        raise invalid(field, f"must be at most {LONGEST_URL} characters, without spaces")
    return url


def masked_url(url: str, *, with_word: bool = False) -> str:
    """Scheme and host, if wished with the first word of the path: the rest is often a secret."""
    parts = urlsplit(url)
    first, _, rest = parts.path.lstrip("/").partition("/")
    if not with_word or len(first) > LONGEST_WORD:
        return f"{parts.scheme}://{parts.netloc}/…"
    masked = "/…" if rest or parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/{first}{masked}"


def invalid(field: str, what: str) -> Invalid:
    """The refusal of one field of a config: what it must be, and so what to do."""
    return Invalid.of_field(f"config.{field}", f"{field} {what}.")


def _beginning_of(answer: Response) -> str:
    return " ".join(answer.body.decode(errors="replace").split())[:MOST_QUOTED]


def _retry_after(header: str, *, now: datetime) -> float | None:
    """Retry-After as seconds from now, at most a day; None without a readable one."""
    if header.isascii() and header.isdigit():
        seconds = float(header)
    else:
        try:
            seconds = (parsedate_to_datetime(header) - now).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), LONGEST_WISHED_PAUSE_SECONDS)
