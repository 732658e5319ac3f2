"""Status pages of the real program: without scripts, in a storm, without a database."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2 as httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.browsing import (
    CHROMIUM,
    CHROMIUM_FLAGS,
    LOOKS,
    PATIENCE_MS,
    faults_of,
    new_look,
    new_profile,
    watch,
)
from tests.journeys.running import EMAIL, PASSWORD, Mainstay, running_mainstay
from tests.servers.http import HttpReceiver, running_http
from tests.servers.postgres import running_postgres
from tests.servers.smtp import SmtpServer, smtp
from tests.waiting import eventually

pytestmark = pytest.mark.slow

__all__ = ["smtp"]

STAMPEDE = 400
PAGES = "/api/status-pages"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def app() -> Iterator[HttpReceiver]:
    with running_http() as server:
        yield server


@pytest.fixture(scope="module")
def server(app: HttpReceiver) -> Iterator[Mainstay]:
    """A server with an instance that is watched, and a page that shows it with all that may be."""
    with running_mainstay({"MAINSTAY_SMTP_HOST": "127.0.0.1", "MAINSTAY_SMTP_PORT": "9"}) as made:
        fill(made, app.url)
        yield made


def fill(server: Mainstay, url: str) -> dict[str, Any]:
    """A published page with groups, a watched component, incidents and maintenance."""
    asking = {"url": url, "intervalSeconds": 5}
    assert server.call("PATCH", f"/api/instances/{server.instance_id}", json=asking).is_success
    path = f"/api/instances/{server.instance_id}/health-checks"
    checks = eventually(lambda: server.get(path)["healthChecks"])
    page = made(server, PAGES, name="Acme", slug="acme", description="How **Acme** is.")
    one = f"{PAGES}/{page['id']}"
    group = made(server, f"{one}/groups", name="Shop")
    api = made(server, f"{one}/components", name="API", subjectId=checks[0]["id"])
    desk = made(server, f"{one}/components", name="Check-out", groupId=group["id"])
    made(server, f"{one}/components", name="Mail", groupId=group["id"], description="Receipts.")
    server.call("PATCH", f"{one}/components/{desk['id']}", json={"status": "partial_outage"})
    report = made(
        server,
        f"{one}/reports",
        title="Payments fail now and then",
        impact="major",
        body="About one payment in ten. We are **looking** into it.",
        affected={desk["id"]: "partial_outage"},
    )
    made(server, f"{one}/reports/{report['id']}/updates", status="identified", body="A full disk.")
    old = made(server, f"{one}/reports", title="Slow answers", status="resolved", body="Over.")
    assert old["resolvedAt"]
    made(
        server,
        f"{one}/maintenances",
        title="A larger database",
        body="Orders are taken all the while.",
        componentIds=[api["id"]],
        startsAt="2099-01-01T02:00:00Z",
        endsAt="2099-01-01T03:00:00Z",
    )
    changes = {"published": True, "showsCharts": True, "takesWebhooks": True}
    assert server.call("PATCH", one, json=changes).is_success
    return page


def made(server: Mainstay, path: str, **body: Any) -> dict[str, Any]:
    answer = server.call("POST", path, json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def keep_picture(page: Page, name: str) -> None:
    """For those who want to look: MAINSTAY_PICTURES names a folder."""
    folder = os.environ.get("MAINSTAY_PICTURES")
    if folder:
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


@pytest.mark.parametrize(("theme", "width"), LOOKS)
def test_every_page_is_quiet_fits_and_is_usable_by_everyone(
    browser: Browser, server: Mainstay, theme: Any, width: int
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    complaints: list[str] = []
    watch(page, complaints)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    faults = {}
    for path in ("", "/history", "/incidents/" + _report(server)):
        answer = page.goto(f"{server.url}/status/acme{path}")
        assert answer is not None
        assert answer.status == 200
        faults[path] = faults_of(page, width=width)
        keep_picture(page, f"status-{theme}-{width}-{path.strip('/')[:9]}")
    context.close()

    assert {path: found for path, found in faults.items() if found} == {}
    assert complaints == []
    assert [url for url in asked if not url.startswith(f"{server.url}/status/acme")] == []


def test_a_page_is_of_use_without_scripts(browser: Browser, server: Mainstay) -> None:
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(f"{server.url}/status/acme")

    expect(page.get_by_role("heading", level=1)).to_have_text("Some systems are out of order")
    expect(page.get_by_role("img", name="API: the last 90 days")).to_be_visible()
    page.get_by_role("link", name="Payments fail now and then").click()
    expect(page.get_by_text("A full disk.")).to_be_visible()
    page.get_by_role("link", name="Back to the current status").click()
    page.get_by_label("E-mail address").fill("ann@ships.example")
    page.get_by_role("button", name="Subscribe by e-mail").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Look into your mail")
    context.close()


def test_nothing_of_what_is_watched_is_in_what_leaves(server: Mainstay, app: HttpReceiver) -> None:
    names = ("", "/history", "/feed.rss", "/feed.atom", "/feed.json", "/status.json")
    documents = ("summary", "status", "components", "incidents", "scheduled-maintenances")
    paths = [*names, *(f"/api/v2/{name}.json" for name in documents)]

    for path in paths:
        answer = server.ask("GET", f"/status/acme{path}")
        assert answer.status_code == 200, path
        assert str(app.port) not in answer.text.replace(server.url, ""), path


def test_the_dashboard_shows_a_page_and_its_preview(browser: Browser, server: Mainstay) -> None:
    one = "/dashboard/status-pages/" + _page(server)
    for theme, width in LOOKS:
        context = new_look(browser, theme=theme, width=width, url=server.url)
        page = context.new_page()
        page.goto(f"{server.url}/dashboard")
        page.get_by_label("E-mail address").fill(EMAIL)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/dashboard")
        complaints: list[str] = []
        watch(page, complaints)
        faults = {}
        for path in ("/dashboard/status-pages", one, f"{one}/reports", f"{one}/badges"):
            page.goto(server.url + path)
            faults[path] = faults_of(page, width=width)
            keep_picture(page, f"made-{theme}-{width}-{path.rpartition('/')[2][:12]}")
        for path in (f"{one}/subscribers", f"{one}/settings"):
            page.goto(server.url + path)
            faults[path] = faults_of(page, width=width)
            keep_picture(page, f"made-{theme}-{width}-{path.rpartition('/')[2][:12]}")
        assert {path: found for path, found in faults.items() if found} == {}
        assert complaints == []
        context.close()


def test_a_component_is_moved_and_tried_out_by_keyboard(browser: Browser, server: Mainstay) -> None:
    context = new_profile(browser)
    page = context.new_page()
    page.goto(f"{server.url}/dashboard/status-pages/{_page(server)}")
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    rows = page.get_by_role("row")

    page.get_by_role("button", name="Move Mail up").focus()
    page.keyboard.press("Enter")
    expect(rows.nth(2)).to_contain_text("Mail")
    page.get_by_role("button", name="Move Mail down").focus()
    page.keyboard.press("Enter")
    expect(rows.nth(3)).to_contain_text("Mail")
    preview = page.frame_locator("iframe[name=preview]")
    expect(preview.get_by_role("heading", name="API")).to_be_visible()
    context.close()


def test_a_stampede_is_one_reading(server: Mainstay) -> None:
    """Whoever comes at once gets the same bytes, also while the page is changed."""
    one = f"{PAGES}/{_page(server)}"
    server.call("PATCH", one, json={"description": "In a storm."})

    def look(_number: int) -> tuple[int, str]:
        answer = client.get("/status/acme")
        return answer.status_code, answer.headers["etag"]

    with (
        httpx.Client(base_url=server.url, timeout=PATIENCE_MS / 1000) as client,
        ThreadPoolExecutor(32) as pool,
    ):
        seen = list(pool.map(look, range(STAMPEDE)))

    assert {status for status, _ in seen} == {200}
    assert len({etag for _, etag in seen}) <= 4
    eventually(lambda: "In a storm." in server.ask("GET", "/status/acme").text)


def test_a_mailbox_opts_in_and_leaves_by_one_click(app: HttpReceiver, smtp: SmtpServer) -> None:
    environment = {
        "MAINSTAY_SMTP_HOST": smtp.host,
        "MAINSTAY_SMTP_PORT": str(smtp.port),
        "MAINSTAY_SMTP_FROM": "status@ships.example",
    }
    with running_mainstay(environment) as server:
        page = fill(server, app.url)
        server.ask("POST", "/status/acme/subscribe", data={"email": "ann@ships.example"})
        (asked,) = smtp.wait_for(1)
        (link,) = (each.strip("()") for each in asked.text.split() if "/confirm/" in each)
        assert httpx.post(link).status_code == 200
        made(server, f"{PAGES}/{page['id']}/reports", title="Slower", body="Again.")
        told = smtp.wait_for(2)[-1]
        assert told.subject == "[Acme] Investigating: Slower"
        url = told.message["List-Unsubscribe"].strip("<>")
        ended = httpx.post(url, data={"List-Unsubscribe": "One-Click"})
        made(server, f"{PAGES}/{page['id']}/reports", title="Slowest")
        subscribers = server.get(f"{PAGES}/{page['id']}/subscribers")["subscribers"]

    assert ended.status_code == 200
    assert subscribers == []
    assert len(smtp.messages) == 2


def test_a_page_is_there_while_the_database_is_not(app: HttpReceiver) -> None:
    with running_postgres() as postgres:
        environment = {
            "MAINSTAY_DATABASE_URL": postgres.url_of(postgres.new_database()),
            "MAINSTAY_SECRET_KEY": "a" * 40,
        }
        with running_mainstay(environment) as server:
            fill(server, app.url)
            eventually(lambda: "Operational" in server.ask("GET", "/status/acme").text)
            # Also one that this process does not keep: it comes from its snapshot.
            other = made(server, PAGES, name="Other", slug="other")
            server.call("PATCH", f"{PAGES}/{other['id']}", json={"published": True})
            assert server.call("GET", "/api/cron").status_code == 401
            eventually(lambda: _has_snapshot(server, "other"))

            postgres.crash()
            note = "Our monitoring cannot be reached at the moment"
            eventually(lambda: note in server.ask("GET", "/status/acme").text)
            kept = server.ask("GET", "/status/acme")
            never_asked_for = server.ask("GET", "/status/other")
            api = server.ask("GET", "/status/acme/api/v2/summary.json")
            postgres.start()
            eventually(lambda: note not in server.ask("GET", "/status/acme").text)

    assert kept.status_code == never_asked_for.status_code == api.status_code == 200
    assert note in never_asked_for.text
    assert "x-mainstay-as-of" in api.headers


def _has_snapshot(server: Mainstay, slug: str) -> bool:
    folder = server._environment["MAINSTAY_DATA_DIR"]
    return os.path.exists(f"{folder}/blobs/status_pages/{slug}")  # noqa: PTH110 - one look


def _page(server: Mainstay) -> str:
    return str(server.get(PAGES)["statusPages"][0]["id"])


def _report(server: Mainstay) -> str:
    return str(server.get(f"{PAGES}/{_page(server)}/reports")["reports"][-1]["id"])
