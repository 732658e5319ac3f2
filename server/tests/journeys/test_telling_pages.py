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
