"""Mails of alerts: the layout of all mails, whole as text, fit for a phone, light and dark."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import pytest
from mainstay_server.areas.alerts.models import Change, Severity
from mainstay_server.areas.alerts.providers import email
from mainstay_server.areas.alerts.schemas import Gathered, Notice
from mainstay_server.contracts.email import MailBrand
from playwright.sync_api import Browser, sync_playwright
from tests.areas.alerts.conftest import MINUTE, NOON, NOTICE
from tests.browsing import CHROMIUM, CHROMIUM_FLAGS

LOGO = "https://dock.example/l.png"
BRAND = MailBrand(name="Dock", colour="#ffd100", logo_url=LOGO, footer="Dock, 1 Pier Road")
TAKES = "https://mainstay.example/on-call/a/token"
RUNBOOK = "https://wiki.example/down?a=1&b=2"
SEVERITIES = list(Severity)


def gathered(count: int, *, over: bool = False) -> tuple[Gathered, ...]:
    return tuple(
        Gathered(
            alert_id=str(number),
            type="external_alert",
            severity=SEVERITIES[number % len(SEVERITIES)],
            title=f"Queue {number} of the importer <is> behind by more than it may be",
            message="",
            environment="staging" if number % 2 else "production",
            opened_at=NOON,
            resolved_at=NOON + 7 * MINUTE if over else None,
            resolution="",
        )
        for number in range(count)
    )


OPENED = replace(NOTICE, brand=BRAND, message="It answered 500.\n\nLast good: <b>12:00</b>")
OVER = replace(
    OPENED,
    change=Change.RESOLVED,
    resolution="It answers again, after 12 minutes.",
    resolved_at=NOON + 12 * MINUTE,
)
DIGEST = replace(
    OPENED,
    title="500 alerts of inspections",
    environment="production, staging",
    gathered=gathered(500),
    gathered_count=500,
)
NOTICES = {
    "opened": replace(
        OPENED, acknowledge_url=TAKES, runbook_url=RUNBOOK, repeat=2, instead_of="slack #ops"
    ),
    "resolved": OVER,
    "digest": replace(DIGEST, acknowledge_url=TAKES, runbook_url=RUNBOOK),
    "digest over": replace(DIGEST, change=Change.RESOLVED, gathered=gathered(500, over=True)),
    "test": replace(OPENED, change=Change.TEST, severity="info"),
}


def test_an_alert_mail_carries_the_brand_of_its_organization() -> None:
    written = email.written_of(OPENED)
    assert f'src="{LOGO}"' in written.html
    assert 'alt="Dock"' in written.html
    (button,) = re.findall(r'<a class="button"[^>]*>', written.html)
    assert "#ffd100" in button
    assert written.text.startswith("Dock\n")
    assert written.text.endswith("Dock, 1 Pier Road\n")
    plain = email.written_of(NOTICE)
    assert "<img" not in plain.html
    assert plain.text.startswith("Mainstay\n")


def test_the_text_says_all_that_the_page_says_line_by_line() -> None:
    text = email.written_of(NOTICES["opened"]).text
    assert "It answered 500.\n\nLast good: <b>12:00</b>\n" in text
    for said in (
        "Critical still lasts",
        "inspections production is down",
        "Sent here because slack #ops could not be told.",
        "Environment: production",
        "Since: 1 Mar 2026, 12:00 UTC",
        f"Acknowledge ({TAKES})",
        f"Runbook ({RUNBOOK})",
        f"Open in Mainstay ({NOTICE.url})",
        "a channel of Inspections & more",
    ):
        assert said in text, said
    over = email.written_of(OVER).text
    assert "It answers again, after 12 minutes.\n" in over
    assert "Resolved: 1 Mar 2026, 12:12 UTC" in over


def test_the_one_thing_to_press_is_to_acknowledge_where_somebody_waits_for_it() -> None:
    def pressed(notice: Notice) -> str:
        (label,) = re.findall(r'<a class="button"[^>]*>([^<]*)</a>', email.written_of(notice).html)
        return str(label)

    assert pressed(NOTICES["opened"]) == "Acknowledge"
    assert pressed(OPENED) == "Open in Mainstay"


def test_a_digest_of_500_lists_50_says_how_many_more_and_needs_nobody_to_read_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mainstay_server.ui.mail.running", None)  # no child is started
    written = email.written_of(DIGEST)
    lines = [line for line in written.text.splitlines() if "Queue" in line]
    assert len(lines) == 50
    assert lines[1] == (
        "Low Queue 1 of the importer <is> behind by more than it may be in staging | 1 Mar, 12:00"
    )
    assert "And 450 more." in written.text
    assert len(written.html) < 100_000, "Gmail cuts mails beyond 102 KB"
    over = email.written_of(NOTICES["digest over"])
    assert over.text.count("| 7 m\n") == 50


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield opened
        opened.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1024])
def test_every_alert_mail_fits_and_loads_nothing_but_the_logo(
    browser: Browser, width: int, theme: Literal["light", "dark"]
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 700}, color_scheme=theme, java_script_enabled=True
    )
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.route("**/*", lambda route: route.abort())
    for name, notice in NOTICES.items():
        page.set_content(email.written_of(notice).html, wait_until="domcontentloaded")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        ground = page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor")
        assert ground == ("rgb(16, 20, 24)" if theme == "dark" else "rgb(242, 244, 247)")
    assert set(asked) <= {LOGO}
    context.close()
