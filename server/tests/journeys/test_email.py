"""Mail as an app sends it: by the guide's own code, through kills, and as readers see it."""

import json
import re
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2 as httpx
import mainstay as sdk
import pytest
from playwright.sync_api import Browser, sync_playwright
from tests.areas.email.test_service_writing import letters
from tests.browsing import CHROMIUM, CHROMIUM_FLAGS
from tests.journeys.running import TOKEN, Mainstay, running_mainstay
from tests.servers.smtp import SmtpServer, running_smtp
from tests.waiting import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.slow

GUIDE = Path(__file__).parents[3] / "docs/guides/send-mail.md"
KILLS = 2
MAILS = 12


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with running_smtp() as server:
        yield server


@pytest.fixture
def mainstay(smtp: SmtpServer) -> Iterator[Mainstay]:
    settings = {
        "MAINSTAY_SMTP_HOST": smtp.host,
        "MAINSTAY_SMTP_PORT": str(smtp.port),
        "MAINSTAY_SMTP_FROM": "app@ships.example",
    }
    with running_mainstay(settings) as server:
        yield server


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_code_of_the_guide_sends_what_it_says(
    mainstay: Mainstay, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSTAY_DSN", mainstay.project["dsn"])
    monkeypatch.setenv("MAINSTAY_TOKEN", TOKEN)
    names: dict[str, Any] = {}
    try:
        for block in blocks("python"):
            exec(compile(block, str(GUIDE), "exec"), names)  # noqa: S102 - what a reader would run
        inspection = {
            "id": "7",
            "email": "ann@example.com",
            "user": "Ann",
            "location": "Floor 1",
            "status": "pass",
        }
        assert names["tell_that_an_inspection_is_finished"](inspection)
        assert names["tell_that_an_inspection_is_finished"](inspection), "a crash later"
        assert names["send_reset_link"]("bea@example.com", "https://app.example.com/r?t=1", "1")
    finally:
        sdk.close(1)
    (template,) = blocks("json")
    put = mainstay.call("PUT", "/api/email-templates/order_paid", json=json.loads(template))
    assert put.status_code == 200, put.text
    (call,) = [block for block in blocks("sh") if "curl" in block]
    body = json.loads(re.findall(r"-d '(.*?)'", call, re.DOTALL)[0])
    assert mainstay.call("POST", "/api/emails", json=body).status_code == 202

    subjects = {mail.subject for mail in smtp.wait_for(3)}
    assert subjects == {
        "Inspection of Floor 1: pass",
        "Set a new password",
        "Your week: 16 to 22 November",
    }
    assert len(smtp.messages) == 3


def test_an_alert_mail_has_the_look_that_was_chosen_for_all_mails(
    mainstay: Mainstay, smtp: SmtpServer
) -> None:
    look = {"name": "Dock", "colour": "#ffd100", "logoUrl": "https://dock.example/l.png"}
    assert mainstay.call("PATCH", "/api/email-look", json=look).status_code == 200
    channels = f"/api/instances/{mainstay.project['instances'][0]['id']}/alert-channels"
    new = {"type": "email", "config": {"email": "team@ships.example"}}
    made = mainstay.call("POST", channels, json=new)
    assert made.status_code == 201, made.text
    mainstay.call("POST", f"{channels}/{made.json()['id']}/test")

    (mail,) = smtp.wait_for(1)
    assert mail.subject.startswith("[test]")
    assert 'alt="Dock"' in mail.html
    assert "#ffd100" in mail.html
    assert mail.text.splitlines()[0] == "Dock"


def send_all(mainstay: Mainstay, acknowledged: dict[str, str]) -> None:
    """Send each mail under a key of its own, again and again until it is acknowledged."""
    for number in range(MAILS):
        while not (one := acknowledged_as(mainstay, number)):
            time.sleep(0.2)
        acknowledged[one] = f"Mail {number}"


def acknowledged_as(mainstay: Mainstay, number: int) -> str:
    """The id under which a mail was acknowledged; empty when nothing answered."""
    try:
        answer = httpx.post(
            f"{mainstay.url}/api/emails",
            json={"to": f"p{number}@example.com", "subject": f"Mail {number}", "text": "x"},
            headers={"authorization": f"Bearer {TOKEN}", "idempotency-key": f"mail-{number}"},
            timeout=PATIENCE_SECONDS,
        )
    except httpx.HTTPError:
        return ""
    return str(answer.json()["id"]) if answer.status_code == 202 else ""


def test_kills_lose_no_mail_that_was_acknowledged_and_send_none_under_two_names(
    mainstay: Mainstay, smtp: SmtpServer
) -> None:
    acknowledged: dict[str, str] = {}

    def enough(wanted: int) -> bool:
        return len(acknowledged) >= wanted

    sending = threading.Thread(target=send_all, args=(mainstay, acknowledged))
    sending.start()
    for kill in range(KILLS):
        eventually(partial(enough, (kill + 1) * MAILS // (KILLS + 1)))
        mainstay.kill()
        mainstay.start()
    sending.join(PATIENCE_SECONDS)
    assert len(acknowledged) == MAILS, "each key was acknowledged as one mail"

    eventually(lambda: {mail.subject for mail in smtp.messages} == set(acknowledged.values()))
    names = {(str(mail.message["Message-ID"]), mail.subject) for mail in smtp.messages}
    assert len(names) == MAILS, "a mail that is sent again has the same Message-ID"
    listed = mainstay.get("/api/emails?limit=200")["emails"]
    assert {each["id"] for each in listed} == set(acknowledged)
    eventually(
        lambda: {each["state"] for each in mainstay.get("/api/emails")["emails"]} == {"sent"}
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield opened
        opened.close()


LUMINANCE = """element => {
  const of = colour => {
    const [r, g, b] = colour.match(/[0-9.]+/g).slice(0, 3).map(Number).map(c => c / 255)
      .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let under = element;
  const none = "rgba(0, 0, 0, 0)";
  while (getComputedStyle(under).backgroundColor === none) under = under.parentElement;
  const [a, b] = [of(getComputedStyle(element).color), of(getComputedStyle(under).backgroundColor)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1024])
@pytest.mark.parametrize("letter", letters(), ids=lambda letter: letter.template)
def test_a_mail_fits_and_can_be_read(browser: Browser, letter: Any, width: int, theme: Any) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 700}, color_scheme=theme, java_script_enabled=True
    )
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_content(letter.html, wait_until="domcontentloaded")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sheet = page.locator(".sheet").bounding_box()
    assert sheet is not None
    assert sheet["width"] <= 600
    for element in page.locator("h1, h2, p:not(:empty), td:not(:has(*)), a, .badge").all():
        if element.inner_text().strip():
            assert element.evaluate(LUMINANCE) >= 4.5, element.inner_text()
    assert set(asked) <= {"https://dock.example/l.png"}, "nothing but the logo is loaded"
    context.close()
