"""The limiter's memory: bounded, and hard to push a used-up bucket out of."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainstay._internal.guard.limits import Buckets, Charge, Limit, spoken_limit
from tests.guarding import NOON

NOW_US = int(NOON * 1_000_000)
PER_MINUTE = Limit(key="k", name="k", quota=100, window_seconds=60, burst=100)


def take(buckets: Buckets, bucket: str, cost: int = 1, *, at_us: int = NOW_US) -> bool:
    charge = Charge(PER_MINUTE, bucket, PER_MINUTE.unit_us * cost, PER_MINUTE.tolerance_us)
    return buckets.decide([charge], at_us).admitted


def test_an_attacker_with_many_addresses_pushes_out_only_buckets_as_little_used_as_his() -> None:
    buckets = Buckets(1_000)
    assert take(buckets, "exhausted", 100)
    assert take(buckets, "half used", 50)

    for number in range(50_000):
        assert take(buckets, f"attacker {number}")

    assert len(buckets) == 1_000
    assert not take(buckets, "exhausted")
    assert not take(buckets, "half used", 51)


def test_what_is_over_is_forgotten_while_others_come() -> None:
    buckets = Buckets(1_000_000)
    for number in range(1_000):
        take(buckets, f"early {number}")
    later = NOW_US + 3_600_000_000
    for number in range(1_000):
        take(buckets, f"late {number}", at_us=later)

    assert len(buckets) == 1_000


def test_memory_stays_bounded_when_everybody_is_used_up() -> None:
    buckets = Buckets(100)
    for number in range(10_000):
        take(buckets, f"client {number}", 100)

    assert len(buckets) == 100


def test_threads_together_get_exactly_what_the_limit_has() -> None:
    buckets = Buckets(100)
    admitted: list[bool] = []

    def many() -> None:
        admitted.extend(take(buckets, "shared") for _ in range(200))

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert admitted.count(True) == 100


@given(
    quota=st.integers(1, 1_000),
    window=st.integers(1, 100_000),
    burst=st.integers(1, 100),
    costs=st.lists(st.integers(1, 20), min_size=1, max_size=30),
)
def test_exactly_the_wait_admits_and_a_microsecond_less_does_not(
    quota: int, window: int, burst: int, costs: list[int]
) -> None:
    limit = Limit(key="k", name="k", quota=quota, window_seconds=window, burst=burst)
    buckets, now_us = Buckets(8), NOW_US

    def ask(cost: int, at_us: int) -> tuple[bool, int | None]:
        charge = Charge(limit, "b", limit.unit_us * cost, limit.tolerance_us)
        decision = buckets.decide([charge], at_us)
        return decision.admitted, decision.standings[0].wait_us

    for cost in costs:
        admitted, wait_us = ask(cost, now_us)
        if admitted:
            continue
        if wait_us is None:
            assert cost > burst
            continue
        assert ask(cost, now_us + wait_us - 1) == (False, 1)
        now_us += wait_us
        assert ask(cost, now_us) == (True, 0)


@pytest.mark.parametrize(
    ("spoken", "quota", "seconds"),
    [
        ("5/hour", 5, 3_600),
        ("100 / minute", 100, 60),
        ("10/second", 10, 1),
        ("1000/days", 1_000, 86_400),
        ("20/15 minutes", 20, 900),
        ("20/15minutes", 20, 900),
    ],
)
def test_limits_are_written_as_they_are_spoken(spoken: str, quota: int, seconds: int) -> None:
    limit = spoken_limit(spoken, key="k", name="n", by="caller", cost=1)

    assert (limit.quota, limit.window_seconds, limit.burst) == (quota, seconds, quota)


@pytest.mark.parametrize(
    "spoken", ["", "5", "0/hour", "5/00 hours", "\u0665/hour", "-1/hour", "5/fortnight", "x/day"]
)
def test_what_is_no_limit_is_refused_when_the_app_starts(spoken: str) -> None:
    with pytest.raises(ValueError, match="is no limit"):
        spoken_limit(spoken, key="k", name="n", by="caller", cost=1)
