"""Verdicts are the same in memory, Redis, SQLite and PostgreSQL, and exact to the microsecond."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.limits import (
    Bucket,
    LimitBucket,
    Rate,
    Verdict,
    bucket_key,
    microseconds,
    prune_limit_buckets,
)
from mainstay_server.kernel.limits.in_memory import MemoryBuckets
from mainstay_server.kernel.limits.in_redis import RedisBuckets
from mainstay_server.kernel.limits.in_sql import SqlBuckets
from mainstay_server.kernel.limits.limiter import Buckets
from tests.kernel.limit_stores import STORES, Place, opened

ROOT = Path(__file__).parents[3]
TRACES = json.loads((ROOT / "wire/guard/limits.json").read_text())["traces"]
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
NOON_US = microseconds(NOON)
A_YEAR_SECONDS = 366 * 86_400

fresh = (f"test:{number}" for number in count())
rates = st.builds(
    Rate,
    st.integers(1, 1000),
    st.integers(1, 100_000),
    st.integers(1, 20),
)
steps = st.lists(
    st.tuples(
        st.integers(-2_000_000, 60_000_000),  # clocks are also set back
        st.integers(0, 6),
        st.sets(st.integers(0, 2), min_size=1),
    ),
    min_size=1,
    max_size=20,
)


@pytest.fixture(scope="module", params=STORES)
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    with opened(request.param, tmp_path_factory.mktemp("limits")) as found:
        yield found


@pytest.fixture(scope="module")
def store(place: Place) -> Buckets:
    return place.store


def take(store: Buckets, *buckets: Bucket, cost: int = 1, at: int) -> Verdict:
    return store.take(buckets, cost=cost, now_us=at)


def a_bucket(quota: int = 10, window_seconds: int = 60, burst: int = 10) -> Bucket:
    return Bucket(next(fresh), Rate(quota, window_seconds, burst))


@pytest.mark.parametrize("trace", TRACES, ids=lambda t: f"{t['quota']}-in-{t['windowSeconds']}")
def test_every_step_of_the_golden_traces_comes_out(store: Buckets, trace: dict[str, Any]) -> None:
    bucket = a_bucket(trace["quota"], trace["windowSeconds"], trace["burst"])
    for step in trace["steps"]:
        verdict = take(store, bucket, cost=step["cost"], at=step["atUs"])
        standing = verdict.standings[0]
        told = {
            "admitted": verdict.admitted,
            "remaining": standing.remaining,
            "retryAfterUs": standing.retry_after_us,
            "fullInUs": standing.full_in_us,
        }
        assert told == {name: step[name] for name in told}


@settings(max_examples=60, deadline=None)
@given(rates=st.lists(rates, min_size=3, max_size=3), trace=steps)
def test_a_trace_gets_the_same_verdicts_as_in_memory(
    store: Buckets, rates: list[Rate], trace: list[tuple[int, int, set[int]]]
) -> None:
    memory = MemoryBuckets()
    known = [Bucket(next(fresh), rate, cost=place + 1) for place, rate in enumerate(rates)]
    at = NOON_US
    for passed_us, cost, places in trace:
        at += passed_us
        chosen = [known[place] for place in sorted(places, reverse=True)]
        assert take(store, *chosen, cost=cost, at=at) == take(memory, *chosen, cost=cost, at=at)


@settings(max_examples=60, deadline=None)
@given(rate=rates, cost=st.integers(1, 20), before=st.integers(0, 30), passed=st.integers(0, 10**8))
def test_waiting_exactly_as_told_admits_and_a_microsecond_less_does_not(
    store: Buckets, rate: Rate, cost: int, before: int, passed: int
) -> None:
    bucket = Bucket(next(fresh), rate)
    for _ in range(before):
        take(store, bucket, at=NOON_US)
    refused = take(store, bucket, cost=cost, at=NOON_US + passed)
    while refused.admitted:
        refused = take(store, bucket, cost=cost, at=NOON_US + passed)
    wait = refused.retry_after_us
    assert (wait is None) == (cost > rate.burst)
    if wait is not None:
        early = take(store, bucket, cost=cost, at=NOON_US + passed + wait - 1)
        assert (early.admitted, early.retry_after_us) == (False, 1)
        assert take(store, bucket, cost=cost, at=NOON_US + passed + wait).admitted


def test_either_all_buckets_are_charged_or_none(store: Buckets) -> None:
    wide, tight = a_bucket(burst=10), a_bucket(burst=2)
    first = take(store, wide, tight, cost=2, at=NOON_US)
    second = take(store, wide, tight, at=NOON_US)

    assert [each.remaining for each in first.standings] == [8, 0]
    assert (second.admitted, second.violated) == (False, (1,))
    assert [each.remaining for each in second.standings] == [8, 0]
    assert take(store, wide, at=NOON_US).standings[0].remaining == 7


def test_a_bucket_is_charged_its_own_cost_times_that_of_the_request(store: Buckets) -> None:
    rate = Rate(10, 60, 10)
    dear = Bucket(next(fresh), rate, cost=3)

    assert take(store, dear, cost=2, at=NOON_US).standings[0].remaining == 4
    refused = take(store, dear, cost=2, at=NOON_US)
    assert refused.retry_after_us == 2 * rate.period_us


@pytest.mark.slow
@pytest.mark.parametrize("place", STORES[1:], indirect=True)
def test_processes_that_share_a_limit_never_admit_more_than_it(place: Place) -> None:
    run = next(fresh)
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", ASK_A_HUNDRED_TIMES, place.kind, place.url, run, str(number)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    admitted = [int(process.communicate()[0]) for process in asking]
    everybodys = Bucket(run, Rate(50, A_YEAR_SECONDS, 50))
    left = take(place.store, everybodys, cost=0, at=now_us())

    assert sum(admitted) == 50, "the limit, whoever came first"
    assert max(admitted) <= 20, "each has a limit of its own beside it"
    assert left.standings[0].remaining == 0, "and nothing was charged in vain"


ASK_A_HUNDRED_TIMES = """
import sys, time
from mainstay_server.kernel.database import open_database
from mainstay_server.kernel.limits import Bucket, Rate
from mainstay_server.kernel.limits.in_redis import RedisBuckets
from mainstay_server.kernel.limits.in_sql import SqlBuckets
kind, url, run, number = sys.argv[1:]
if kind == "redis":
    store = RedisBuckets(url, own_clock=True)
else:
    open_database(url)
    store = SqlBuckets(own_clock=True)
year = 366 * 86_400
own = Bucket(f"{run}:{number}", Rate(20, year, 20))
buckets = (Bucket(run, Rate(50, year, 50)), own)
now_us = time.time_ns() // 1000
print(sum(store.take(buckets, cost=1, now_us=now_us).admitted for _ in range(100)))
"""


def now_us() -> int:
    return microseconds(datetime.now(UTC))


@pytest.mark.parametrize("place", ["redis", "postgres"], indirect=True)
def test_a_store_of_many_machines_goes_by_its_own_clock(place: Place) -> None:
    """A machine whose clock is days fast must not fill up everybody's bucket."""
    is_redis = place.kind == "redis"
    store: Buckets = (
        RedisBuckets(place.url, own_clock=True) if is_redis else SqlBuckets(own_clock=True)
    )
    bucket = a_bucket(quota=3, window_seconds=86_400, burst=3)
    verdicts = [take(store, bucket, at=now_us() + days * 86_400_000_000) for days in range(4)]
    store.close()

    assert [verdict.admitted for verdict in verdicts] == [True, True, True, False]
    assert verdicts[-1].standings[0].full_in_us <= 86_400_000_000


def test_memory_keeps_those_who_are_limited_when_strangers_fill_it() -> None:
    memory = MemoryBuckets(most_buckets=1000)
    limited = a_bucket(quota=5, window_seconds=3600, burst=5)
    take(memory, limited, cost=5, at=NOON_US)
    for _ in range(20_000):
        take(memory, a_bucket(quota=5, window_seconds=3600, burst=5), at=NOON_US)

    assert len(memory) == 1000
    assert not take(memory, limited, at=NOON_US).admitted


def test_memory_forgets_buckets_that_are_full_again() -> None:
    memory = MemoryBuckets()
    for second in range(5000):
        take(memory, a_bucket(quota=1, window_seconds=1, burst=1), at=NOON_US + second * 1_000_000)

    assert len(memory) <= 70, "a minute's worth, in case the clock is set back"


@pytest.mark.parametrize("place", ["sqlite", "postgres"], indirect=True)
def test_the_database_forgets_buckets_that_are_full_again_and_no_others(store: Buckets) -> None:
    with transaction() as session:
        session.execute(sa.delete(LimitBucket))
    brief, lasting = a_bucket(window_seconds=1), a_bucket(window_seconds=A_YEAR_SECONDS)
    take(store, brief, lasting, at=NOON_US - 120_000_000)
    with transaction() as session:
        assert prune_limit_buckets.function(session, now=NOON) == 1
    with reading() as session:
        assert list(session.scalars(sa.select(LimitBucket.key))) == [lasting.key]


@pytest.mark.parametrize(
    ("rate", "reason"),
    [
        ((0, 60, 1), "quota"),
        ((60_001, 6, 1), "10,000 a second"),
        ((1, 367 * 86_400, 1), "366 days"),
        ((1, 60, 0), "burst"),
        ((1, 366 * 86_400, 11), "10 years"),
    ],
)
def test_a_rate_that_cannot_be_counted_exactly_is_refused(
    rate: tuple[int, int, int], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        Rate(*rate)


def test_a_policy_that_changed_begins_with_full_buckets() -> None:
    before, after = Rate(10, 60, 10), Rate(10, 60, 20)

    assert bucket_key("login", before, "a") == bucket_key("login", before, "a")
    assert bucket_key("login", before, "a") != bucket_key("login", after, "a")
    assert len(bucket_key("login", before, "a" * 1000)) <= 200
