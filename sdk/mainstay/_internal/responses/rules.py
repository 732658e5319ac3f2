"""The rules of HTTP for a shared cache: what may be kept, for whom, and what it is found by.

RFC 9111 (caching), RFC 9110 §13 (conditional requests), RFC 5861 (stale-while-revalidate). Where
the standard allows and an app may have forgotten something, this is stricter.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from mainstay._internal.caching.making import LONGEST_LIFETIME_SECONDS

Headers = list[tuple[str, str]]

OK: Final = 200
NOT_MODIFIED: Final = 304
KEPT_STATUSES: Final = frozenset((OK, 301, 308, 404, 410))
CREDENTIALS: Final = ("authorization", "cookie", "x-api-key")
# What an app may build links of, without saying so in Vary.
_FORWARDED: Final = (
    "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-prefix",
    "x-forwarded-scheme", "x-forwarded-server", "x-host",
)  # fmt: skip
_FORWARDED_PARTS: Final = re.compile(r'(?:host|proto)=(?:"[^"]*"|[^;,\s"]*)', re.IGNORECASE)
# With one of these the answer is about something else than the address says, or a part of it.
_PASSING: Final = (
    "range", "if-match", "if-unmodified-since", "x-http-method-override", "x-method-override",
    "x-http-method", "x-original-url", "x-rewrite-url", "transfer-encoding", "upgrade",
)  # fmt: skip
CONDITIONS: Final = frozenset(("if-none-match", "if-modified-since", "if-range"))
# What belongs to one answer or one connection, and to no other (RFC 9111 §3.1).
_OF_ONE_ANSWER: Final = frozenset(
    (
        "connection", "keep-alive", "proxy-authenticate", "proxy-authentication-info",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "date", "age",
        "cache-status", "server-timing", "traceparent", "x-request-id", "x-trace-id",
        "x-response-time", "x-process-time",
    )
)  # fmt: skip
_OF_THE_BODY: Final = frozenset(
    ("content-length", "content-type", "content-encoding", "content-language", "content-range")
)
_DIRECTIVE: Final = re.compile(r'([a-z-]+)(?:\s*=\s*(?:"([^"]*)"|([^,\s]*)))?')
_ETAG: Final = re.compile(r'(?:W/)?("[^"]*")')
_FORBIDDING: Final = frozenset(("no-store", "private", "no-cache"))


class Asked(NamedTuple):
    """A GET or HEAD; ``header`` returns ``""`` for one that is absent."""

    method: str
    key: str
    path: str
    header: Callable[[str], str]
    credentials: tuple[str, ...]

    @property
    def turn(self) -> str:
        """Who waits for whom: those who tell who they are never hold up those who do not."""
        return f"{self.key}:personal" if self.credentials else self.key

    @property
    def is_usual(self) -> bool:
        """Whether what becomes of it tells what would become of the same question by others."""
        conditions = any(self.header(name) for name in CONDITIONS)
        return not conditions and "no-store" not in self.header("cache-control").lower()


@dataclass(frozen=True)
class Answer:
    """A whole answer; names of headers are in lower case."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: str) -> str:
        """Return a header, its lines joined, ``""`` when it is absent."""
        return ", ".join(value for found, value in self.headers if found == name)

    def with_headers(self, more: Headers) -> "Answer":
        """Return the answer with headers in place of those of the same names."""
        names = {name for name, _ in more}
        kept = [(name, value) for name, value in self.headers if name not in names]
        return replace(self, headers=kept + more)

    def with_etag(self) -> "Answer":
        """Return it with a strong entity tag, unless the app gave one: equal bytes, equal tag."""
        if self.status != OK or self.header("etag") or "no-store" in directives(self):
            return self
        digest = hashlib.blake2b(self.body, digest_size=16).hexdigest()
        return replace(self, headers=[*self.headers, ("etag", f'"{digest}"')])

    def for_reader(self, if_none_match: str) -> "Answer":
        """Return what the reader needs of it: 304 without a body when that is known there."""
        if (
            self.status != OK
            or not if_none_match
            or not matches(if_none_match, self.header("etag"))
        ):
            return self
        kept = [(name, value) for name, value in self.headers if name not in _OF_THE_BODY]
        return Answer(NOT_MODIFIED, kept, b"")


@dataclass(frozen=True)
class Terms:
    """For how long an answer is fresh and then still served while it is made anew (seconds)."""

    fresh: float
    stale: float
    vary: tuple[str, ...]
    is_public: bool
    tags: tuple[str, ...] = ()


def asked_for(
    method: str,
    path: str,
    place: Sequence[str],
    header: Callable[[str], str],
    credentials: Collection[str],
) -> Asked | None:
    """Return what is asked for, or None for a request that has to reach the app.

    ``place`` is the scheme, host, path as it was written, and query. The query is taken as it is:
    another order is another address, since who knows what the app makes of it.
    """
    if any(header(name) for name in _PASSING) or header("content-length") not in ("", "0"):
        return None
    said = [*place, *(header(name) for name in _FORWARDED)]
    said += _FORWARDED_PARTS.findall(header("forwarded"))
    given = tuple(name for name in credentials if header(name))
    return Asked(method, f"answer:{digest_of(said)}", path, header, given)


def digest_of(parts: Iterable[str]) -> str:
    """Return a name for a list of texts, which no other list has."""
    told = "\0".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()


def directives(answer: Answer) -> dict[str, str]:
    """Return what Cache-Control says; of a directive that comes twice the first."""
    found: dict[str, str] = {}
    for name, quoted, plain in _DIRECTIVE.findall(answer.header("cache-control").lower()):
        found.setdefault(name, quoted or plain)
    return found


def terms_of(asked: Asked, answer: Answer) -> Terms | None:
    """Return how an answer may be kept, or None when it may not be.

    Kept is only what says for how long (``max-age`` or ``s-maxage``), and sets no cookie. What
    was asked for with credentials is kept only when it says ``public`` or ``s-maxage`` (RFC 9111
    §3.5, which asks it of Authorization; here it holds for cookies and API keys too).
    """
    said = directives(answer)
    lifetime = said.get("s-maxage", said.get("max-age", ""))
    if not lifetime or answer.status not in KEPT_STATUSES or not _FORBIDDING.isdisjoint(said):
        return None
    vary = vary_of(answer)
    if vary is None:
        return None
    if answer.header("set-cookie") or "no-store" in asked.header("cache-control").lower():
        return None
    if answer.header("access-control-allow-origin") not in ("", "*") and "origin" not in vary:
        return None
    fresh = _seconds(lifetime) - _seconds(answer.header("age"))
    if fresh <= 0:
        return None
    terms = Terms(
        fresh=min(fresh, LONGEST_LIFETIME_SECONDS),
        stale=_seconds(said.get("stale-while-revalidate", "")),
        vary=vary,
        is_public="public" in said or "s-maxage" in said,
    )
    return terms if may_have(asked, is_public=terms.is_public, vary=vary) else None


def may_have(asked: Asked, *, is_public: bool, vary: Collection[str]) -> bool:
    """Whether a request may be answered with, or fill, what others get too.

    One with credentials only when the app said that it is for everybody, or, for cookies, that
    there is one for each.
    """
    return is_public or all(name == "cookie" and name in vary for name in asked.credentials)


def vary_of(answer: Answer) -> tuple[str, ...] | None:
    """Return the headers of requests that the answer depends on, or None: it depends on all."""
    names = {name.strip().lower() for name in answer.header("vary").split(",")} - {""}
    return None if "*" in names else tuple(sorted(names))


def to_keep(answer: Answer) -> Answer:
    """Return what of an answer may be given to others."""
    named = {name.strip().lower() for name in answer.header("connection").split(",")}
    dropped = _OF_ONE_ANSWER | named
    return replace(answer, headers=[pair for pair in answer.headers if pair[0] not in dropped])


def matches(if_none_match: str, etag: str) -> bool:
    """Compare entity tags weakly (RFC 9110 §8.8.3.2, §13.1.2)."""
    if not etag:
        return False
    return if_none_match.strip() == "*" or etag.removeprefix("W/") in _ETAG.findall(if_none_match)


def tags_of(answer: Answer) -> tuple[str, ...]:
    """Return the surrogate keys of an answer (Fastly's header and Cloudflare's)."""
    tags = answer.header("surrogate-key").replace(",", " ").split()
    tags += [tag.strip() for tag in answer.header("cache-tag").split(",")]
    return tuple(dict.fromkeys(tag for tag in tags if tag))


def _seconds(text: str) -> float:
    """Return a number of seconds (RFC 9111 §1.2.2), 0 for what is none."""
    if not (text.isascii() and text.isdigit()):
        return 0
    return float(min(int(text[:10]), LONGEST_LIFETIME_SECONDS))
