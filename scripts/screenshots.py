"""Photograph the demo's pages in a real browser, light and dark, into `docs/images`.

Nothing in the pictures is made up: the demo runs in a temporary folder until its pages are full,
and some minutes more (`--minutes`) so that the charts have something to draw. Run it with
`make screenshots`; it needs Chromium.
"""

import argparse
import base64
import json
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
PROGRAM = ROOT / ".venv" / "bin" / "mainstay"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
SIZE = {"width": 1440, "height": 900}
PROJECT = "/dashboard/projects/inspections"
PAGES = {
    "overview": "/dashboard",
    "monitoring": f"{PROJECT}/monitoring?hours=1",
    "requests": f"{PROJECT}/monitoring?hours=1",  # further down
    "errors": f"{PROJECT}/errors",
    "issue": f"{PROJECT}/errors",  # and then the first issue in the list
    "alerts": f"{PROJECT}/alerts?instance=staging",
    "scorecard": f"{PROJECT}/scorecard",
}
START_SECONDS = 60
FULL_SECONDS = 90
STOP_SECONDS = 30
LEAST_REQUESTS = 100
LEAST_ISSUES = 3
LEAST_CHECKS = 3
HEADER_PIXELS = 70
MOST_COLORS = 256
DECODE = """async source => {
    const image = new Image();
    image.src = source;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height);
    const pen = canvas.getContext("2d");
    pen.drawImage(image, 0, 0);
    const { data } = pen.getImageData(0, 0, image.width, image.height);
    let text = "";
    for (let i = 0; i < data.length; i += 32768) {
        text += String.fromCharCode(...data.subarray(i, i + 32768));
    }
    return btoa(text);
}"""
MOST_BYTES = 250_000
MOST_BYTES_IN_ALL = 2_000_000


@dataclass(frozen=True)
class Demo:
    """A running demo: where it is, and how one gets in."""

    url: str
    email: str
    password: str
    token: str

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """The JSON of a path of the API."""
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(self.url + path, headers=headers)  # noqa: S310 - our own
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - the same
            return json.load(answer)


def main() -> int:
    """Take every picture and return 1 when one is too large to be kept in the repository."""
    parser = argparse.ArgumentParser(description="Photograph the demo's pages.")
    parser.add_argument("--minutes", type=float, default=4, help="how long the demo runs before")
    parser.add_argument("--into", type=Path, default=IMAGES, help="the folder of the pictures")
    given = parser.parse_args()
    given.into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mainstay-screenshots-") as folder:
        began = time.monotonic()
        with running_demo(Path(folder)) as demo:
            wait_until_full(demo)
            print(f"full after {time.monotonic() - began:.0f} s", flush=True)
            time.sleep(max(0.0, given.minutes * 60 - (time.monotonic() - began)))
            photograph(demo, given.into)
    return refuse_large(given.into)


@contextmanager
def running_demo(folder: Path) -> Iterator[Demo]:
    """Start `mainstay up --demo`; it has ended, with its children, afterwards."""
    log = folder / "mainstay.log"
    command = [str(PROGRAM), "up", "--demo", "--port", "0", "--data-dir", str(folder / "data")]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        said = wait_for_words(process, log)
        made = json.loads((folder / "data" / "demo.json").read_text())
        yield Demo(
            url=said["running at"],
            email=said["e-mail"],
            password=said["password"],
            token=made["token"],
        )
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)


def wait_for_words(process: "subprocess.Popen[bytes]", log: Path) -> dict[str, str]:
    """What the demo printed: its address, e-mail and password."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        said = dict(re.findall(r"(running at|e-mail|password) +(\S+)", log.read_text()))
        if "password" in said:
            return said
        time.sleep(0.1)
    raise RuntimeError(f"the demo did not start:\n{log.read_text()}")


def wait_until_full(demo: Demo) -> None:
    """Return when production has requests, issues, health checks and an alert."""
    deadline = time.monotonic() + FULL_SECONDS
    while True:
        summaries = demo.get("/api/summaries")["summaries"]
        production = next(one for one in summaries if one["environment"] == "production")
        if is_full(production):
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"the pages are not full: {production}")
        time.sleep(1)


def is_full(summary: dict[str, Any]) -> bool:
    """Whether there is enough of everything to look at."""
    enough = {
        "requests24h": LEAST_REQUESTS,
        "unresolvedIssues": LEAST_ISSUES,
        "checks": LEAST_CHECKS,
    }
    alerts = sum(summary.get("activeAlerts", {}).values())
    return alerts >= 1 and all(summary.get(name, 0) >= least for name, least in enough.items())


def photograph(demo: Demo, folder: Path) -> None:
    """Take every page in both themes."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        for theme in ("light", "dark"):
            photograph_in(browser, demo, theme, folder)
        browser.close()


def photograph_in(browser: Browser, demo: Demo, theme: str, folder: Path) -> None:
    """Sign in and take every page in one theme."""
    context = browser.new_context(viewport=SIZE, color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type] # one of two literals
    context.add_cookies([{"name": "theme", "value": theme, "url": demo.url}])
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{demo.url}/login")
    page.get_by_label("E-mail").fill(demo.email)
    page.locator("input[type=password]").fill(demo.password)
    page.locator("form button[type=submit]").first.click()
    page.wait_for_url("**/dashboard**")
    for name, path in PAGES.items():
        answer = page.goto(demo.url + path)
        if answer is None or not answer.ok:
            raise RuntimeError(f"{path} answered {answer.status if answer else 'nothing'}")
        if name == "issue":
            open_issue(page)
        settle(page)
        if name == "requests":
            page.get_by_role("heading", name="Requests").first.evaluate("it => it.scrollIntoView()")
            page.mouse.wheel(0, -HEADER_PIXELS)
            page.wait_for_timeout(300)
        (folder / f"{name}-{theme}.png").write_bytes(with_palette(page, page.screenshot()))
    context.close()
    if complaints:
        raise RuntimeError(f"the browser complained: {complaints}")


def open_issue(page: Page) -> None:
    """Go from the list to an issue with a stack of our own functions, as a person would."""
    page.locator("main a", has_text="KeyError").first.click()
    page.wait_for_load_state("load")


def settle(page: Page) -> None:
    """Let panels that load by themselves arrive, and charts be drawn."""
    page.wait_for_function("() => !document.querySelector('.htmx-request')")
    page.wait_for_timeout(1500)


def with_palette(page: Page, png: bytes) -> bytes:
    """The picture with at most 256 colours, which the eye does not miss and git does not store.

    The browser decodes it. The rarest colours, which are the edges of letters, become the nearest
    of the others.
    """
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    blank = page.context.new_page()  # the policy of our own pages lets no script decode anything
    encoded = blank.evaluate(DECODE, source)
    blank.close()
    pixels = np.frombuffer(base64.b64decode(encoded), np.uint8).reshape(SIZE["height"], -1, 4)
    packed = pixels[..., 0].astype(np.int64) << 16 | pixels[..., 1].astype(np.int64) << 8
    packed |= pixels[..., 2]
    colors, positions, counts = np.unique(packed, return_inverse=True, return_counts=True)
    kept = np.sort(colors[np.argsort(counts)[::-1][:MOST_COLORS]])
    distances = np.abs(channels(colors)[:, None, :] - channels(kept)[None, :, :]).sum(axis=2)
    nearest = distances.argmin(axis=1).astype(np.uint8)
    rows = nearest[positions.reshape(packed.shape)]
    unfiltered = np.insert(rows, 0, 0, axis=1).tobytes()
    header = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], 8, 3, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"PLTE", channels(kept).astype(np.uint8).tobytes()),
            chunk(b"IDAT", zlib.compress(unfiltered, 9)),
            chunk(b"IEND", b""),
        ]
    )


def channels(packed: "np.ndarray[Any, np.dtype[np.int64]]") -> "np.ndarray[Any, Any]":
    """Red, green and blue of colours that are one number each."""
    return np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=-1)


def chunk(kind: bytes, body: bytes) -> bytes:
    """One part of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def refuse_large(folder: Path) -> int:
    """Name the pictures that are too large; return the exit code."""
    sizes = {path: path.stat().st_size for path in sorted(folder.glob("*.png"))}
    for path, size in sizes.items():
        print(f"{size / 1000:7.0f} KB  {path.name}")
    large = [path.name for path, size in sizes.items() if size > MOST_BYTES]
    if large or sum(sizes.values()) > MOST_BYTES_IN_ALL:
        print(f"too large: {large or 'all together'}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
