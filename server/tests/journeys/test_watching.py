"""One notice for one cause: fifty behind what is down, our own uplink, our own process stopped."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.running import Mainstay, running_mainstay
from tests.servers.http import running_http
from tests.servers.smtp import SmtpServer, running_smtp
from tests.waiting import eventually

pytestmark = pytest.mark.slow

BEHIND = 50
INTERVAL_SECONDS = 5
STOPPED_SECONDS = int(os.environ.get("MAINSTAY_SOAK_STOPPED_SECONDS", "20"))
OFTEN = {"intervalSeconds": INTERVAL_SECONDS, "timeoutSeconds": 2, "degradedAfterMs": 2_000}


@contextmanager
def a_harbour(count: int) -> Iterator[tuple["subprocess.Popen[str]", list[int]]]:
    """So many servers in one process."""
    program = [sys.executable, str(Path(__file__).with_name("harbour.py")), str(count)]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, [int(port) for port in process.stdout.readline().split()]
    finally:
        process.kill()
        process.communicate()


@contextmanager
def watched(mail: SmtpServer, **settings: str) -> Iterator[Mainstay]:
    """A Mainstay that mails whoever is on call."""
    environment = {
        "MAINSTAY_SMTP_HOST": "127.0.0.1",
        "MAINSTAY_SMTP_PORT": str(mail.port),
        "MAINSTAY_SMTP_STARTTLS": "false",
        "MAINSTAY_SMTP_FROM": "mainstay@ships.example",
        "MAINSTAY_HEALTH_CHECKS_GRACE_SECONDS": "1",
        **settings,
    }
    with running_mainstay(environment) as mainstay:
        channel = {"type": "email", "config": {"email": "oncall@ships.example"}}
        path = f"/api/projects/{mainstay.project['slug']}/alert-channels"
        answer = mainstay.call("POST", path, json=channel)
        assert answer.status_code == 201, answer.text
        yield mainstay


def follow(mainstay: Mainstay, url: str) -> str:
    """Have the first instance watched; the id of its check."""
    path = f"/api/instances/{mainstay.instance_id}"
    assert mainstay.call("PATCH", path, json={"url": url, **OFTEN}).is_success
    return str(eventually(lambda: checks_of(mainstay, mainstay.instance_id))[0]["id"])


def checks_of(mainstay: Mainstay, instance_id: str) -> list[dict[str, Any]]:
    path = f"/api/instances/{instance_id}/health-checks?limit=100"
    found: list[dict[str, Any]] = mainstay.get(path)["healthChecks"]
    return found


def states_of(mainstay: Mainstay, instance_id: str) -> list[str]:
    return [check["state"] for check in checks_of(mainstay, instance_id)]


def test_what_is_killed_with_fifty_behind_it_is_one_mail_that_counts_them() -> None:
    with (
        running_smtp() as mail,
        a_harbour(1 + BEHIND) as (harbour, ports),
        watched(mail) as mainstay,
    ):
        parent = follow(mainstay, f"http://127.0.0.1:{ports[0]}/")
        made = mainstay.call(
            "POST",
            "/api/instances",
            json={"project": mainstay.project["slug"], "environment": "berths"},
        )
        assert made.status_code == 201, made.text
        berths = str(made.json()["id"])
        for number, port in enumerate(ports[1:]):
            added = mainstay.call(
                "POST",
                f"/api/instances/{berths}/health-checks",
                json={
                    "kind": "tcp",
                    "name": f"berth-{number:02}",
                    "config": {"host": "127.0.0.1", "port": port},
                    "parentId": parent,
                    **OFTEN,
                },
            )
            assert added.status_code == 201, added.text
        eventually(lambda: states_of(mainstay, berths) == ["healthy"] * BEHIND)

        harbour.kill()
        eventually(lambda: states_of(mainstay, berths) == ["unreachable"] * BEHIND)
        eventually(lambda: len(mail.messages) == 1)
        time.sleep(3 * INTERVAL_SECONDS)

        assert len(mail.messages) == 1
        text = mail.messages[0].text
        assert "50 health checks behind it cannot be reached" in text
        assert "berth-00, berth-01" in text
        assert "and 40 more" in text
        assert states_of(mainstay, mainstay.instance_id) == ["unhealthy"]


def test_while_our_uplink_is_down_states_are_unknown_and_nobody_is_told() -> None:
    with ExitStack() as stack:
        mail = stack.enter_context(running_smtp())
        uplink = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        apps = [stack.enter_context(running_http()) for _ in range(3)]
        target = f"127.0.0.1:{uplink.getsockname()[1]}"
        mainstay = stack.enter_context(watched(mail, MAINSTAY_HEALTH_CHECKS_UPLINK=target))
        follow(mainstay, apps[0].url)
        for app in apps[1:]:
            added = mainstay.call(
                "POST",
                f"/api/instances/{mainstay.instance_id}/health-checks",
                json={"url": app.url, "name": "other", **OFTEN},
            )
            assert added.status_code == 201, added.text
        eventually(lambda: states_of(mainstay, mainstay.instance_id) == ["healthy"] * 3)

        uplink.close()
        for app in apps:
            app.stop()
        eventually(lambda: states_of(mainstay, mainstay.instance_id) == ["unknown"] * 3)
        time.sleep(2 * INTERVAL_SECONDS)

        assert states_of(mainstay, mainstay.instance_id) == ["unknown"] * 3
        assert mail.messages == []
        reasons = {c["stateReason"] for c in checks_of(mainstay, mainstay.instance_id)}
        assert reasons == {"nobody could tell: our own uplink was down"}
        for app in apps:
            app.start()
        eventually(lambda: states_of(mainstay, mainstay.instance_id) == ["healthy"] * 3)
        assert mail.messages == []


def test_with_the_uplink_there_a_failure_is_one_of_the_app() -> None:
    with (
        running_smtp() as mail,
        running_http() as app,
        socket.create_server(("127.0.0.1", 0)) as uplink,
        watched(
            mail, MAINSTAY_HEALTH_CHECKS_UPLINK=f"127.0.0.1:{uplink.getsockname()[1]}"
        ) as mainstay,
    ):
        follow(mainstay, app.url)
        eventually(lambda: states_of(mainstay, mainstay.instance_id) == ["healthy"])

        app.stop()

        eventually(lambda: states_of(mainstay, mainstay.instance_id) == ["unhealthy"])
        eventually(lambda: len(mail.messages) == 1)


def test_while_our_process_is_stopped_states_are_unknown_and_nobody_is_told() -> None:
    with (
        running_smtp() as mail,
        running_http() as app,
        watched(mail) as mainstay,
    ):
        follow(mainstay, app.url)
        eventually(lambda: states_of(mainstay, mainstay.instance_id) == ["healthy"])

        os.kill(mainstay.pid, signal.SIGSTOP)
        app.stop()
        time.sleep(STOPPED_SECONDS)
        app.start()
        os.kill(mainstay.pid, signal.SIGCONT)

        def gap() -> float:
            uptime = mainstay.get(f"/api/instances/{mainstay.instance_id}/uptime")
            spells = [spell["state"] for spell in uptime["intervals"]]
            back = spells[1:] == ["healthy", "unknown", "healthy"]
            return float(uptime["seconds"]["unknown"]) if back else 0.0

        unknown = eventually(gap)
        assert unknown > STOPPED_SECONDS - 2 * INTERVAL_SECONDS
        uptime = mainstay.get(f"/api/instances/{mainstay.instance_id}/uptime")
        assert uptime["uptime"] == 100
        assert uptime["coverage"] < 100
        time.sleep(INTERVAL_SECONDS)
        assert mail.messages == []
