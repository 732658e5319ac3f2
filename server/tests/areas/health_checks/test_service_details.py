"""Details of a result come back as they were kept, and are bounded."""

from mainstay_server.areas.health_checks.models import HealthState
from mainstay_server.areas.health_checks.schemas.orders import ProbeResult, StepResult
from mainstay_server.areas.health_checks.service.details import detail_of, read_detail
from mainstay_server.kernel.outbound import Timings


def test_what_was_kept_is_what_is_read() -> None:
    timings = Timings(
        queued=0, resolve=1.234, connect=2, tls=0, first_byte=30, transfer=1, total=34.2
    )
    result = ProbeResult(
        state=HealthState.UNHEALTHY,
        response_ms=34.2,
        failed=("[STATUS] (500) == 200",),
        facts={"ip": "192.0.2.7"},
        steps=(StepResult(name="log in", state="healthy", response_ms=34.2, timings=timings),),
        console=("oops",),
    )

    detail = read_detail(detail_of(result))

    assert detail.failed == ["[STATUS] (500) == 200"]
    assert detail.facts == {"ip": "192.0.2.7"}
    assert detail.console == ["oops"]
    (step,) = detail.steps
    assert (step.name, step.state) == ("log in", "healthy")
    assert step.timings == {"resolve": 1.23, "connect": 2, "first byte": 30, "transfer": 1}


def test_nothing_to_say_is_kept_as_nothing() -> None:
    assert detail_of(ProbeResult(state=HealthState.HEALTHY, response_ms=1)) == ""
    assert read_detail("").steps == []


def test_too_much_is_not_kept_and_the_unreadable_is_nothing() -> None:
    long = ProbeResult(
        state=HealthState.UNHEALTHY, response_ms=1, console=tuple("x" * 300 for _ in range(200))
    )

    assert detail_of(long) == ""
    assert read_detail("{not json").failed == []
