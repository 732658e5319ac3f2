"""Setting up who is told, as people do it: in a browser, with what they type wrong at first."""

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
