"""What Resend tells: only what it signed, and only what concerns a mail of ours."""

import base64
import hashlib
import hmac
import json
from typing import Any

import httpx2 as httpx
import pytest
from mainstay_server.areas.email.models import Email
from mainstay_server.areas.email.settings import EmailSettings
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.settings import override_settings
from pydantic import SecretStr
from tests.areas.email.conftest import ANN, delivered, seen, sent
from tests.world import World

KEY = b"a key of Resend's, for tests only"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
DOOR = "/api/emails/webhooks/resend"


@pytest.fixture
def one(world: World) -> str:
    """A mail that was sent, and Resend may tell of it."""
    override_settings(EmailSettings(resend_webhook_secret=SecretStr(SECRET)))
    found: str = sent(world)["id"]
    delivered()
    return found


def told(
    world: World, event: Any, *, key: bytes = KEY, seconds: int = 0, names: str = "svix"
) -> httpx.Response:
    body = json.dumps(event).encode()
    at = str(int(utc_now().timestamp()) + seconds)
    signature = base64.b64encode(
        hmac.digest(key, f"msg_1.{at}.".encode() + body, hashlib.sha256)
    ).decode()
    headers = {
        f"{names}-id": "msg_1",
        f"{names}-timestamp": at,
        f"{names}-signature": f"v1,bm90IHRoaXM= v1,{signature}",
        "content-type": "application/json",
    }
    return world.stranger.post(DOOR, content=body, headers=headers)


def an_event(kind: str, to: str = ANN, **data: Any) -> dict[str, Any]:
    return {"type": kind, "created_at": "2026-11-21T09:41:45Z", "data": {"to": [to], **data}}


def test_a_permanent_bounce_suppresses_and_is_seen_at_the_mail(world: World, one: str) -> None:
    bounce = {"type": "Permanent", "subType": "General", "message": "550 5.1.1 gone"}
    event = an_event("email.bounced", to="Ann@example.com", bounce=bounce)
    for names in ("svix", "webhook"):
        assert told(world, event, names=names).status_code == 200
    assert (seen(world, one)["state"], seen(world, one)["reason"]) == ("bounced", "550 5.1.1 gone")
    (kept,) = world.bob.get("/api/email-suppressions").json()["suppressions"]
    assert (kept["address"], kept["reason"]) == (ANN, "hard_bounce")


def test_a_complaint_is_found_by_resends_own_id(world: World, one: str) -> None:
    with transaction() as session:
        session.get_one(Email, one).provider_id = "re_1"
    event = an_event("email.complained", to="alias@elsewhere.example", email_id="re_1")
    assert told(world, event).json() == {"outcome": "recorded"}
    assert seen(world, one)["state"] == "complained"
    (kept,) = world.bob.get("/api/email-suppressions").json()["suppressions"]
    assert (kept["address"], kept["reason"]) == (ANN, "complaint")


def test_what_says_nothing_of_a_lost_reader_is_ignored(world: World, one: str) -> None:
    for event in (
        an_event("email.delivered"),
        an_event("email.bounced", bounce={"type": "Transient"}),
        an_event("email.bounced", to="nobody@example.com"),
    ):
        assert told(world, event).json() == {"outcome": "ignored"}
    assert seen(world, one)["state"] == "sent"


def test_what_resend_did_not_sign_now_is_refused(world: World, one: str) -> None:
    event = an_event("email.bounced")
    assert told(world, event, key=b"another key").status_code == 401
    assert told(world, event, seconds=-301).status_code == 401
    assert told(world, event, seconds=301).status_code == 401
    assert world.stranger.post(DOOR, json=event).status_code == 401
    assert told(world, [1]).status_code == 400
    assert seen(world, one)["state"] == "sent"
    override_settings(EmailSettings())
    assert told(world, event).status_code == 404
