"""The browser check with a real Chromium: what a page shows, hides, complains of, and withholds."""

import asyncio
import importlib.util
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from mainstay_server.areas.health_checks.providers import PROVIDERS
from mainstay_server.areas.health_checks.providers.browser import driving
from mainstay_server.areas.health_checks.schemas.orders import ProbeResult
from mainstay_server.kernel import outbound
from pydantic import ValidationError
from tests.areas.health_checks.worlds import ask
from tests.servers.http import Answer, HttpReceiver, running_http

HTML = {"content-type": "text/html"}
LOGIN = b"""<!doctype html><title>Shop</title><form action="/welcome">
<input id="user" name="user"><input id="password" name="password" type="password">
<button>Sign in</button></form><script>console.error("the cart is empty")</script>"""
WELCOME = b"<!doctype html><title>Your orders</title><h1>Welcome back</h1>"
BUSY = b"<!doctype html><title>Busy</title><script>for(;;){}</script>"


@pytest.fixture
def way_out() -> Iterator[None]:
    outbound.open_outbound(allow_private=True)
    yield
    outbound.close_outbound()


@pytest.fixture
def shop(way_out: None) -> Iterator[HttpReceiver]:
    with running_http() as receiver:
        receiver.answer_at("/login", Answer(headers=HTML, body=LOGIN))
        receiver.answer_at("/welcome", Answer(headers=HTML, body=WELCOME))
        receiver.answer_at("/busy", Answer(headers=HTML, body=BUSY))
        yield receiver


def signing_in(shop: HttpReceiver, **more: Any) -> dict[str, Any]:
    return {
        "page": f"{shop.url}/login",
        "secrets": {"password": "s3cr3t-word"},
        "steps": [
            {"action": "fill", "selector": "#user", "value": "probe"},
            {"action": "fill", "selector": "#password", "value": "{{password}}"},
            {"action": "click", "selector": "button", "name": "sign in"},
            {"action": "expectTitle", "value": "Your orders"},
            {"action": "expectText", "selector": "h1", "value": "Welcome"},
        ],
        **more,
    }


def test_a_browser_goes_through_a_page_as_a_person_would(shop: HttpReceiver) -> None:
    result = ask("browser", signing_in(shop))

    assert (result.state, result.reason) == ("healthy", "")
    assert [(step.name, step.state) for step in result.steps] == [
        ("open the page", "healthy"),
        ("fill #user", "healthy"),
        ("fill #password", "healthy"),
        ("sign in", "healthy"),
        ("expectTitle Your orders", "healthy"),
        ("expectText h1", "healthy"),
    ]
    assert all(step.response_ms > 0 for step in result.steps)
    assert result.console == ("the cart is empty",)
    assert result.screenshot.startswith(b"\xff\xd8"), "a JPEG"
    assert len(result.screenshot) < 512 * 1024
    assert any(r.path == "/welcome?user=probe&password=s3cr3t-word" for r in shop.requests)


def test_no_secret_is_in_a_title_or_a_picture(shop: HttpReceiver) -> None:
    """A page may echo what is typed; the picture of the field is the same whatever was typed."""
    echo = b"""<!doctype html><title>Shop</title><input id="user"
    oninput="document.title = this.value">"""
    shop.answer_at("/echo", Answer(headers=HTML, body=echo))

    def typed(secret: str) -> ProbeResult:
        fill = {"action": "fill", "selector": "#user", "value": "{{key}}"}
        config = {"page": f"{shop.url}/echo", "secrets": {"key": secret}, "steps": [fill]}
        return ask("browser", config)

    one, other = typed("s3cr3t-word"), typed("0ther-wordz")

    assert one.facts["title"] == other.facts["title"] == "•••"
    assert one.screenshot == other.screenshot


def test_the_target_tells_wherever_the_steps_go() -> None:
    browser = PROVIDERS["browser"]
    config = browser.Config.model_validate(
        {
            "page": "https://me:pw@shop.example/login",
            "steps": [
                {"action": "goto", "value": "https://shop.example/orders"},
                {"action": "goto", "value": "https://pay.example/{{key}}"},
            ],
            "secrets": {"key": "s3cr3t-word"},
        }
    )

    assert browser.target_of(config) == "https://shop.example/login, then https://pay.example"


def test_what_is_not_there_is_named_with_what_is(shop: HttpReceiver) -> None:
    config = signing_in(shop)
    config["steps"][4]["value"] = "s3cr3t-word"

    result = ask("browser", config, timeout_seconds=15)

    assert result.state == "unhealthy"
    assert result.reason.startswith("step expectText h1: ")
    assert "Actual value: Welcome back" in result.reason
    assert "s3cr3t-word" not in repr(result)
    assert result.screenshot


def test_what_the_page_complains_of_can_be_a_failure(shop: HttpReceiver) -> None:
    result = ask("browser", signing_in(shop, failOnConsoleErrors=True))

    assert (result.state, result.reason) == (
        "unhealthy",
        "the page complains: the cart is empty",
    )


def test_a_page_that_answers_badly_is_unhealthy(shop: HttpReceiver) -> None:
    shop.answer_at("/login", Answer(status=503, headers=HTML))

    result = ask("browser", {"page": f"{shop.url}/login", "steps": []})

    assert result.reason == "step open the page: answered 503"


def test_a_page_that_never_rests_ends_with_its_browser(shop: HttpReceiver) -> None:
    result = ask("browser", {"page": f"{shop.url}/busy"}, timeout_seconds=2)

    assert result.state == "unhealthy"
    assert result.reason.startswith("step open the page: no")
    assert browsers() == [], "nothing that was started is left"


def browsers() -> list[int]:
    """The processes that work in a browser's folder."""
    found = psutil.process_iter(["cmdline"])
    mark = driving.FOLDER_PREFIX
    return [p.pid for p in found if any(mark in word for word in p.info["cmdline"] or ())]


def test_other_tasks_go_on_while_a_page_hangs(shop: HttpReceiver) -> None:
    shop.answer_at("/login", Answer(hang=True))
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0.05)

    async def both() -> ProbeResult:
        beating = asyncio.create_task(beat())
        try:
            return await asyncio.to_thread(
                ask, "browser", {"page": f"{shop.url}/login"}, timeout_seconds=2
            )
        finally:
            beating.cancel()

    began = time.monotonic()
    result = asyncio.run(both())

    assert result.state == "unhealthy"
    assert beats > (time.monotonic() - began) / 0.05 / 10


def test_a_browser_reaches_nothing_that_a_call_may_not() -> None:
    outbound.open_outbound(allow_private=False)
    try:
        with running_http() as inside:
            result = ask("browser", {"page": f"{inside.url}/login"}, timeout_seconds=10)
    finally:
        outbound.close_outbound()

    assert result.reason == "step open the page: answered 403"
    assert inside.requests == []


def test_without_playwright_it_says_how_to_get_it(
    way_out: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)

    result = ask("browser", {"page": "https://shop.example/"})

    assert not result.conclusive, "that says nothing about the app"
    assert "pip install 'mainstay-server[browser]'" in result.reason


def test_without_a_browser_it_says_how_to_get_it(
    way_out: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))

    result = ask("browser", {"page": "https://shop.example/"})

    assert not result.conclusive
    assert "MAINSTAY_BROWSER_PATH" in result.reason


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"steps": [{"action": "click"}]}, "click needs a selector"),
        ({"steps": [{"action": "expectText"}]}, "expectText needs a value"),
        ({"steps": [{"action": "evaluate", "value": "1"}]}, "action"),
        ({"steps": [{"action": "goto", "value": "file:///etc/passwd"}]}, "http"),
        ({"page": "file:///etc/passwd"}, "page"),
        ({"steps": [{"action": "press", "value": "{{x}}"}]}, "no secret x"),
    ],
)
def test_what_no_browser_should_do_is_refused(config: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        PROVIDERS["browser"].Config.model_validate({"page": "https://shop.example/", **config})
