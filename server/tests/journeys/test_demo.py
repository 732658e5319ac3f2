"""The demo fills every page by itself, and leaves nothing running however it ends."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil
import pytest
from tests.journeys.running import PROGRAM, Mainstay
from tests.waiting import PATIENCE_SECONDS, CalmClock, eventually

pytestmark = pytest.mark.slow

FULL_SECONDS = 60
CHILDREN = 6  # the conductor, the app twice, its visitors twice, and the pager


@contextmanager
def running_demo(data_dir: Path) -> Iterator[Mainstay]:
    arguments = ["up", "--demo", "--port", "0", "--data-dir", str(data_dir)]
    demo = Mainstay(arguments, {"MAINSTAY_LOG_FORMAT": "json"})
    demo.start()
    try:
        yield demo
    finally:
        demo.kill()


@contextmanager
def signed_in(demo: Mainstay) -> Iterator[httpx.Client]:
    """A browser that used what the demo printed."""
    eventually(lambda: "Ctrl-C" in "".join(demo.lines))
    printed = dict(re.findall(r"(e-mail|password) +(\S+)", "\n".join(demo.lines)))
    form = {"email": printed["e-mail"], "password": printed["password"]}
    with httpx.Client(base_url=demo.url, timeout=PATIENCE_SECONDS) as browser:
        answer = browser.post("/login", data=form, headers={"origin": demo.url})
        assert answer.status_code == 303, answer.text
        yield browser


def children_of(demo: Mainstay) -> list[psutil.Process]:
    """Its processes, without those that write or read a copy of a backup for a moment.

    A child that has not yet begun its own program looks like its parent: it does not count yet.
    """
    found = psutil.Process(demo.pid).children(recursive=True)
    return [child for child in found if not is_copying(child) and has_begun(child)]


def leave_nobody(children: list[psutil.Process]) -> bool:
    """Whether all of them are gone soon."""
    _gone, left = psutil.wait_procs(children, timeout=PATIENCE_SECONDS)
    return left == []


def fullness(browser: httpx.Client) -> dict[str, dict[str, Any]]:
    """What the overview knows of each environment."""
    found = browser.get("/api/summaries").json()["summaries"]
    return {one["environment"]: one for one in found}


def is_full(summary: dict[str, Any]) -> bool:
    enough = {"requests24h": 20, "unresolvedIssues": 3, "checks": 2}
    alerts = sum(summary.get("activeAlerts", {}).values())
    return alerts >= 1 and all(summary.get(name, 0) >= least for name, least in enough.items())


def guarded(browser: httpx.Client, summary: dict[str, Any]) -> int:
    """How many requests of an instance passed its guard or were refused."""
    answer = browser.get(f"/api/instances/{summary['instanceId']}/guard/figures").json()
    return sum(figure["total"] for figure in answer["figures"])


def proven(browser: httpx.Client, summary: dict[str, Any]) -> bool:
    """Whether a backup of the app's database was restored and compared."""
    path = f"/api/instances/{summary['instanceId']}/backups/summary"
    return browser.get(path).json()["lastVerifiedAt"] is not None


def watched(browser: httpx.Client, summary: dict[str, Any]) -> dict[str, str]:
    """How the health checks and heartbeats of an instance are, by name."""
    base = f"/api/instances/{summary['instanceId']}"
    checks = browser.get(f"{base}/health-checks").json()["healthChecks"]
    jobs = browser.get(f"{base}/heartbeats").json()["heartbeats"]
    return {each["name"]: each["state"] for each in (*checks, *jobs)}


def well(states: dict[str, str]) -> set[str]:
    """The names of those that are healthy."""
    return {name for name, state in states.items() if state == "healthy"}


def shown(browser: httpx.Client) -> str:
    """The status page that everybody sees."""
    return browser.get("/status/inspections").text


def has_begun(child: psutil.Process) -> bool:
    """Whether it runs its own program by now, not a copy of its parent's."""
    try:
        parent = child.parent()
        return parent is not None and child.cmdline() not in ([], parent.cmdline())
    except psutil.NoSuchProcess:
        return False


def is_copying(child: psutil.Process) -> bool:
    """Whether it writes or reads a copy of a backup, and ends by itself."""
    try:
        return any("kernel.copies" in word for word in child.cmdline())
    except psutil.NoSuchProcess:
        return True


def test_the_demo_is_full_within_a_minute_and_a_sigterm_ends_all_of_it(tmp_path: Path) -> None:
    with running_demo(tmp_path / "demo") as demo, signed_in(demo) as browser:
        eventually(
            lambda: len(seen := fullness(browser)) == 2 and all(map(is_full, seen.values())),
            within_seconds=FULL_SECONDS,
            calm=CalmClock(),
            every_seconds=1,
        )
        seen = fullness(browser)
        assert seen["production"]["status"] == "healthy"
        assert seen["staging"]["status"] == "unhealthy", "it forgot an environment variable"
        assert seen["staging"]["activeAlerts"]["critical"] >= 1
        eventually(lambda: min(guarded(browser, summary) for summary in seen.values()) >= 10)
        pager = tmp_path / "demo" / "demo" / "pager.log"
        eventually(lambda: "inspections staging is down" in pager.read_text())
        eventually(lambda: proven(browser, seen["production"]))
        names = {"health", "port", "list", "an inspection", "Nightly export"}
        eventually(lambda: names <= well(watched(browser, seen["production"])))
        eventually(lambda: "A whole inspection" in shown(browser))
        objectives = browser.get("/api/projects/inspections/objectives").json()["objectives"]
        assert {each["source"] for each in objectives} == {"requests", "watched"}
        children = children_of(demo)
        assert len(children) == CHILDREN

        assert demo.stop() == 0

        assert leave_nobody(children)
    assert [line for line in demo.lines if '"level": "error"' in line] == []


def test_a_killed_server_leaves_nobody_and_the_next_one_knows_the_password(tmp_path: Path) -> None:
    with running_demo(tmp_path) as demo:
        children = eventually(lambda: len(found := children_of(demo)) == CHILDREN and found)

        demo.kill()

        assert leave_nobody(children)
    with running_demo(tmp_path) as again, signed_in(again) as browser:
        assert browser.get("/api/me").json()["email"] == "demo@mainstay.example"


def test_a_killed_conductor_takes_its_children_along(tmp_path: Path) -> None:
    with running_demo(tmp_path) as demo:
        children = eventually(lambda: len(found := children_of(demo)) == CHILDREN and found)
        (conductor,) = [child for child in children if "conductor" in " ".join(child.cmdline())]

        conductor.send_signal(signal.SIGKILL)

        assert leave_nobody([child for child in children if child.pid != conductor.pid])
        assert demo.stop() == 0


def test_somebody_elses_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mainstay.db").touch()
    command = [str(PROGRAM), "up", "--demo", "--data-dir", str(tmp_path)]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )

    assert ended.returncode == 1
    assert "choose another --data-dir" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mainstay.db"]
