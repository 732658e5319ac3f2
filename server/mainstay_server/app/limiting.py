"""How often Mainstay itself may be asked: its API, the ways in that take passwords, its doors."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.limits import (
    Bucket,
    LimitSettings,
    Rate,
    bucket_key,
    microseconds,
    take_async,
)
from mainstay_server.kernel.limits.headers import Named, limit_headers, refusal
from mainstay_server.kernel.networks import network_of
from mainstay_server.tenancy.access import SESSION_COOKIE
from mainstay_server.tenancy.credentials import keys_given

API = "/api/"
HEALTH = ("/api/health", "/api/health/")
ENTRIES = ("/login", "/api/me/password")
ENTRIES_BY_LINK = ("/set-up/", "/join/")
MINUTE = 60
ENTRY_BURST_MINUTES = 3
FIELDS = {
    name: name.lower().encode()
    for name in (
        "RateLimit-Policy",
        "RateLimit",
        "X-RateLimit-Limit",
        "X-RateLimit-Remaining",
        "X-RateLimit-Reset",
    )
}
COOKIE = f"{SESSION_COOKIE}=".encode()
DIGEST_CHARACTERS = 32

Refuse = Callable[[Request, Exception], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Limit:
    """One of our own limits; `prefix` begins the keys of its buckets."""

    named: Named
    prefix: str

    @classmethod
    def per_minute(cls, name: str, quota: int, *, burst_minutes: int = 1) -> "Limit | None":
        """So many in a minute; None for 0, which is no limit."""
        if not quota:
            return None
        rate = Rate(quota, MINUTE, quota * burst_minutes)
        return cls(Named(name, rate), bucket_key(f"mainstay|{name}", rate, ""))


class Limited:
    """ASGI layer before the framework, behind what tells the true address of a client.

    The API is limited for each access token or session, and for each address whatever it shows
    there: a token that was made up costs us a look, too. Ways in that take a password, or the
    secret of a link, are limited for each address besides. Health endpoints are not limited.
    """

    def __init__(self, app: ASGIApp, settings: LimitSettings, refuse: Refuse) -> None:
        self._app = app
        self._refuse = refuse
        self._caller = Limit.per_minute("api", settings.limit_api_per_minute)
        self._address = Limit.per_minute("api-address", settings.limit_address_per_minute)
        self._entry = Limit.per_minute(
            "entry", settings.limit_entry_per_minute, burst_minutes=ENTRY_BURST_MINUTES
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or say when it may be made again."""
        named, buckets = self._charged(scope) if scope["type"] == "http" else ([], [])
        if not buckets:
            await self._app(scope, receive, send)
            return
        verdict = await take_async(buckets, now_us=microseconds(utc_now()))

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = limit_headers(named, verdict)
                fields = [(FIELDS[name], value.encode()) for name, value in told.items()]
                message["headers"] = [*message["headers"], *fields]
            await send(message)

        if verdict.admitted:
            await self._app(scope, receive, send_with_limits)
            return
        answer = await self._refuse(Request(scope, receive), refusal(named, verdict))
        await answer(scope, receive, send_with_limits)

    def _charged(self, scope: Scope) -> tuple[list[Named], list[Bucket]]:
        """What a request is charged to, as it is told, and the buckets."""
        path: str = scope["path"]
        client = scope.get("client")
        network = network_of(client[0]) if client else ""
        named: list[Named] = []
        buckets: list[Bucket] = []

        def charge(limit: Limit | None, whom: str) -> None:
            if limit is not None and whom:
                named.append(limit.named)
                buckets.append(Bucket(limit.prefix + whom, limit.named.rate))

        if is_limited(path):
            charge(self._caller, _credential(scope["headers"]))
            charge(self._address, network)
        if scope["method"] == "POST" and (path in ENTRIES or path.startswith(ENTRIES_BY_LINK)):
            charge(self._entry, network)
        return named, buckets


class DoorLimit:
    """How many messages an ingest key may send; before its door reads anything of them."""

    def __init__(self, settings: LimitSettings) -> None:
        self._limit = Limit.per_minute("ingest", settings.limit_ingest_per_minute)

    async def refuse_fast(self, scope: Scope, number: int) -> None:
        """Charge one message to its key, or to the project when the key is in its body.

        Raises:
            QuotaExceeded: with what Sentry's SDKs obey: `X-Sentry-Rate-Limits`, all categories.
        """
        if self._limit is None or scope["method"] != "POST":
            return
        whom = next(iter(keys_given(scope)), f"project:{number}")
        bucket = Bucket(self._limit.prefix + whom, self._limit.named.rate)
        verdict = await take_async((bucket,), now_us=microseconds(utc_now()))
        if verdict.admitted:
            return
        seconds = max(1, -(-(verdict.retry_after_us or 0) // 1_000_000))
        headers = {
            **limit_headers([self._limit.named], verdict),
            "X-Sentry-Rate-Limits": f"{seconds}::key:rate_limited",
            "Access-Control-Expose-Headers": "X-Sentry-Rate-Limits, Retry-After",
        }
        raise refusal([self._limit.named], verdict, headers)


def is_limited(path: str) -> bool:
    """Whether a path is of the API, whose callers are counted; those who ask for health are not."""
    return path.startswith(API) and path != HEALTH[0] and not path.startswith(HEALTH[1])


def _credential(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """A digest of the token or session that a request shows; "" without one.

    A digest, since buckets are kept where others look, too.
    """
    cookie = b""
    for name, value in headers:
        if name == b"authorization":
            return _digest(value)
        if name == b"cookie":
            cookie = value
    _, found, rest = cookie.partition(COOKIE)
    return _digest(rest.partition(b";")[0]) if found else ""


def _digest(secret: bytes) -> str:
    return hashlib.sha256(secret).hexdigest()[:DIGEST_CHARACTERS] if secret else ""
