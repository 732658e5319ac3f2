"""Every component in a real browser, under the real policy."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.browsing import LOOKS, faults_of, new_look, new_profile, watch

pytestmark = pytest.mark.slow

PAGES = ("overview", "components-page", "issue", "sign-in")


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complained about: errors, warnings, refusals of the policy."""
    return []


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = new_profile(browser)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, complaints: list[str]) -> Page:
    page = context.new_page()
    watch(page, complaints)
    return page


@pytest.mark.parametrize(("theme", "width"), LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_quiet_fits_and_is_usable_by_everyone(
    browser: Browser, gallery_url: str, complaints: list[str], name: str, theme: str, width: int
) -> None:
    context = new_look(browser, theme=theme, width=width, url=gallery_url)
    page = context.new_page()
    watch(page, complaints)
    page.goto(f"{gallery_url}/pages/{name}")
    faults = faults_of(page, width=width)
    context.close()

    assert complaints == []
    assert faults == []


def test_the_theme_is_kept_for_the_next_page(
    page: Page, gallery_url: str, complaints: list[str]
) -> None:
    page.goto(f"{gallery_url}/pages/overview")
    switch = page.locator("theme-switch button")
    switch.click()
    switch.click()

    page.goto(f"{gallery_url}/pages/issue")

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert complaints == []


def stop_the_clock(page: Page) -> None:
    """From here on the page's time passes only when the test lets it."""
    page.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))


def test_the_keyboard_searches_walks_rows_goes_places_and_explains_itself(
    page: Page, gallery_url: str
) -> None:
    page.clock.install()
    page.goto(f"{gallery_url}/pages/overview")
    stop_the_clock(page)  # keys of a sequence belong together for a second
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="Payments API")).to_be_focused()
    page.keyboard.press("k")
    expect(page.get_by_role("link", name="Storefront")).to_be_focused()

    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Health checks")
    page.keyboard.press("Escape")

    page.keyboard.press("g")
    page.keyboard.press("h")
    page.wait_for_url("**/pages/components-page")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()


def test_a_live_panel_keeps_the_focus_of_who_is_in_it(
    page: Page, gallery_url: str, complaints: list[str]
) -> None:
    page.goto(f"{gallery_url}/pages/components-page")
    page.locator("#note").focus()

    expect(page.locator("#beats")).to_contain_text("Beat 2")

    expect(page.locator("#note")).to_be_focused()
    assert complaints == []


def test_a_live_panel_waits_while_nobody_looks(page: Page, gallery_url: str) -> None:
    page.add_init_script(
        "Object.defineProperty(document, 'hidden', {get: () => window.away === true})"
    )
    page.clock.install()
    stop_the_clock(page)
    page.goto(f"{gallery_url}/pages/components-page")
    page.clock.run_for(1_000)
    expect(page.locator("#beats p")).to_have_text("Beat 1")

    page.evaluate("window.away = true")
    page.clock.run_for(60_000)
    page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")

    # The server counts what it is asked: nothing during that minute, and once on the return.
    expect(page.locator("#beats p")).to_have_text("Beat 2")


def test_a_button_that_posts_carries_the_token(page: Page, gallery_url: str) -> None:
    page.goto(f"{gallery_url}/pages/components-page")
    page.get_by_role("button", name="Send").click()

    expect(page.locator("#echo")).to_have_text("token: token-of-this-session")


def test_a_chart_tells_its_values_to_the_pointer_and_to_those_who_do_not_see_it(
    page: Page, gallery_url: str
) -> None:
    page.goto(f"{gallery_url}/pages/overview")
    chart = page.locator('time-chart[label="Latency"]')
    picture = chart.get_by_role("img")
    expect(picture).to_have_accessible_name(
        "Latency. p50: latest 66.6 ms, lowest 66.6 ms, highest 123 ms; "
        "p95: latest 218 ms, lowest 199 ms, highest 361 ms."
    )
    assert chart.locator("table tbody tr").count() == 48

    picture.hover()
    expect(chart.locator(".chart-tip")).to_contain_text("p95")

    chart.get_by_role("button", name="p50").click()
    expect(chart.get_by_role("button", name="p50")).to_have_attribute("aria-pressed", "false")
    assert "p50" not in (chart.get_by_role("img").get_attribute("aria-label") or "")


def test_a_chart_follows_the_width_of_its_place(page: Page, gallery_url: str) -> None:
    page.goto(f"{gallery_url}/pages/overview")
    expect(page.locator("time-chart canvas").first).to_be_visible()
    page.set_viewport_size({"width": 700, "height": 900})

    page.wait_for_function("document.documentElement.scrollWidth <= 700")
    page.wait_for_function("document.querySelector('time-chart canvas').clientWidth > 0")


def test_on_a_phone_the_menu_is_a_drawer(browser: Browser, gallery_url: str) -> None:
    context = new_profile(browser, width=390, height=844)
    page = context.new_page()
    page.goto(f"{gallery_url}/pages/overview")
    expect(page.get_by_role("navigation", name="Main")).to_be_hidden()

    page.get_by_role("button", name="Open the menu").click()
    page.get_by_role("link", name="Health checks").click()

    page.wait_for_url("**/pages/components-page")
    context.close()


def test_copying_says_that_it_is_done(
    context: BrowserContext, page: Page, gallery_url: str
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.clock.install()
    page.goto(f"{gallery_url}/pages/components-page")
    stop_the_clock(page)  # it says so for a moment
    page.locator(".secret copy-button button").click()

    expect(page.locator(".secret copy-button")).to_contain_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "msk_live_7Yt2QpV9xK4mW8sLr3NcB6hJ"


def test_a_dialog_opens_and_closes(page: Page, gallery_url: str) -> None:
    page.goto(f"{gallery_url}/pages/components-page")
    page.get_by_role("button", name="Open the dialog").click()
    expect(page.get_by_role("dialog", name="Delete this health check?")).to_be_visible()
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
