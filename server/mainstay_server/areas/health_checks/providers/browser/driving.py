"""The browser check: a real Chromium goes through a page, in a child that cannot hurt the watch."""

import asyncio
import base64
import contextlib
import functools
import importlib.util
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import psutil
from pydantic import Field, model_validator
from typing_extensions import Self

from mainstay_server.areas.health_checks.models import HealthState
from mainstay_server.areas.health_checks.schemas.orders import (
    LONGEST_REASON,
    ProbeOrder,
    ProbeResult,
    ProviderConfig,
    StepResult,
)
from mainstay_server.areas.health_checks.schemas.places import (
    PLACE,
    Secrets,
    filled,
    opened,
    places_in,
    without,
)
from mainstay_server.areas.health_checks.settings import HealthCheckSettings
from mainstay_server.kernel.outbound import OutboundError, Timings
from mainstay_server.kernel.outbound.proxying import Way, proxied
from mainstay_server.kernel.outbound.slots import Slots
from mainstay_server.kernel.programs import SEARCH_PATH, dying_with
from mainstay_server.kernel.settings import of

LABEL = "Browser"
VALUES = frozenset({"RESPONSE_TIME", "CONNECTED", "TITLE", "CONSOLE_ERRORS"})
WORKER = Path(__file__).with_name("worker.py")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FOLDER_PREFIX = "mainstay-browser-"
START_SECONDS = 30.0
END_SECONDS = 8.0
# What starting a browser, waiting for a free place and a screenshot may take beside the time-out.
OVERHEAD_SECONDS = 2 * START_SECONDS + END_SECONDS
MOST_STEPS = 30
MOST_LINE_BYTES = 2 << 20
MOST_COMPLAINT_BYTES = 4096
NEEDS_SELECTOR = frozenset({"click", "fill", "expectSelector"})
NEEDS_VALUE = frozenset({"goto", "fill", "press", "expectText", "expectTitle"})
EXAMPLE: Mapping[str, Any] = {
    "page": "https://shop.example.com/login",
    "secrets": {"password": "s3cr3t"},
    "steps": [
        {"action": "fill", "selector": "#user", "value": "probe"},
        {"action": "fill", "selector": "#password", "value": "{{password}}"},
        {"action": "click", "selector": "button[type=submit]"},
        {"action": "expectText", "value": "Welcome back"},
    ],
}


class Step(ProviderConfig):
    """One thing that a person would do, or look for.

    `selector` is one of CSS, or of Playwright (`text=Sign in`, `role=button[name="Buy"]`). `value`
    is what is filled in, pressed or expected; `{{name}}` in it stands for a secret.
    """

    action: Literal["goto", "click", "fill", "press", "expectText", "expectSelector", "expectTitle"]
    selector: Annotated[str, Field(max_length=500)] = ""
    value: Annotated[str, Field(max_length=2_000)] = ""
    name: Annotated[str, Field(max_length=100)] = ""

    @model_validator(mode="after")
    def _says_what_it_needs(self) -> Self:
        if self.action in NEEDS_SELECTOR and not self.selector:
            raise ValueError(f"{self.action} needs a selector")
        if self.action in NEEDS_VALUE and not self.value:
            raise ValueError(f"{self.action} needs a value")
        return self

    @property
    def title(self) -> str:
        """Its name, or what it does, its places unfilled."""
        return self.name or " ".join(filter(None, (self.action, self.selector or self.value)))[:100]


class Config(ProviderConfig):
    """The page that is opened first, and what is done there."""

    page: Annotated[str, Field(pattern=r"^https?://", max_length=2_000)]
    steps: Annotated[list[Step], Field(max_length=MOST_STEPS)] = Field(default_factory=list)
    secrets: Secrets = Field(default_factory=dict)
    width: Annotated[int, Field(ge=320, le=2_560)] = 1_280
    height: Annotated[int, Field(ge=320, le=2_000)] = 800
    verify_tls: bool = True
    fail_on_console_errors: bool = False

    @model_validator(mode="after")
    def _can_be_run(self) -> Self:
        known = set(opened(self.secrets))
        for text in (self.page, *(step.value for step in self.steps)):
            if unknown := places_in(text) - known:
                raise ValueError(f"has no secret {min(unknown)}, which {{{{…}}}} asks for")
        for url in (self.page, *(s.value for s in self.steps if s.action == "goto")):
            parts = urlsplit(url)
            if PLACE.search(parts.netloc) or parts.scheme not in ("http", "https"):
                raise ValueError("goes to addresses that begin with http:// or https:// alone")
        return self


def target_of(config: Config) -> str:
    """The page that is opened first, its places unfilled, and where else the steps go.

    All of it, since what a check keeps secret goes only where it was meant for.
    """
    parts = urlsplit(config.page)
    page = config.page.replace(parts.netloc, parts.netloc.rpartition("@")[2], 1)
    first = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    steps = (urlsplit(step.value) for step in config.steps if step.action == "goto")
    places = dict.fromkeys(f"{each.scheme}://{each.netloc.rpartition('@')[2]}" for each in steps)
    others = ", ".join(place for place in places if place != first)
    return f"{page}, then {others}" if others else page


def host_of(config: Config) -> str:
    """The host of that page."""
    return urlsplit(config.page).hostname or ""


def why_not() -> str:
    """What is missing on this machine, and how to get it; empty when a browser can be driven."""
    if importlib.util.find_spec("playwright") is None:
        return (
            "Browser checks need Playwright: pip install 'mainstay-server[browser]', then restart."
        )
    if _executable() is None:
        return (
            "Browser checks need Chromium: install it (apt install chromium, or playwright install"
            " chromium), or say where it is with MAINSTAY_BROWSER_PATH."
        )
    return ""


async def ask(order: ProbeOrder) -> ProbeResult:
    """Open the page in a browser of its own, go through the steps, and judge by the first failure.

    The time is that of all steps, without the browser's own start. Unhealthy: a step failed, and
    the reason names it. Degraded: all together took longer than the check allows.
    """
    missing = why_not()
    if missing:
        return _not_asked(missing)
    config = Config.model_validate(order.config)
    run = _Run(config=config, order=order)
    began = time.monotonic()
    try:
        async with _places().one_for("browser", wait_seconds=START_SECONDS), proxied() as way:
            await run.drive(way)
    except OutboundError as error:
        return order.unanswered(error, began=began)
    return run.result()


@dataclass(kw_only=True)
class _Run:
    """What one browser has told so far."""

    config: Config
    order: ProbeOrder
    done: list[StepResult] = field(default_factory=list)
    ready: bool = False
    broken: str = ""
    title: str = ""
    console: list[str] = field(default_factory=list)
    screenshot: bytes = b""
    began: float = 0.0

    def __post_init__(self) -> None:
        self.values = opened(self.config.secrets)
        self.steps = [
            Step(action="goto", value=self.config.page, name="open the page"),
            *self.config.steps,
        ]

    async def drive(self, way: Way) -> None:
        """Run the child to its end, or end it."""
        with tempfile.TemporaryDirectory(
            prefix=FOLDER_PREFIX, ignore_cleanup_errors=True
        ) as folder:
            async with _child(folder) as child:
                assert child.stdin is not None, "it was started with a pipe"
                child.stdin.write(json.dumps(self._orders(way)).encode())
                child.stdin.close()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(START_SECONDS) as deadline:
                        await self._listen(child, deadline)
            if not self.ready and not self.broken:
                self.broken = await _complaint(child) or "the browser did not start in time"

    async def _listen(self, child: asyncio.subprocess.Process, deadline: asyncio.Timeout) -> None:
        """Hear it out. Once the browser is ready, the steps have their own time."""
        assert child.stdout is not None, "it was started with a pipe"
        with contextlib.suppress(ValueError):  # a line longer than allowed: no more is heard
            async for line in child.stdout:
                self._hear(json.loads(line))
                if self.ready and len(self.done) == 0:
                    allowed = self.order.timeout_seconds + END_SECONDS
                    deadline.reschedule(asyncio.get_running_loop().time() + allowed)

    def _hear(self, said: dict[str, Any]) -> None:
        if "ready" in said:
            self.ready, self.began = True, time.monotonic()
        elif "step" in said:
            self.done.append(
                StepResult(
                    name=without(str(said["step"]), self.values.values()),
                    state="unhealthy" if said["reason"] else "healthy",
                    response_ms=float(said["ms"]),
                    reason=without(str(said["reason"]), self.values.values()),
                )
            )
        elif "console" in said:
            self.console = [without(str(each), self.values.values()) for each in said["console"]]
        elif "screenshot" in said:
            self.screenshot = base64.b64decode(said["screenshot"])
        elif "title" in said:
            self.title = without(str(said["title"]), self.values.values())
        elif "broken" in said:
            self.broken = str(said["broken"])

    def _orders(self, way: Way) -> dict[str, Any]:
        return {
            "executable": _executable(),
            "proxy": {"server": way.url, "username": way.user, "password": way.password},
            "sandbox": os.geteuid() != 0,
            "width": self.config.width,
            "height": self.config.height,
            "verifyTls": self.config.verify_tls,
            "seconds": self.order.timeout_seconds,
            "steps": [
                {
                    "name": step.title,
                    "action": step.action,
                    "selector": step.selector,
                    "value": filled(step.value, self.values),
                    "isSecret": bool(places_in(step.value)),
                }
                for step in self.steps
            ],
        }

    def result(self) -> ProbeResult:
        """What it came to; inconclusive when the browser itself failed."""
        if not self.ready:
            return _not_asked(f"not asked: {self.broken}")
        failed = next((step for step in self.done if step.reason), None)
        if failed is None and len(self.done) < len(self.steps):
            failed = self._cut_off()
        result = replace(
            self.order.answered(
                self._timings(),
                values={"TITLE": self.title, "CONSOLE_ERRORS": len(self.console)},
                facts={"title": self.title[:200], "console_errors": len(self.console)},
            ),
            steps=(*self.done, *self._skipped()),
            console=tuple(self.console),
            screenshot=self.screenshot,
        )
        if failed is not None:
            reason = f"step {failed.name}: {failed.reason}"[:LONGEST_REASON]
            return replace(result, state=HealthState.UNHEALTHY, reason=reason)
        if self.config.fail_on_console_errors and self.console:
            return result.worsened(HealthState.UNHEALTHY, f"the page complains: {self.console[0]}")
        return result

    def _cut_off(self) -> StepResult:
        """The step at which the child was ended, or ended by itself."""
        step = self.steps[len(self.done)]
        why = self.broken or f"no end within {self.order.timeout_seconds} s"
        waited = (time.monotonic() - self.began) * 1000 - sum(s.response_ms for s in self.done)
        found = StepResult(
            name=step.title, state="unhealthy", response_ms=max(waited, 0.0), reason=why
        )
        self.done.append(found)
        return found

    def _skipped(self) -> list[StepResult]:
        rest = self.steps[len(self.done) :]
        return [StepResult(name=step.title, state="skipped") for step in rest]

    def _timings(self) -> Timings:
        total = sum(step.response_ms for step in self.done)
        return Timings(
            queued=0.0,
            resolve=0.0,
            connect=0.0,
            tls=0.0,
            first_byte=total,
            transfer=0.0,
            total=total,
        )


@asynccontextmanager
async def _child(folder: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The worker in a session of its own, which ends with the block, and all it started with it."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(WORKER),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": SEARCH_PATH, "LC_ALL": "C.UTF-8", "HOME": folder, "TMPDIR": folder}
        | {name: value for name, value in os.environ.items() if name.startswith("PLAYWRIGHT_")},
        cwd=folder,
        limit=MOST_LINE_BYTES,
        start_new_session=True,
        preexec_fn=dying_with(os.getpid()),
    )
    try:
        yield child
    finally:
        await asyncio.to_thread(_end, child.pid)
        await child.wait()


def _end(pid: int) -> None:
    """Kill the worker, and the browser, which its driver puts into a session of its own."""
    with contextlib.suppress(psutil.NoSuchProcess):
        worker = psutil.Process(pid)
        # Held still, it starts nobody that this list does not know.
        worker.suspend()
        everyone = [*worker.children(recursive=True), worker]
        for process in everyone:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(everyone[:-1], timeout=END_SECONDS)


async def _complaint(child: asyncio.subprocess.Process) -> str:
    """The last line that a child which never got ready wrote."""
    assert child.stderr is not None, "it was started with a pipe"
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            said = await child.stderr.read(MOST_COMPLAINT_BYTES)
            lines = said.decode(errors="replace").strip().splitlines()
            return lines[-1][:LONGEST_REASON] if lines else ""
    return ""


def _not_asked(reason: str) -> ProbeResult:
    return ProbeResult(
        state=HealthState.UNHEALTHY,
        response_ms=0.0,
        reason=reason[:LONGEST_REASON],
        conclusive=False,
    )


def _executable() -> str | None:
    """The browser to use: that of the setting, the machine's, or empty for Playwright's own."""
    given = of(HealthCheckSettings).browser_path
    if given:
        return given if os.access(given, os.X_OK) else None
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found:
        return found
    own = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache/ms-playwright")
    return "" if any(own.glob("chromium*")) else None


@functools.cache
def _places() -> Slots:
    most = of(HealthCheckSettings).browsers_at_once
    return Slots(total=most, per_host=most)
