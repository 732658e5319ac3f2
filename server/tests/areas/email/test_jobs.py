"""Reports: one for each period and person, on their clock, whatever the clocks and we do."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
import sqlalchemy as sa
from mainstay_server.areas import email, requests, scorecard
from mainstay_server.areas.email.jobs import forget_old_emails, send_reports
from mainstay_server.areas.email.models import Email, EmailRequest, Period, ReportWish
from mainstay_server.areas.email.service import wishes
from mainstay_server.contracts.alerts import (
    AlertsOver,
    AlertSummary,
    alerts_over,
)
from mainstay_server.kernel.area import Area
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.mailing import SmtpSettings
from mainstay_server.kernel.settings import (
    ServerSettings,
    forget_settings,
    of,
    override_settings,
)
from mainstay_server.tenancy.models import Membership
from sqlalchemy.orm import Session
from tests.areas.email.conftest import DAY, HOUR, delivered, sent
from tests.servers.smtp import SmtpServer
from tests.world import World

# Monday 16 March 2026; clocks in Berlin go forward in the night to Sunday the 29th.
MONDAY = datetime(2026, 3, 16, tzinfo=UTC)


def told_of(
    session: Session, organization_id: str, *, since: datetime, until: datetime, limit: int
) -> AlertsOver:
    """What the area of alerts would answer."""
    summary = AlertSummary(
        project_name="Inspections",
        environment="production",
        severity="critical",
        title="The app is down",
        opened_at=since + HOUR,
        resolved_at=since + 2 * HOUR,
    )
    return AlertsOver(opened=12, resolved=11, active=1, gravest=[summary][:limit])


@pytest.fixture
def world(client_for: Callable[..., World], smtp: SmtpServer) -> World:
    forget_settings()
    tower = Area(name="tower", title="Tower", answers=(alerts_over.answered_by(told_of),))
    made = client_for(email.area, requests.area, scorecard.area, tower)
    override_settings(
        SmtpSettings(smtp_host=smtp.host, smtp_port=smtp.port, smtp_from="app@ships.example")
    )
    override_settings(of(ServerSettings).model_copy(update={"base_url": "http://mainstay.test"}))
    return made


def wished(
    world: World,
    *,
    weekly: datetime | None = None,
    monthly: datetime | None = None,
    zone: str = "Europe/Berlin",
    hour: int = 8,
) -> None:
    """Bob wants reports, the next of which are due when they are."""
    world.bob.patch("/api/me/reports", json={"weekly": True, "timeZone": zone, "hour": hour})
    with transaction() as session:
        wish = session.scalars(sa.select(ReportWish)).one()
        wish.weekly_due_at, wish.monthly_due_at = weekly, monthly


def reported() -> Sequence[Email]:
    with reading() as session:
        return session.scalars(sa.select(Email).order_by(Email.id)).all()


def run_every(hours: float, *, since: datetime, until: datetime) -> None:
    """Run the job as the worker would, in virtual time."""
    now = since
    while now <= until:
        send_reports.function(now=now)
        now += timedelta(hours=hours)


def test_a_week_is_reported_once_at_the_persons_hour(world: World, smtp: SmtpServer) -> None:
    wished(world, weekly=MONDAY + 7 * HOUR)  # eight in Berlin, in winter
    send_reports.function(now=MONDAY + 6.9 * HOUR)
    assert reported() == []
    run_every(1, since=MONDAY + 7 * HOUR, until=MONDAY + 2 * DAY)
    (one,) = reported()
    assert one.subject == "Your week at Ships: 9 to 15 March 2026"
    delivered()
    (mail,) = smtp.messages
    assert mail.recipients[0].startswith("bob@")
    for said in ("12 broke", "11 recovered", "The app is down", "over after 1 h", "And 11 more"):
        assert said in mail.text
    assert "1 alert was active at the end" in mail.text
    assert "Nothing is watched yet" in mail.text


def test_over_a_change_of_the_clocks_every_week_and_month_is_reported_once_at_eight(
    world: World,
) -> None:
    wished(world, weekly=MONDAY + 7 * HOUR, monthly=datetime(2026, 4, 1, 6, tzinfo=UTC))
    run_every(1, since=MONDAY, until=MONDAY + 60 * DAY)
    told = [(one.template, one.created_at) for one in reported()]
    weeks = [at for name, at in told if name == "weekly_report"]
    months = [at for name, at in told if name == "monthly_report"]
    assert weeks == [
        MONDAY + 7 * HOUR,
        MONDAY + 7 * DAY + 7 * HOUR,
        *(MONDAY + week * 7 * DAY + 6 * HOUR for week in range(2, 9)),
    ], "eight in Berlin is six o'clock UTC from the 29th on"
    assert months == [datetime(2026, month, 1, 6, tzinfo=UTC) for month in (4, 5)]


def test_three_days_of_standstill_send_one_report_and_so_do_three_weeks(world: World) -> None:
    wished(world, weekly=MONDAY + 7 * HOUR)
    run_every(1, since=MONDAY + 3 * DAY, until=MONDAY + 4 * DAY)
    assert [one.subject for one in reported()] == ["Your week at Ships: 9 to 15 March 2026"]
    run_every(1, since=MONDAY + 24 * DAY, until=MONDAY + 25 * DAY)
    assert [one.subject for one in reported()][1:] == [
        "Your week at Ships: 30 March to 5 April 2026"
    ], "the last that was due, not each"


def test_a_later_hour_or_another_zone_does_not_report_a_week_again(world: World) -> None:
    wished(world, weekly=MONDAY + 7 * HOUR)
    send_reports.function(now=MONDAY + 7 * HOUR)
    with transaction() as session:  # as if the person had chosen a later hour of the same day
        session.scalars(sa.select(ReportWish)).one().weekly_due_at = MONDAY + 19 * HOUR
    send_reports.function(now=MONDAY + 20 * HOUR)
    assert len(reported()) == 1


def test_who_left_the_organization_or_wants_none_gets_none(world: World) -> None:
    wished(world, weekly=MONDAY)
    with transaction() as session:
        session.execute(sa.delete(Membership).where(Membership.person_id == world.bob.person_id))
    send_reports.function(now=MONDAY + DAY)
    assert reported() == []


def test_a_reader_ends_a_report_and_not_what_apps_send(world: World, smtp: SmtpServer) -> None:
    wished(world, weekly=MONDAY + 7 * HOUR, monthly=MONDAY + 90 * DAY)
    send_reports.function(now=MONDAY + 8 * HOUR)
    delivered()
    link = str(smtp.messages[0].message["List-Unsubscribe"]).strip("<>")
    path = link.removeprefix("http://mainstay.test")
    assert "the weekly report" in world.stranger.get(path).text
    world.stranger.post(path, data={"List-Unsubscribe": "One-Click"})
    chosen = world.bob.get("/api/me/reports").json()
    assert (chosen["weekly"], chosen["monthly"]) == (False, True)
    assert world.bob.get("/api/email-suppressions").json()["suppressions"] == []


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("hour", [0, 1, 2, 3, 8, 23])
def test_on_every_clock_each_week_of_ten_years_is_due_once(zone: str, hour: int) -> None:
    wish = ReportWish(time_zone=zone, hour=hour, weekday=6)
    due, spans = datetime(2024, 1, 1, tzinfo=UTC), []
    for _ in range(520):
        due = wishes.next_due(wish, Period.WEEKLY, after=due)
        spans.append(wishes.span_due(wish, Period.WEEKLY, due_at=due))
    begins = [span.begins_on for span in spans]
    assert begins == [begins[0] + week * timedelta(days=7) for week in range(520)]
    assert all(a.until == b.since for a, b in pairwise(spans))


def test_months_follow_each_other_without_a_gap() -> None:
    wish = ReportWish(time_zone="Europe/Berlin", hour=2, weekday=0)
    due, found = datetime(2026, 1, 15, tzinfo=UTC), []
    for _ in range(4):
        due = wishes.next_due(wish, Period.MONTHLY, after=due)
        found.append(wishes.span_due(wish, Period.MONTHLY, due_at=due).begins_on)
    assert found == [date(2026, month, 1) for month in (1, 2, 3, 4)]


def test_what_is_old_is_forgotten_and_what_waits_is_kept(world: World) -> None:
    old = sent(world)["id"]
    delivered()
    world.bob.post(
        "/api/emails",
        json={"to": "a@example.com", "subject": "Waits", "text": "x"},
        headers={"idempotency-key": "k"},
    )
    with transaction() as session:
        forget_old_emails.function(session, now=utc_now() + 8 * DAY)
    with reading() as session:
        assert session.get_one(Email, old).text == ""
        assert session.scalars(sa.select(EmailRequest)).all() == []
    with transaction() as session:
        forget_old_emails.function(session, now=utc_now() + 91 * DAY)
    assert [one.subject for one in reported()] == ["Waits"]
