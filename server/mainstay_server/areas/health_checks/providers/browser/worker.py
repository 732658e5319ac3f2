"""The child that drives the browser: reads its orders from stdin, writes what it found to stdout.

It is run as a file, by itself: whatever a page does to a browser, and a browser to its driver, ends
with this process. It knows nothing of Mainstay but the JSON of its orders.
"""

import base64
import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import (
    ConsoleMessage,
    Error,
    Page,
    TimeoutError,  # noqa: A004 - Playwright's own, which is another
    expect,
    sync_playwright,
)

LARGEST_FILE_BYTES = 256 * 1024 * 1024
MOST_CONSOLE_ERRORS = 20
LONGEST_CONSOLE_ERROR = 300
SHORTEST_MS = 50
SCREENSHOT_MS = 5_000
MOST_SCREENSHOT_BYTES = 512 * 1024
QUALITIES = (60, 25)
FLAGS = [
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
    "--mute-audio",
    # Everything goes by the proxy that checks addresses: loopback too, and no media beside it.
    "--proxy-bypass-list=<-loopback>",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
]


def main() -> None:
    """Do what stdin says."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE_BYTES, LARGEST_FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    order = json.load(sys.stdin)
    try:
        _browse(order)
    except Error as error:
        _say({"broken": _first_line(error)})


def _browse(order: dict[str, Any]) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=order["executable"] or None,
            proxy=order["proxy"],
            args=FLAGS,
            chromium_sandbox=order["sandbox"],
        )
        context = browser.new_context(
            viewport={"width": order["width"], "height": order["height"]},
            ignore_https_errors=not order["verifyTls"],
            accept_downloads=False,
            service_workers="block",
        )
        _say({"ready": browser.version})
        page = context.new_page()
        errors: list[str] = []
        _note_errors(page, errors)
        until = time.monotonic() + order["seconds"]
        for step in order["steps"]:
            if not _take(page, step, until=until):
                break
        # In the order of what a page that never rests can still be asked for.
        _say({"console": errors})
        _say({"screenshot": _screenshot(page, _secret_fields(order["steps"]))})
        _say({"title": _title(page)})
        browser.close()


def _take(page: Page, step: dict[str, Any], *, until: float) -> bool:
    """Do one step and tell how it went; returns whether the next one may follow."""
    began = time.monotonic()
    left_ms = max((until - began) * 1000, SHORTEST_MS)
    reason = ""
    try:
        ACTIONS[step["action"]](page, step, left_ms)
    except TimeoutError:
        reason = f"nothing came of it within {left_ms / 1000:.0f} s"
    except AssertionError as error:
        reason = _words(error)
    except Error as error:
        reason = _first_line(error)
    _say({"step": step["name"], "ms": (time.monotonic() - began) * 1000, "reason": reason})
    return not reason


def _goto(page: Page, step: dict[str, Any], left_ms: float) -> None:
    answer = page.goto(step["value"], timeout=left_ms, wait_until="load")
    if answer is not None and not answer.ok:
        raise AssertionError(f"answered {answer.status}")


def _click(page: Page, step: dict[str, Any], left_ms: float) -> None:
    page.locator(step["selector"]).first.click(timeout=left_ms)


def _fill(page: Page, step: dict[str, Any], left_ms: float) -> None:
    page.locator(step["selector"]).first.fill(step["value"], timeout=left_ms)


def _press(page: Page, step: dict[str, Any], left_ms: float) -> None:
    page.locator(step["selector"] or "body").first.press(step["value"], timeout=left_ms)


def _expect_text(page: Page, step: dict[str, Any], left_ms: float) -> None:
    expect(page.locator(step["selector"] or "body").first).to_contain_text(
        step["value"], timeout=left_ms
    )


def _expect_selector(page: Page, step: dict[str, Any], left_ms: float) -> None:
    expect(page.locator(step["selector"]).first).to_be_visible(timeout=left_ms)


def _expect_title(page: Page, step: dict[str, Any], left_ms: float) -> None:
    began = time.monotonic()
    while step["value"] not in _title(page):
        if (time.monotonic() - began) * 1000 > left_ms:
            raise AssertionError(f"the title is {_title(page)[:100]!r}, without {step['value']!r}")
        page.wait_for_timeout(SHORTEST_MS)


ACTIONS: dict[str, Callable[[Page, dict[str, Any], float], None]] = {
    "goto": _goto,
    "click": _click,
    "fill": _fill,
    "press": _press,
    "expectText": _expect_text,
    "expectSelector": _expect_selector,
    "expectTitle": _expect_title,
}


def _note_errors(page: Page, errors: list[str]) -> None:
    def note(text: str) -> None:
        if len(errors) < MOST_CONSOLE_ERRORS:
            errors.append(text[:LONGEST_CONSOLE_ERROR])

    def note_message(message: ConsoleMessage) -> None:
        if message.type == "error":
            note(message.text)

    page.on("console", note_message)
    page.on("pageerror", lambda error: note(str(error)))


def _title(page: Page) -> str:
    try:
        return page.title()
    except Error:  # it is on its way to another page
        return ""


def _secret_fields(steps: list[dict[str, Any]]) -> list[str]:
    """The selectors of what a secret was filled into: no picture shows it, whatever its type."""
    return [step["selector"] for step in steps if step["isSecret"] and step["selector"]]


def _screenshot(page: Page, hidden: list[str]) -> str:
    """What is to be seen, as JPEG; empty when the page does not hold still for it."""
    for quality in QUALITIES:
        try:
            taken = page.screenshot(
                type="jpeg",
                quality=quality,
                timeout=SCREENSHOT_MS,
                mask=[page.locator(selector) for selector in hidden],
            )
        except Error:
            return ""
        if len(taken) <= MOST_SCREENSHOT_BYTES:
            return base64.b64encode(taken).decode()
    return ""


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].removeprefix("Page.").strip()


def _words(error: AssertionError) -> str:
    """What Playwright expected and found, without its log of how it looked."""
    lines = [line.strip() for line in str(error).partition("Call log")[0].splitlines()]
    return "; ".join(line for line in lines if line)[:LONGEST_CONSOLE_ERROR]


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
