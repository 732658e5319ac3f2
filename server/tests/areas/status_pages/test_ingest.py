"""The way in before the framework: bytes that are ready, in the form that the client takes."""

import asyncio
import gzip
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import brotli  # type: ignore[import-untyped]
import pytest
from mainstay_server.areas import status_pages
from mainstay_server.areas.status_pages import ingest
from mainstay_server.areas.status_pages.service import keeping
from mainstay_server.areas.status_pages.service.answering import matches
from mainstay_server.kernel.clock import utc_now
from starlette.types import Message
from tests.areas.status_pages.worlds import made_component, made_page
from tests.world import World


@pytest.fixture
def world(client_for: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    """A server whose door never finds that seconds have passed, however slow the machine is."""
    monkeypatch.setattr(ingest, "utc_now", last_look)
    return client_for(status_pages.area)


def last_look() -> datetime:
    kept = list(keeping._Shelf.pages.values())
    return kept[0].checked_at if kept else utc_now()


class Asked:
    """One request to the tree alone; `handed_on` is what it left to the framework."""

    def __init__(self, path: str, method: str = "GET", **headers: str) -> None:
        self.messages: list[Message] = []
        self.handed_on: dict[str, Any] | None = None
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [
                (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
            ],
        }
        asyncio.run(ingest.serve(scope, self._receive, self._send, self._rest))

    async def _receive(self) -> Message:
        raise AssertionError("nothing is read")

    async def _send(self, message: Message) -> None:
        self.messages.append(message)

    async def _rest(self, scope: Any, receive: Any, send: Any) -> None:
        self.handed_on = scope

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)


def test_what_was_asked_for_once_is_answered_from_memory(world: World) -> None:
    page = made_page(world)
    for number in range(5):
        made_component(world, page, f"Component {number}")
    keeping.refresh(now=utc_now())
    whole = world.stranger.get("/status/acme", headers={"accept-encoding": "identity"}).content

    plain = Asked("/status/acme")
    gzipped = Asked("/status/acme", accept_encoding="gzip, deflate")
    smallest = Asked("/status/acme", accept_encoding="gzip, br;q=0.9")
    refused = Asked("/status/acme", accept_encoding="br;q=0, gzip;q=0")
    again = Asked("/status/acme", accept_encoding="br", if_none_match=smallest.headers["etag"])
    head = Asked("/status/acme", "HEAD")

    assert plain.body == refused.body == whole
    assert gzip.decompress(gzipped.body) == brotli.decompress(smallest.body) == whole
    assert len(smallest.body) < len(gzipped.body) < len(plain.body)
    assert (again.status, again.body) == (304, b"")
    assert (head.body, head.headers["content-length"]) == (b"", str(len(whole)))
    assert len({plain.headers["etag"], gzipped.headers["etag"], smallest.headers["etag"]}) == 3


def test_what_is_not_ready_or_not_public_is_handed_on(world: World) -> None:
    page = made_page(world)

    assert Asked("/status/acme").handed_on is not None
    world.stranger.get("/status/acme")
    assert Asked("/status/acme").handed_on is None
    assert Asked("/status/acme", "POST").handed_on is not None
    assert Asked("/status/acme/subscription/token").handed_on is not None
    world.alice.patch(f"/api/status-pages/{page['id']}", json={"visibility": "members"})
    keeping.refresh(now=utc_now())
    assert Asked("/status/acme").handed_on is not None


def test_what_was_not_looked_after_for_two_seconds_is_asked_about_first(world: World) -> None:
    made_page(world)
    world.stranger.get("/status/acme")
    now = last_look()

    assert keeping.kept("acme", now=now) is not None
    assert keeping.kept("acme", now=now + timedelta(seconds=3)) is None


def test_a_path_at_a_host_of_its_own_is_handed_on_under_its_slug(world: World) -> None:
    made_page(world)
    keeping._Shelf.hosts = {"status.acme.example": "acme"}

    asked = Asked("/login", host="STATUS.acme.example.:8443")

    assert asked.handed_on is not None
    assert asked.handed_on["path"] == "/status/acme/login"


@pytest.mark.parametrize(
    ("asked", "same"),
    [(b'"a"', True), (b'W/"a", "b"', True), (b"*", True), (b'"b"', False), (b"", False)],
)
def test_tags_are_compared_weakly(asked: bytes, same: bool) -> None:  # noqa: FBT001
    assert matches(b'"a"', asked) is same
