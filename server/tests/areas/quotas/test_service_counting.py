import threading
from datetime import UTC, datetime, timedelta

import pytest
from mainstay_server.areas.quotas.models import QuotaUse
from mainstay_server.areas.quotas.service import counting, plans, telling
from mainstay_server.areas.quotas.settings import PlanLimit, QuotaSettings
from mainstay_server.contracts.guard import Use
from mainstay_server.contracts.quotas import QuotaThresholdReached
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.events import said_events
from mainstay_server.kernel.guard import policy_version
from mainstay_server.kernel.problems import TooManyRequests
from mainstay_server.kernel.settings import override_settings
from sqlalchemy.orm import Session
from tests.conftest import Said
from tests.world import a_project

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def calls(amount: int, subject: str = "organization") -> list[Use]:
    return [Use(subject=subject, meter="calls", amount=amount)]


def warnings(said: Said) -> list[int]:
    return [event.percent for event in said() if isinstance(event, QuotaThresholdReached)]


@pytest.mark.usefixtures("free_by_default")
def test_eighty_ninety_and_hundred_percent_are_said_once_each(session: Session, said: Said) -> None:
    instance = a_project(session, now=NOON)

    def use(batch: str, amount: int) -> None:
        counting.record_use(
            session, instance=instance, batch_id=batch, uses=calls(amount), now=NOON
        )

    use("batch-1", 79)
    assert warnings(said) == []
    use("batch-2", 1)
    assert warnings(said) == [80]
    use("batch-3", 9)
    assert warnings(said) == []
    use("batch-4", 11)
    assert warnings(said) == [90, 100]
    use("batch-5", 50)
    assert warnings(said) == []


@pytest.mark.usefixtures("free_by_default")
def test_exactly_the_limit_is_a_hundred_percent_and_not_more(session: Session, said: Said) -> None:
    instance = a_project(session, now=NOON)
    counting.record_use(session, instance=instance, batch_id="b-100", uses=calls(100), now=NOON)
    assert warnings(said) == [80, 90, 100]
    left = counting.quota_left(session, instance.organization_id, meter="calls", now=NOON)
    assert (left.used, left.limit, left.left, left.refuses) == (100, 100, 0, True)


@pytest.mark.usefixtures("free_by_default")
def test_a_batch_counts_once_however_often_it_comes(session: Session) -> None:
    instance = a_project(session, now=NOON)

    def send() -> bool:
        return counting.record_use(
            session, instance=instance, batch_id="batch-1", uses=calls(10), now=NOON
        )

    assert [send(), send()] == [True, False]
    left = counting.quota_left(session, instance.organization_id, meter="calls", now=NOON)
    assert left.used == 10
    assert counting.forget_batches(session, now=NOON + timedelta(days=8)) == 1


@pytest.mark.usefixtures("free_by_default")
def test_a_new_month_begins_at_zero_and_warns_anew(session: Session, said: Said) -> None:
    instance = a_project(session, now=NOON)
    counting.record_use(session, instance=instance, batch_id="november", uses=calls(90), now=NOON)
    assert warnings(said) == [80, 90]
    december = datetime(2026, 12, 1, tzinfo=UTC)
    counting.record_use(
        session, instance=instance, batch_id="december", uses=calls(85), now=december
    )
    assert warnings(said) == [80]


@pytest.mark.parametrize(
    ("zone", "now", "begins"),
    [
        ("UTC", "2026-12-01T00:00Z", "2026-12-01T00:00Z"),
        ("Asia/Tokyo", "2026-11-30T15:00Z", "2026-11-30T15:00Z"),
        ("Asia/Tokyo", "2026-11-30T14:59Z", "2026-10-31T15:00Z"),
        ("America/New_York", "2026-12-01T04:59Z", "2026-11-01T04:00Z"),
        ("America/New_York", "2026-12-01T05:00Z", "2026-12-01T05:00Z"),
    ],
)
def test_a_month_turns_at_midnight_of_its_time_zone(zone: str, now: str, begins: str) -> None:
    at = datetime.fromisoformat(now)
    found, ends = plans.period_of("calls", zone, at)
    assert found == datetime.fromisoformat(begins)
    assert found <= at < ends


def test_the_history_is_told_on_a_month_that_begins_on_a_leap_day_of_utc(session: Session) -> None:
    instance = a_project(session, now=NOON)
    now = datetime(2028, 3, 1, 12, tzinfo=UTC)
    plans.change_plan(session, instance.organization_id, time_zone="Europe/Berlin", now=now)
    counting.record_use(session, instance=instance, batch_id="march", uses=calls(7), now=now)
    subject = plans.organization_subject(session, instance.organization_id)

    (march,) = telling.history_of(session, subject, months=12, now=now).history
    assert march.period_begins == datetime(2028, 2, 29, 23, tzinfo=UTC)
    assert march.meters == {"calls": 7}


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles"])
def test_a_clock_that_jumps_over_the_end_of_a_month_and_back_tells_and_counts_nothing_twice(
    zone: str, session: Session, free_by_default: None, said: Said
) -> None:
    instance = a_project(session, now=NOON)
    plans.change_plan(session, instance.organization_id, time_zone=zone, now=NOON)
    day = timedelta(days=1)
    midnight = plans.period_of("calls", zone, NOON)[1]

    for jump, amount in ((-day / 2, 85), (day / 2, 95), (-day / 2, 10), (day / 2, 5)):
        at = midnight + jump
        for _ in range(2):
            counting.record_use(
                session, instance=instance, batch_id=f"{amount}", uses=calls(amount), now=at
            )

    assert warnings(said) == [80, 80, 90, 90, 100]
    assert [
        counting.quota_left(
            session, instance.organization_id, meter="calls", now=midnight + jump
        ).used
        for jump in (-day / 2, day / 2)
    ] == [95, 100]


def test_a_hard_limit_is_never_passed_and_a_refusal_takes_nothing(
    session: Session, free_by_default: None
) -> None:
    instance = a_project(session, now=NOON)

    def use(amount: int) -> int:
        return counting.use_quota(
            session, instance.organization_id, meter="autopilot_runs", amount=amount, now=NOON
        ).used

    assert use(4) == 4
    with pytest.raises(TooManyRequests) as refused:
        use(2)
    assert refused.value.code == "quota-exceeded"
    assert refused.value.members == {"violated-policies": ["autopilot_runs"]}
    assert use(1) == 5
    assert use(-3) == 2
    assert use(-9) == 0, "what is given back twice does not become credit"


def test_soft_limits_warn_and_grace_refuses_a_while_later(session: Session, said: Said) -> None:
    override_settings(
        QuotaSettings(
            plans={
                "P": {
                    "soft": PlanLimit(limit=10, mode="soft"),
                    "grace": PlanLimit(limit=10, mode="grace", grace_percent=20),
                }
            },
            default_plan="P",
        )
    )
    instance = a_project(session, now=NOON)

    def use(meter: str, amount: int) -> int:
        return counting.use_quota(
            session, instance.organization_id, meter=meter, amount=amount, now=NOON
        ).used

    assert use("soft", 25) == 25
    assert use("grace", 12) == 12
    assert warnings(said) == [80, 90, 100, 80, 90, 100]
    with pytest.raises(TooManyRequests):
        use("grace", 1)


@pytest.mark.usefixtures("free_by_default")
def test_an_owner_without_a_plan_is_counted_and_never_refused(session: Session) -> None:
    instance = a_project(session, now=NOON)
    counting.record_use(
        session, instance=instance, batch_id="b-acme", uses=calls(5_000, "owner:acme"), now=NOON
    )
    subject = plans.owner_subjects(session, instance, ["acme"], now=NOON)["acme"]
    assert (subject.plan, subject.limit_of("calls")) == ("", None)
    begins, _ = plans.period_of("calls", "UTC", NOON)
    assert counting.used_of(session, subject, "calls", begins) == 5_000


@pytest.mark.usefixtures("free_by_default")
def test_guards_are_told_of_the_first_use_and_of_each_percent_from_eighty(session: Session) -> None:
    instance = a_project(session, now=NOON)
    versions = []
    for number, amount in enumerate((1, 50, 28, 1, 1)):
        counting.record_use(
            session, instance=instance, batch_id=f"batch-{number}", uses=calls(amount), now=NOON
        )
        versions.append(policy_version(session, instance.id))
    assert versions == [1, 1, 1, 2, 3]


@pytest.mark.usefixtures("shared_memory", "database")
def test_many_writers_count_exactly_and_warn_once() -> None:
    override_settings(
        QuotaSettings(plans={"P": {"calls": PlanLimit(limit=1000)}}, default_plan="P")
    )
    with transaction() as session:
        instance = a_project(session, now=NOON)

    def write(worker: int) -> None:
        for number in range(50):
            with transaction() as session:
                counting.record_use(
                    session,
                    instance=instance,
                    batch_id=f"batch-{worker}-{number}",
                    uses=calls(5),
                    now=NOON,
                )

    writers = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    with transaction() as session:
        (use,) = session.query(QuotaUse).all()
        said = [event for _, event in said_events(session)]
    assert use.used == 1000
    percents = [event.percent for event in said if isinstance(event, QuotaThresholdReached)]
    assert percents == [80, 90, 100]
