"""Looking at pages as a browser and its users do: complaints, widths, and what axe-core finds."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect
from tests.waiting import PATIENCE_SECONDS

AXE = Path(__file__).parents[1] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HELD_BACK = """[...document.querySelectorAll("form :invalid")]
    .filter((field) => field.name && field.form.checkVisibility() && !field.checkVisibility())
    .map((field) => field.name)"""
PATIENCE_MS = PATIENCE_SECONDS * 1000
LOOKS = [(theme, width) for theme in ("light", "dark") for width in (1440, 390)]


expect.set_options(timeout=PATIENCE_MS)


def new_profile(browser: Browser, *, width: int = 1440, height: int = 900) -> BrowserContext:
    """A fresh browser profile with one window size, that waits as long as every test does."""
    context = browser.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(PATIENCE_MS)
    return context


def new_look(browser: Browser, *, theme: str, width: int, url: str) -> BrowserContext:
    """A fresh browser profile of one theme and window width, without animations."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, reduced_motion="reduce", bypass_csp=False
    )
    context.set_default_timeout(PATIENCE_MS)
    context.add_cookies([{"name": "theme", "value": theme, "url": url}])
    return context


def watch(page: Page, complaints: list[str]) -> None:
    """Note what the browser complains about: errors, warnings, refusals of the policy."""

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))


def faults_of(page: Page, *, width: int) -> list[Any]:
    """What is wrong with the page as it stands: it is too wide, or axe finds something serious."""
    for chart in page.locator("time-chart").all():
        expect(chart.locator("canvas, .chart-note")).to_be_visible()
    faults: list[Any] = []
    if page.evaluate("document.documentElement.scrollWidth") > width:
        faults.append("scrolls sideways")
    faults.extend(f"holds its form back unseen: {name}" for name in page.evaluate(HELD_BACK))
    assert AXE.is_file(), "axe-core is missing: run `npm ci` in server/frontend"
    page.evaluate(AXE.read_text())
    violations = page.evaluate("axe.run(document).then(found => found.violations)")
    faults.extend(
        (found["id"], [node["target"] for node in found["nodes"]][:3])
        for found in violations
        if found["impact"] in ("serious", "critical")
    )
    return faults
