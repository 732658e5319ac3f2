"""Every page in a real browser, signed in: both themes, desk and phone, with and without data."""

import json
import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from tests.browsing import CHROMIUM, CHROMIUM_FLAGS, LOOKS, faults_of, new_look, watch
from tests.journeys.running import (
    EMAIL,
    PASSWORD,
    PROJECT,
    Mainstay,
    bootstrap,
    running_mainstay,
)
from tests.servers.http import running_http
from tests.waiting import eventually

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parents[3] / "wire" / "envelope" / "full.txt"
KINDS = 60
HERE = f"/dashboard/projects/{PROJECT}"
PAGES = (
    "/dashboard",
    "/dashboard/account",
    "/dashboard/organization",
    "/dashboard/organization/audit",
    f"{HERE}/monitoring",
    f"{HERE}/errors",
    f"{HERE}/alerts",
    f"{HERE}/alerts/channels",
    "/dashboard/organization/on-call/policies/new",
    f"{HERE}/api-keys",
    f"{HERE}/api-keys/paths",
    f"{HERE}/scorecard",
    f"{HERE}/security",
    f"{HERE}/audit",
    f"{HERE}/rate-limits",
    f"{HERE}/backups",
    f"{HERE}/backups/new",
    f"{HERE}/backups/new?engine=postgresql",
    f"{HERE}/backups/destinations",
    f"{HERE}/storage",
    f"{HERE}/settings",
    "/api/docs",
    "/dashboard/nowhere",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def empty() -> Iterator[Mainstay]:
    with running_mainstay() as server:
        yield server


@pytest.fixture(scope="module")
def full() -> Iterator[Mainstay]:
    """A project with a day behind it: sixty issues, two thousand requests, an outage, an alert."""
    with running_http() as app, running_mainstay() as server:
        server.call(
            "PATCH",
            f"/api/instances/{server.instance_id}",
            json={"url": app.url, "intervalSeconds": 5},
        )
        server.call(
            "POST",
            f"/api/instances/{server.instance_id}/alert-channels",
            json={"type": "webhook", "config": {"webhookUrl": app.url + "/hook"}},
        )
        send_errors(server)
        send_requests(server)
        eventually(lambda: recent(server, "healthy"))
        app.stop()
        eventually(lambda: recent(server, "unhealthy"))
        yield server
        app.start()


def recent(server: Mainstay, status: str) -> bool:
    checks = server.get(f"/api/instances/{server.instance_id}/health")["recentChecks"]
    return any(check["status"] == status for check in checks)


def send_errors(server: Mainstay) -> None:
    head, item, payload = GOLDEN.read_bytes().split(b"\n", 3)[:3]
    event = json.loads(payload)
    project = server.project
    path = f"/api/{project['number']}/envelope/?sentry_key={project['ingestKey']}"
    for kind in range(KINDS):
        event["event_id"] = uuid4().hex
        event["exception"]["values"][-1]["type"] = f"Failure{kind}"
        event["exception"]["values"][-1]["value"] = "A message that goes on and on " * (kind % 7)
        event["timestamp"] = (datetime.now(UTC) - timedelta(minutes=kind)).timestamp()
        body = json.dumps(event).encode()
        header = {**json.loads(head), "event_id": event["event_id"]}
        header.pop("dsn", None)
        made = json.dumps({**json.loads(item), "length": len(body)}).encode()
        envelope = json.dumps(header).encode() + b"\n" + made + b"\n" + body + b"\n"
        answer = server.call("POST", path, content=envelope)
        assert answer.status_code == 200, answer.text


def send_requests(server: Mainstay) -> None:
    dice = random.Random(7)
    project = server.project
    path = f"/api/{project['number']}/requests/?sentry_key={project['ingestKey']}"
    for _ in range(2):
        requests = [
            {
                "at": (datetime.now(UTC) - timedelta(minutes=dice.randrange(1400))).isoformat(),
                "method": "GET",
                "path": f"/inspections/{{id}}/part-{dice.randrange(30)}",
                "status": dice.choice((200, 200, 200, 200, 404, 500)),
                "durationMs": dice.lognormvariate(3, 1),
            }
            for _ in range(1000)
        ]
        assert server.call("POST", path, json={"requests": requests}).status_code == 200


def sign_in(context: BrowserContext, server: Mainstay) -> Page:
    page = context.new_page()
    page.goto(f"{server.url}/dashboard")
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/dashboard")
    return page


@pytest.mark.parametrize(("theme", "width"), LOOKS)
@pytest.mark.parametrize("state", ["empty", "full"])
def test_every_page_is_quiet_fits_and_is_usable_by_everyone(
    request: pytest.FixtureRequest, browser: Browser, state: str, theme: str, width: int
) -> None:
    server: Mainstay = request.getfixturevalue(state)
    context = new_look(browser, theme=theme, width=width, url=server.url)
    page = sign_in(context, server)
    complaints: list[str] = []
    watch(page, complaints)
    paths = list(PAGES)
    if state == "full":
        found = server.get(f"/api/instances/{server.instance_id}/errors")["errors"]
        paths.append(f"{HERE}/errors/{found[0]['id']}")
    faults = {}
    for path in paths:
        answer = page.goto(server.url + path)
        assert answer is not None
        assert answer.status == (404 if path.endswith("nowhere") else 200), path
        faults[path] = faults_of(page, width=width)
        keep_picture(page, f"{state}-{theme}-{width}-{path.strip('/').replace('/', '-')[:60]}")
    context.close()
    assert {path: found for path, found in faults.items() if found} == {}
    assert [text for text in complaints if "404" not in text] == []


def keep_picture(page: Page, name: str) -> None:
    """For those who want to look: MAINSTAY_PICTURES names a folder."""
    folder = os.environ.get("MAINSTAY_PICTURES")
    if folder:
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_a_newcomer_gets_from_the_printed_link_to_the_first_error(browser: Browser) -> None:
    with running_mainstay(
        {name: "" for name in bootstrap(Path()) if "BOOTSTRAP" in name}
    ) as server:
        eventually(lambda: any("/set-up/" in line for line in server.lines))
        link = next(line for line in server.lines if "/set-up/" in line).split()[-1]
        context = new_look(browser, theme="light", width=1440, url=server.url)
        page = context.new_page()
        page.goto(link)
        page.get_by_label("Organization").fill("Ferrand")
        page.get_by_label("Your name").fill("Alice Ferrand")
        page.get_by_label("E-mail address").fill(EMAIL)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Finish set-up").click()
        page.wait_for_url("**/dashboard*")
        page.goto(link)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert "/set-up/" in page.url
        context.close()
