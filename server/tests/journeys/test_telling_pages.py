"""Setting up who is told, as people do it: in a browser, with what they type wrong at first."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from tests.browsing import CHROMIUM, CHROMIUM_FLAGS, new_profile
from tests.journeys.running import EMAIL, PASSWORD, PROJECT, Mainstay, running_mainstay

pytestmark = pytest.mark.slow

HERE = f"/dashboard/projects/{PROJECT}"


@pytest.fixture(scope="module")
def server() -> Iterator[Mainstay]:
    with running_mainstay() as running:
        yield running


@pytest.fixture
def page(server: Mainstay) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        opened = new_profile(browser).new_page()
        opened.goto(f"{server.url}/dashboard")
        opened.get_by_label("E-mail address").fill(EMAIL)
        opened.get_by_label("Password").fill(PASSWORD)
        opened.get_by_role("button", name="Sign in").click()
        opened.wait_for_url("**/dashboard")
        yield opened
        browser.close()


def test_a_channel_is_added_by_its_form(server: Mainstay, page: Page) -> None:
    page.goto(f"{server.url}{HERE}/alerts/channels")

    page.get_by_label("Tell", exact=True).select_option("email")
    page.get_by_label("Address").fill("team@acme.example")
    page.get_by_role("button", name="Add channel").click()

    expect(page.get_by_role("table").get_by_text("team@acme.example")).to_be_visible()


def test_a_policy_for_all_projects_is_made_by_its_form(server: Mainstay, page: Page) -> None:
    page.goto(f"{server.url}/dashboard/organization/on-call/policies/new")

    page.get_by_label("Name").fill("Wake somebody")
    page.get_by_role("button", name="Make it").click()

    expect(page.get_by_text("Wake somebody").first).to_be_visible()
    assert [each["name"] for each in server.get("/api/escalation-policies")["policies"]] == [
        "Wake somebody"
    ]


def test_what_was_typed_is_there_again_with_the_refusal_at_its_field(
    server: Mainstay, page: Page
) -> None:
    page.goto(f"{server.url}{HERE}/alerts/channels")

    page.get_by_label("Tell", exact=True).select_option("email")
    page.get_by_label("Address").fill("team(at)acme.example")
    page.get_by_label("Name").fill("Night watch")
    page.get_by_label("From severity").select_option("high")
    page.get_by_role("button", name="Add channel").click()

    address = page.get_by_label("Address")
    expect(address).to_have_value("team(at)acme.example")
    expect(address).to_be_focused()
    expect(address).to_have_accessible_description(
        re.compile("^Address must be one address, such as team@example.com.")
    )
    expect(page.get_by_label("Name")).to_have_value("Night watch")
    expect(page.get_by_label("From severity")).to_have_value("high")

    address.fill("night@acme.example")
    page.get_by_role("button", name="Add channel").click()
    expect(page.get_by_role("table").get_by_text("night@acme.example")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Name")).to_have_value("")


def test_a_refusal_leads_back_to_the_form_wherever_it_is_said(server: Mainstay, page: Page) -> None:
    server.call(
        "POST",
        f"/api/projects/{PROJECT}/alert-channels",
        json={"type": "email", "name": "Readers", "config": {"email": "ann@acme.example"}},
    )
    page.goto(f"{server.url}{HERE}/alerts/routes?edit=new")

    page.get_by_label("Readers").check()
    page.get_by_label("Alerts whose labels fit").fill('severity="critical"')

    for name, quiet, refusal in (
        ("x" * 120, "", "100 characters"),
        ("Outages", "Mondays", "Quiet every week cannot be read"),
    ):
        page.get_by_label("Name").first.fill(name)
        page.get_by_label("Quiet every week").fill(quiet)
        page.get_by_role("button", name="Add route").click()

        expect(page.locator(".field-error")).to_contain_text(refusal)
        expect(page.get_by_label("Alerts whose labels fit")).to_have_value('severity="critical"')
        expect(page.get_by_label("Readers")).to_be_checked()


def test_several_alerts_are_chosen_by_keys_and_taken_in_hand_at_once(
    server: Mainstay, page: Page
) -> None:
    alerts = f"/api/instances/{server.instance_id}/alerts"

    def opened(title: str) -> str:
        body = {"type": "backup_failed", "severity": "critical", "title": title}
        return str(server.call("POST", alerts, json=body).json()["id"])

    ids = {title: opened(title) for title in ("Storm 1", "Storm 2", "Storm 3", "Storm 4")}
    page.goto(f"{server.url}{HERE}/alerts?q=Storm&status=active")
    every, count = page.get_by_label("All shown"), page.locator("[data-ticks-count]")

    every.focus()
    page.keyboard.press("Space")
    expect(count).to_have_text("4")
    page.get_by_label("Choose Storm 4").uncheck()  # the newest, which comes first
    expect(count).to_have_text("3")
    expect(every).not_to_be_checked()
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.get_by_label("Choose Storm 3")).not_to_be_checked()
    expect(count).to_have_text("2")
    over = {"alertId": ids["Storm 2"], "action": "resolve"}
    assert server.call("POST", alerts, json=over).is_success
    page.get_by_role("button", name="Acknowledge", exact=True).click()

    expect(page.locator(".flash-text")).to_have_text("1 acknowledged, 1 had ended.")
    table = page.get_by_role("table")
    expect(table.get_by_role("row").filter(has_text="Storm 1")).to_contain_text("Acknowledged")
    expect(table.get_by_role("row").filter(has_text="Storm 3")).not_to_contain_text("Acknowledged")
    expect(table.get_by_text("Storm 2")).to_have_count(0)
    assert "q=Storm&status=active" in page.url


def test_several_alerts_are_resolved_without_scripts(server: Mainstay, page: Page) -> None:
    body = {"type": "backup_failed", "severity": "critical"}
    for number in range(3):
        found = body | {"title": f"Calm {number}"}
        server.call("POST", f"/api/instances/{server.instance_id}/alerts", json=found)
    browser = page.context.browser
    assert browser is not None
    state = page.context.storage_state()
    plain = browser.new_context(storage_state=state, java_script_enabled=False).new_page()
    plain.goto(f"{server.url}{HERE}/alerts?q=Calm")

    plain.get_by_label("All shown").check()
    plain.get_by_role("button", name="Resolve").first.click()

    expect(plain.locator(".flash-text")).to_have_text("3 resolved.")
    expect(plain.get_by_role("table").get_by_text("Resolved by")).to_have_count(3)
