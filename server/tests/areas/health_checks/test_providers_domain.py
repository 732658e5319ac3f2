"""The domain check against a registry that speaks RDAP, one that is away, and one that is odd."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mainstay_server.areas.health_checks.models import HealthState
from mainstay_server.areas.health_checks.schemas.orders import ProbeOrder
from mainstay_server.areas.health_checks.service.probing import ask_once_confirmed
from mainstay_server.kernel import outbound
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.settings import forget_settings
from tests.areas.health_checks.worlds import NOON, ask
from tests.servers.http import Answer, HttpReceiver, running_http

JSON = {"content-type": "application/rdap+json"}


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpReceiver]:
    outbound.open_outbound(allow_private=True)
    with running_http() as receiver:
        listed = {"services": [[["example", "co.example"], [f"{receiver.url}/rdap/"]]]}
        receiver.answer_at("/dns.json", Answer(headers=JSON, body=json.dumps(listed).encode()))
        monkeypatch.setenv("MAINSTAY_HEALTH_CHECKS_RDAP_BOOTSTRAP_URL", f"{receiver.url}/dns.json")
        forget_settings()
        yield receiver
    forget_settings()
    outbound.close_outbound()


def knows(registry: HttpReceiver, domain: str, ends_at: datetime | None, *status: str) -> None:
    events = [{"eventAction": "registration", "eventDate": "2001-01-01T00:00:00Z"}]
    if ends_at is not None:
        events.append({"eventAction": "expiration", "eventDate": ends_at.isoformat()})
    body: dict[str, Any] = {
        "objectClassName": "domain",
        "events": events,
        "status": ["active", *status],
        "entities": [
            {"roles": ["registrar"], "vcardArray": ["vcard", [["fn", {}, "text", "Names Inc"]]]}
        ],
    }
    registry.answer_at(
        f"/rdap/domain/{domain}", Answer(headers=JSON, body=json.dumps(body).encode())
    )


def missing(registry: HttpReceiver, domain: str) -> None:
    registry.answer_at(f"/rdap/domain/{domain}", Answer(status=404))


def soon(days: int) -> datetime:
    return utc_now().replace(microsecond=0) + timedelta(days=days)


def test_a_domain_is_healthy_until_it_ends_and_is_asked_about_once(
    registry: HttpReceiver,
) -> None:
    ends_at = soon(40)
    knows(registry, "shop.example", ends_at)

    result = ask(
        "domain",
        {"domain": "Shop.example"},
        conditions=["[DOMAIN_EXPIRATION] > 720h", "[REGISTRAR] == Names Inc"],
    )
    again = ask("domain", {"domain": "shop.example"}, conditions=["[DOMAIN_EXPIRATION] > 960h"])

    assert (result.state, result.reason) == ("healthy", "")
    assert result.facts["domain_ends_at"] == ends_at.timestamp()
    assert again.reason == "[DOMAIN_EXPIRATION] (39d23h) > 960h"
    assert [each.path for each in registry.requests] == ["/dns.json", "/rdap/domain/shop.example"]


def test_the_registered_name_is_found_below_an_ending_of_two_parts(
    registry: HttpReceiver,
) -> None:
    missing(registry, "co.example")
    knows(registry, "tea.co.example", soon(90))

    result = ask("domain", {"domain": "www.tea.co.example"})

    assert (result.state, result.values["BODY"]) == ("healthy", "tea.co.example")


@pytest.mark.parametrize(
    ("days", "status", "reason"),
    [
        (-1, "", "the registration ended on "),
        (90, "redemption period", "the registry says redemption period"),
        (90, "client hold", "the registry says client hold"),
    ],
)
def test_a_domain_that_has_ended_or_is_held_is_down(
    registry: HttpReceiver, days: int, status: str, reason: str
) -> None:
    knows(registry, "shop.example", soon(days), status)

    result = ask("domain", {"domain": "shop.example"})

    assert result.state == "unhealthy"
    assert result.reason.startswith(reason)


def test_a_domain_that_nobody_registered_is_down(registry: HttpReceiver) -> None:
    missing(registry, "gone.example")

    result = ask("domain", {"domain": "gone.example"})

    assert (result.state, result.reason) == ("unhealthy", "gone.example is not registered")


@pytest.mark.parametrize(
    ("domain", "answer", "reason"),
    [
        ("shop.example", Answer(status=503), "answers 503"),
        ("shop.example", Answer(body=b"<html>"), "no RDAP"),
        ("shop.example", Answer(close=True), "did not answer by RDAP"),
        ("shop.nowhere", Answer(), "The registry of .nowhere does not tell by RDAP"),
    ],
)
def test_a_registry_that_does_not_answer_says_nothing_of_the_domain(
    registry: HttpReceiver, domain: str, answer: Answer, reason: str
) -> None:
    registry.answer_at("/rdap/domain/shop.example", answer)

    result = ask("domain", {"domain": domain})

    assert not result.conclusive
    assert reason in result.reason


def test_a_registry_that_hangs_says_nothing_of_the_domain(registry: HttpReceiver) -> None:
    registry.answer_at("/rdap/domain/shop.example", Answer(hang=True))

    assert not ask("domain", {"domain": "shop.example"}, timeout_seconds=1).conclusive


def test_a_page_can_be_asked_when_its_domain_ends(registry: HttpReceiver) -> None:
    order = ProbeOrder(
        check_id="check",
        instance_id="instance",
        kind="http",
        url=registry.url,
        config={"url": registry.url},
        host="api.shop.example",
        conditions=("[DOMAIN_EXPIRATION] > 720h",),
        interval_seconds=60,
        timeout_seconds=60,
        degraded_after_ms=60_000,
        state=HealthState.HEALTHY,
        at=NOON,
    )
    knows(registry, "shop.example", datetime.now(UTC) + timedelta(days=7))

    found = asyncio.run(ask_once_confirmed(order, clock=utc_now, confirm_seconds=0)).result

    assert found is not None
    assert (found.state, found.reason) == ("unhealthy", "[DOMAIN_EXPIRATION] (6d23h) > 720h")
