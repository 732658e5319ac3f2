"""What clients are told about limits: the draft's fields, the older ones, and refusals."""

from datetime import UTC, datetime

import pytest
from mainstay_server.kernel.limits import Bucket, OnError, Rate, microseconds
from mainstay_server.kernel.limits.headers import Named, limit_headers, refusal
from mainstay_server.kernel.limits.in_memory import MemoryBuckets
from mainstay_server.kernel.limits.limiter import Limiter
from mainstay_server.kernel.web.problems import problem_headers

from .test_limits_away import Switched

NOON_US = microseconds(datetime(2026, 11, 21, 12, tzinfo=UTC))
DEFAULT, HOURLY = Named("default", Rate(100, 60, 100)), Named("register", Rate(5, 3600, 5))
BUCKETS = (Bucket("d", DEFAULT.rate), Bucket("r", HOURLY.rate))


def test_an_admitted_request_sees_every_policy_and_the_older_fields_the_nearest() -> None:
    verdict = MemoryBuckets().take(BUCKETS, cost=1, now_us=NOON_US)

    assert limit_headers((DEFAULT, HOURLY), verdict) == {
        "RateLimit-Policy": '"default";q=100;w=60, "register";q=5;w=3600',
        "RateLimit": '"default";r=99;t=1, "register";r=4;t=720',
        "X-RateLimit-Limit": "5",
        "X-RateLimit-Remaining": "4",
        "X-RateLimit-Reset": "720",
    }


def test_a_refused_request_is_told_what_it_violated_and_when_to_come_back() -> None:
    memory = MemoryBuckets()
    memory.take(BUCKETS, cost=5, now_us=NOON_US)
    verdict = memory.take(BUCKETS, cost=1, now_us=NOON_US + 500_000)

    headers = limit_headers((DEFAULT, HOURLY), verdict)
    problem = refusal((DEFAULT, HOURLY), verdict)

    assert headers["RateLimit"] == '"register";r=0;t=720'
    assert headers["RateLimit-Policy"] == '"default";q=100;w=60, "register";q=5;w=3600'
    assert headers["X-RateLimit-Reset"] == "720"
    assert problem_headers(problem) == {"retry-after": "720"}
    assert problem.to_json("/api/register") == {
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Request cannot be satisfied as assigned quota has been exceeded",
        "status": 429,
        "code": "rate-limited",
        "detail": "The limit register is used up; try again in 720 s.",
        "errors": [],
        "violated-policies": ["register"],
        "instance": "/api/register",
    }


def test_retry_after_is_rounded_up_to_a_second_that_admits() -> None:
    memory = MemoryBuckets()
    bucket = Bucket("d", Rate(7, 60, 1))
    memory.take([bucket], cost=1, now_us=NOON_US)
    policies = [Named("seven", bucket.rate)]
    verdict = memory.take([bucket], cost=1, now_us=NOON_US)

    seconds = int(problem_headers(refusal(policies, verdict))["retry-after"])

    assert seconds == 9, "8.571429 s, and never 8"
    assert memory.take([bucket], cost=1, now_us=NOON_US + seconds * 1_000_000).admitted


def test_a_cost_that_never_fits_is_not_told_to_come_back() -> None:
    verdict = MemoryBuckets().take(BUCKETS, cost=6, now_us=NOON_US)

    problem = refusal((DEFAULT, HOURLY), verdict)

    assert problem_headers(problem) == {}
    assert problem.detail == "This costs more than register ever lets pass at once; ask for less."
    assert limit_headers((DEFAULT, HOURLY), verdict)["RateLimit"] == ('"register";r=5')


def test_without_its_store_a_limit_that_denies_is_a_503_without_made_up_figures() -> None:
    store = Switched()
    store.is_away = True
    limiter = Limiter(store)
    strict = Bucket("d", DEFAULT.rate, on_error=OnError.DENY)
    verdict = limiter.take([strict], now_us=NOON_US)
    limiter.close()

    problem = refusal([DEFAULT], verdict)

    assert (problem.status, problem.code) == (503, "limiter-unavailable")
    assert problem_headers(problem) == {"retry-after": "1"}
    assert problem.to_json()["violated-policies"] == ["default"]
    assert limit_headers([DEFAULT], verdict) == {}


def test_names_are_strings_of_structured_fields() -> None:
    assert Named('say "hi" \\o/', DEFAULT.rate).item == '"say \\"hi\\" \\\\o/";q=100;w=60'
    for strange in ("zwölf", "two\nlines", "tab\t"):
        with pytest.raises(ValueError, match="ASCII"):
            Named(strange, DEFAULT.rate)
