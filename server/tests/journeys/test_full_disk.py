"""No room: events are refused with the time to come back, nobody falls over, and it heals."""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx2 as httpx
import pytest
from tests.full_disks import fill
from tests.journeys.crashing import issues_of
from tests.journeys.guarding import COST, Operating, address_of, until_answered
from tests.journeys.loads import Sending, Sent, sending_to
from tests.journeys.running import Mainstay, running_mainstay
from tests.servers.clickhouse import clickhouse_server
from tests.waiting import eventually

pytestmark = pytest.mark.slow

DISK_MIB = 96
SENDERS = 20
PAGES = ("/login", "/dashboard", "/api/projects", "/api/openapi.json", "/metrics")


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 96 MiB; it is gone afterwards."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "mainstay-small-disk", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.fail(
            f"A small disk cannot be mounted ({mounted.stderr.strip()}). Run the tests as root, in"
            " a container with --cap-add SYS_ADMIN.",
            pytrace=False,
        )
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def refused(sending: Sending, *, after: int) -> Sequence[Sent]:
    """What was answered after so many tries, once there are enough answers to judge."""
    found: Sequence[Sent] = eventually(
        lambda: len(sending.tries()) > after + 3 * SENDERS and sending.tries()[after:],
    )
    return found


def assert_refused_with_a_time(tries: Sequence[Sent]) -> None:
    """Whoever is not acknowledged is told when to come back, at once."""
    assert {sent.status for sent in tries} <= {200, 429, 503}
    turned_away = [sent for sent in tries if not sent.acknowledged]
    assert turned_away, "nothing was refused, so nothing was proven"
    assert all(int(sent.retry_after or 0) >= 1 for sent in turned_away)
    assert max(sent.seconds for sent in turned_away) < 10


def assert_calm(mainstay: Mainstay, *, writing: int) -> None:
    """Pages answer or refuse, and nobody outside sees the inside; `writing` is how a write ends."""
    for page in PAGES:
        answer = mainstay.call("GET", page)
        said = [line[-900:] for line in mainstay.lines[-4:]]
        assert answer.status_code in (200, 303, 401, 503), f"{page}: {said}"
        assert "Traceback" not in answer.text
        assert "sqlite3" not in answer.text
    wrote = mainstay.call("POST", "/api/projects", json={"name": f"Made at {time.time()}"})
    assert wrote.status_code == writing, wrote.text
    assert (int(wrote.headers.get("retry-after", "0")) >= 1) is (writing == 503)


def assert_counted_exactly(mainstay: Mainstay, tries: Sequence[Sent]) -> None:
    """Everything acknowledged is counted, and nothing that was never sent.

    What was refused and given up may have been stored all the same; what was acknowledged must be.
    """
    acknowledged = {sent.event_id for sent in tries if sent.acknowledged}
    all_sent = {sent.event_id for sent in tries}

    def counted() -> int:
        return sum(count for _, count in issues_of(mainstay).values())

    # What was stored while the database could not count it is counted by the job that mends
    # crashes, once nobody has counted for that intake for ten seconds.
    eventually(lambda: counted() >= len(acknowledged), within_seconds=180, every_seconds=1)
    assert len(acknowledged) <= counted() <= len(all_sent)


def healthz(mainstay: Mainstay) -> httpx.Response:
    return mainstay.call("GET", "/healthz")


def test_a_full_disk_refuses_for_now_and_heals_by_itself(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "disk") as disk,
        running_mainstay(data_dir=disk / "data") as mainstay,
        sending_to(mainstay.project, mainstay.url, tmp_path, senders=SENDERS) as sending,
    ):
        eventually(lambda: any(s.acknowledged for s in sending.tries()))
        assert healthz(mainstay).status_code == 200

        fill(disk / "filler")
        eventually(lambda: sending.tries()[-1].status in (429, 503))
        assert_refused_with_a_time(refused(sending, after=len(sending.tries())))
        unwell = eventually(lambda: healthz(mainstay).status_code == 503 and healthz(mainstay))
        assert unwell.json()["status"] == "unhealthy"
        assert unwell.json()["checks"]["disk"]["status"] == "unhealthy"
        assert_calm(mainstay, writing=503)
        os.kill(mainstay.pid, 0)

        (disk / "filler").unlink()
        freed = len(sending.tries())
        eventually(
            lambda: any(s.acknowledged for s in sending.tries()[freed:]),
        )
        eventually(lambda: healthz(mainstay).status_code == 200)
        tries = sending.stop()
        assert tries[-1].acknowledged
        assert_counted_exactly(mainstay, tries)
        assert mainstay.stop() == 0


def assert_each_is_there_once(mainstay: Mainstay) -> None:
    """Two reports were counted, and one scan and each ban are there, with a log that is whole."""
    used = {meter["meter"]: meter["used"] for meter in mainstay.get("/api/v1/usage")["meters"]}
    assert used["calls"] == 2 * COST
    path = f"/api/instances/{mainstay.instance_id}"
    (scan,) = mainstay.get(f"{path}/vulnerability-scans")["scans"]
    (found,) = mainstay.get(f"{path}/vulnerabilities")["vulnerabilities"]
    assert (scan["new"], found["package"]) == (1, "package-1")
    banned = [ban["network"] for ban in mainstay.get(f"{path}/bans")["bans"]]
    assert f"{address_of(1)}/32" in banned
    assert len(banned) == len(set(banned))
    assert mainstay.get("/api/audit/verify")["faults"] == []


def test_a_full_disk_keeps_no_part_of_a_report_a_ban_or_a_scan_and_heals(tmp_path: Path) -> None:
    plans = {"ONLY": {"calls": {"limit": 2 * COST, "mode": "soft"}}}
    environment = {"MAINSTAY_PLANS": json.dumps(plans), "MAINSTAY_DEFAULT_PLAN": "ONLY"}
    with (
        small_disk(tmp_path / "disk") as disk,
        running_mainstay(environment, data_dir=disk / "data") as mainstay,
    ):
        doing = Operating(mainstay)
        every = (
            partial(doing.send_report, "batch-of-one"),
            partial(doing.send_ban, 1),
            partial(doing.send_scan, 1),
        )
        assert doing.send_report("batch-before").status_code == 200

        fill(disk / "filler")
        eventually(lambda: doing.send_ban(0).status_code == 503)
        for _ in range(3):
            refused = [send() for send in every]
            assert [answer.status_code for answer in refused] == [503] * len(every)
            assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)

        (disk / "filler").unlink()
        healed = [until_answered(send).status_code for send in every]
        assert healed == [200, 201, 201]
        assert doing.send_report("batch-of-one").status_code == 200, (
            "sent again, as if not answered"
        )
        assert_each_is_there_once(mainstay)
        assert mainstay.stop() == 0


def test_a_column_server_that_is_away_refuses_for_now_and_heals_by_itself(tmp_path: Path) -> None:
    with (
        clickhouse_server(tmp_path) as clickhouse,
        running_mainstay({"MAINSTAY_COLUMNS_URL": clickhouse.new_database()}) as mainstay,
        sending_to(mainstay.project, mainstay.url, tmp_path, senders=SENDERS) as sending,
    ):
        eventually(lambda: any(s.acknowledged for s in sending.tries()))

        clickhouse.stop()
        eventually(lambda: sending.tries()[-1].status == 503)
        assert_refused_with_a_time(refused(sending, after=len(sending.tries())))
        assert healthz(mainstay).status_code == 503
        assert healthz(mainstay).json()["checks"]["columns"]["status"] == "unhealthy"
        assert_calm(mainstay, writing=201)

        clickhouse.start()
        freed = len(sending.tries())
        eventually(
            lambda: any(s.acknowledged for s in sending.tries()[freed:]),
        )
        tries = sending.stop()
        assert tries[-1].acknowledged
        assert_counted_exactly(mainstay, tries)
