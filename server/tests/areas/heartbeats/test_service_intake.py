"""The intake: a burst in few transactions, none lost, and a full room said at once."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from mainstay_server.areas.heartbeats.models import Heartbeat, HeartbeatPing, Signal
from mainstay_server.areas.heartbeats.schemas.reports import Outcome, Report, Result, Target
from mainstay_server.areas.heartbeats.service import intake as module
from mainstay_server.areas.heartbeats.service.intake import Full, close_intake, intake
from mainstay_server.areas.heartbeats.service.recording import record_reports
from mainstay_server.areas.heartbeats.settings import HeartbeatSettings
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.problems import Unavailable
from mainstay_server.kernel.settings import load_settings
from sqlalchemy import func, select
from tests.areas.heartbeats.worlds import a_heartbeat, an_instance
from tests.databases import on_both_stores


@pytest.fixture
def beats(database: None, shared_memory: None) -> Iterator[list[Heartbeat]]:
    """Twenty jobs of one instance."""
    load_settings([HeartbeatSettings], heartbeats_pings_kept=10_000)
    with transaction() as session:
        instance = an_instance(session)
        made = [a_heartbeat(session, instance, name=f"job {n}") for n in range(20)]
    yield made
    close_intake()


def a_report(beat: Heartbeat, **more: object) -> Report:
    return Report(
        target=Target(ping_id=beat.ping_id),
        signal=Signal.SUCCESS,
        at=utc_now(),
        **more,  # type: ignore[arg-type] # each test gives what it is about
    )


async def send_all(reports: list[Report]) -> list[Result]:
    return await asyncio.gather(*(intake().record(one) for one in reports))


@on_both_stores
def test_five_thousand_in_one_burst_are_all_there(beats: list[Heartbeat]) -> None:
    reports = [a_report(beats[n % 20]) for n in range(5_000)]

    results = asyncio.run(send_all(reports))

    assert {result.outcome for result in results} == {Outcome.TAKEN}
    with reading() as session:
        counts = session.execute(
            select(
                HeartbeatPing.heartbeat_id, func.count(), func.max(HeartbeatPing.number)
            ).group_by(HeartbeatPing.heartbeat_id)
        ).all()
        known = session.scalars(select(Heartbeat.pings_count)).all()
    assert [(count, highest) for _, count, highest in counts] == [(250, 250)] * 20
    assert known == [250] * 20


def test_two_event_loops_are_both_answered(beats: list[Heartbeat]) -> None:
    found: list[Result] = []

    def ask() -> None:
        found.extend(asyncio.run(send_all([a_report(beats[0]) for _ in range(50)])))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 100


def test_a_full_room_is_said_at_once(
    beats: list[Heartbeat], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = threading.Event()
    record = module.Intake._record

    def wait_and_record(self: module.Intake, reports: list[Report]) -> list[Result]:
        held.wait(60)
        return record(self, reports)

    monkeypatch.setattr(module.Intake, "_record", wait_and_record)

    async def fill() -> int:
        waiting = [intake().record(a_report(beats[0]))]
        try:
            while True:
                waiting.append(intake().record(a_report(beats[0], body=b"x" * 10_000)))
        except Full:
            held.set()
        return len(await asyncio.gather(*waiting))

    assert asyncio.run(fill()) >= 3_000
    with reading() as session:
        assert len(session.scalars(select(HeartbeatPing.number)).all()) >= 3_000


def test_a_report_that_cannot_be_stored_does_not_take_others_with_it(
    beats: list[Heartbeat], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_reports

    def refuse_one(session: object, reports: list[Report], **more: object) -> list[Result]:
        if any(report.body == b"poison" for report in reports):
            raise ValueError("this one cannot be stored")
        return record(session, reports, **more)  # type: ignore[arg-type] # handed on as it came

    monkeypatch.setattr(module, "record_reports", refuse_one)
    reports = [a_report(beats[0], body=b"poison" if n == 7 else b"") for n in range(20)]

    async def send() -> list[object]:
        return await asyncio.gather(
            *(intake().record(one) for one in reports), return_exceptions=True
        )

    outcomes = asyncio.run(send())
    assert [isinstance(one, Exception) for one in outcomes].count(True) == 1
    assert isinstance(outcomes[7], Exception)


CHILD = """
import asyncio, sys
from mainstay_server.areas.heartbeats.models import Signal
from mainstay_server.areas.heartbeats.schemas.reports import Report, Target
from mainstay_server.areas.heartbeats.service.intake import intake
from mainstay_server.areas.heartbeats.settings import HeartbeatSettings
from mainstay_server.installed import AREAS
from mainstay_server.areas.heartbeats.service.recording import record_reports
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import open_database
from mainstay_server.kernel.settings import ServerSettings, load_settings

load_settings([ServerSettings, HeartbeatSettings], data_dir=sys.argv[1],
              heartbeats_pings_kept=10_000)
open_database(f"sqlite:///{sys.argv[1]}/mainstay.db")

async def report_on_and_on(ping_id):
    while True:
        await intake().record(
            Report(target=Target(ping_id=ping_id), signal=Signal.SUCCESS, at=utc_now())
        )
        print(ping_id, flush=True)

async def main():
    await asyncio.gather(*(report_on_and_on(each) for each in sys.argv[2:]))

asyncio.run(main())
"""


@pytest.mark.slow
def test_what_was_answered_survives_a_kill(beats: list[Heartbeat], tmp_path: Path) -> None:
    (store,) = tmp_path.rglob("*.db")
    folder = store.parent
    if store.name != "mainstay.db":
        (folder / "mainstay.db").symlink_to(store.name)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), *(beat.ping_id for beat in beats)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "MAINSTAY_DATA_DIR": str(folder)},
    )
    assert child.stdout is not None
    answered = [child.stdout.readline().strip() for _ in range(300)]
    child.send_signal(signal.SIGKILL)
    answered += child.stdout.read().split()
    child.stdout.close()
    child.wait()

    with sqlite3.connect(store) as connection:
        kept = dict(
            connection.execute(
                "SELECT ping_id, count(*) FROM heartbeat_pings JOIN heartbeats"
                " ON heartbeats.id = heartbeat_id GROUP BY ping_id"
            )
        )
    for beat in beats:
        assert kept.get(beat.ping_id, 0) >= answered.count(beat.ping_id)


def test_one_report_that_no_store_takes_is_refused_alone(beats: list[Heartbeat]) -> None:
    poisoned = a_report(beats[1], exit_status=10**30)

    async def send() -> list[Result | BaseException]:
        waiting = [intake().record(one) for one in (a_report(beats[0]), poisoned)]
        return await asyncio.gather(*waiting, return_exceptions=True)

    good, bad = asyncio.run(send())

    assert isinstance(good, Result)
    assert good.outcome == Outcome.TAKEN
    assert isinstance(bad, Unavailable)
