"""Claim: a thousand rules over measures are judged in a small part of the minute that they have.

A thousand rules of ten projects, each of two levels with hysteresis, over real requests in the
column store: a whole pass reads rules and standings from the database, asks each measure once for
each window, judges, and writes what changed. The yardstick is a bare loop of the same comparisons
over a dictionary. Judging alone is timed beside it.

    python benchmarks/alert_rules.py [--rules 1000] [--requests 200000]
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import sqlalchemy as sa
from mainstay_server.areas.alerts import area as alerts
from mainstay_server.areas.alerts.models.rules import MeasureRule
from mainstay_server.areas.alerts.service.measures import effective, judging, measuring
from mainstay_server.areas.requests import area as requests
from mainstay_server.areas.requests.columns import REQUEST_METRICS
from mainstay_server.kernel import columns
from mainstay_server.kernel.area import install
from mainstay_server.kernel.database import (
    Base,
    close_database,
    engine,
    new_id,
    open_database,
    reading,
    transaction,
)
from mainstay_server.kernel.subjects import InstanceRef

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "server"))

from tests.world import a_project  # noqa: E402 - found by the line above

ROUNDS = 7
PROJECTS = 10
MEASURES = ("requests.error_rate", "requests.p95_ms", "requests.p99_ms", "requests.count")
WINDOWS = (300, 900)
NOW = datetime.now(UTC).replace(microsecond=0)


def projects() -> list[InstanceRef]:
    """Ten organizations with a project each."""
    with transaction() as session:
        return [
            a_project(
                session,
                now=NOW,
                organization=f"Ships {number}",
                slug=f"ships-{number}",
                number=number,
                key=f"{number:032x}",
            )
            for number in range(1, PROJECTS + 1)
        ]


def serve(instances: list[InstanceRef], count: int) -> None:
    """Requests of the last quarter of an hour, spread over the instances."""
    encode = msgspec.json.Encoder().encode
    lines = [
        encode(
            {
                "instance_id": instances[number % len(instances)].id,
                "at": f"{NOW - timedelta(seconds=number % 890 + 1):%Y-%m-%d %H:%M:%S}",
                "method": "GET",
                "path": f"/{number % 40}",
                "status": 500 if number % 30 == 0 else 200,
                "duration_ms": float(number % 3000),
                "api_key": "",
                "client_address": "",
                "trace_id": "",
                "release": "",
                "server_name": "",
            }
        )
        for number in range(count)
    ]
    for first in range(0, count, 50_000):
        part = lines[first : first + 50_000]
        columns.append_blocking(REQUEST_METRICS, b"\n".join(part) + b"\n", rows=len(part))


def write_rules(instances: list[InstanceRef], count: int) -> None:
    """Rules of which some fire at once and most never do."""
    with transaction() as session:
        for number in range(count):
            instance = instances[number % len(instances)]
            session.add(
                MeasureRule(
                    id=new_id(),
                    organization_id=instance.organization_id,
                    project_id=instance.project_id,
                    instance_id=None,
                    name=f"rule {number}",
                    measure=MEASURES[number % len(MEASURES)],
                    compares="above",
                    levels=[
                        {"severity": "warning", "threshold": number * 40.0, "clear": number * 39.0},
                        {"severity": "critical", "threshold": number * 80.0, "clear": None},
                    ],
                    window_seconds=WINDOWS[number % len(WINDOWS)],
                    for_seconds=60,
                    clear_seconds=300,
                    created_at=NOW,
                    changed_at=NOW,
                )
            )


def a_pass(now: datetime) -> tuple[int, int]:
    """What the job does each minute; returns evaluations and changes."""
    with reading() as session:
        rules = effective.effective_rules(session)
        standings = measuring.load_standings(session)
        owners = measuring.projects_of_instances(session)
        found = measuring.read_all(session, rules, now=now)
    changes, seen, evaluations = judging.evaluate(rules, found, standings, owners, now=now)
    if changes or seen:
        with transaction() as session:
            measuring.record(session, changes, seen, now=now)
    return evaluations, len(changes)


def per_second(work: Callable[[], int]) -> float:
    """How many a second of processor time, the median of some rounds."""
    rates = []
    for _ in range(ROUNDS):
        began = time.process_time()
        done = work()
        rates.append(done / (time.process_time() - began))
    return statistics.median(rates)


def bare(count: int) -> int:
    """The same comparisons without anything around them."""
    values = {number: float(number) for number in range(count)}
    passed = 0
    for number in range(count):
        value = values[number]
        passed += (value > number * 40.0) + (value > number * 80.0)
        passed += (value <= number * 39.0) + (value <= number * 80.0)
    return count


def main() -> None:
    """Print the rates and their ratios."""
    parser = argparse.ArgumentParser(description="Time rules over measures.")
    parser.add_argument("--rules", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=200_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        install((alerts, requests))
        open_database(f"sqlite:///{Path(folder) / 'mainstay.db'}")
        Base.metadata.create_all(engine())
        columns.open_columns(f"chdb://{Path(folder) / 'columns'}", tables=[REQUEST_METRICS])
        try:
            measure(asked.rules, asked.requests)
        finally:
            columns.close_columns()
            close_database()


def measure(rules: int, count: int) -> None:
    """Fill the stores, then time passes, judging alone and the bare loop in turns."""
    instances = projects()
    serve(instances, count)
    write_rules(instances, rules)
    evaluations, first = a_pass(NOW)
    second = a_pass(NOW + timedelta(minutes=1))[1]
    now = NOW + timedelta(minutes=2)
    a_pass(now)
    with reading() as session:
        held = effective.effective_rules(session)
        standings = measuring.load_standings(session)
        owners = measuring.projects_of_instances(session)
        found = measuring.read_all(session, held, now=now)
    with engine().connect() as connection:
        states = connection.scalar(sa.text("SELECT count(*) FROM alert_measure_rule_states"))
    loop = per_second(lambda: bare(rules))
    judged = per_second(lambda: judging.evaluate(held, found, standings, owners, now=now)[2])
    began = time.perf_counter()
    whole = per_second(lambda: a_pass(now)[0])
    seconds = (time.perf_counter() - began) / ROUNDS
    print(
        f"{rules:,} rules, {count:,} requests, {evaluations:,} evaluations a pass, {states:,}"
        f" levels not calm; {first} changes in the first pass, {second} in the second"
    )
    print(f"bare comparison loop        {loop:>12,.0f} rules a second of processor time")
    print(f"judging alone               {judged:>12,.0f}   {judged / loop:.4f} of the loop")
    print(f"a whole pass with its reads {whole:>12,.0f}   {whole / loop:.5f} of the loop")
    print(f"a whole pass takes {seconds * 1000:,.0f} ms of the minute that it has")


if __name__ == "__main__":
    main()
