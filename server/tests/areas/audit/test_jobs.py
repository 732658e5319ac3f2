"""The audit log's turns: sign every minute, look every six hours, remove every hour."""

from datetime import timedelta

import pytest
from mainstay_server.areas.audit import jobs
from mainstay_server.areas.audit.models import AuditLog
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.settings import forget_settings
from tests.areas.audit.worlds import DAY, MINUTE, NOON, SHIPS, a_signed_log, kept, rename


def the_log() -> AuditLog:
    with reading() as session:
        return session.get_one(AuditLog, SHIPS)


def test_every_minute_what_is_new_is_signed_and_what_is_not_is_left_alone(log: None) -> None:
    rename(3)
    with transaction() as session:
        assert jobs.sign_checkpoints.function(session, now=NOON) == 1
        assert jobs.sign_checkpoints.function(session, now=NOON) == 0
    assert jobs.sign_checkpoints.every == timedelta(minutes=1)
    assert list(kept()) == ["kept-3.txt"]


def test_a_log_is_looked_at_within_a_minute_of_its_first_row_and_then_every_six_hours(
    log: None,
) -> None:
    jobs.verify_logs.function(now=NOON - MINUTE)  # there is no log yet
    a_signed_log(3)

    assert jobs.verify_logs.function(now=NOON) == 0

    assert (the_log().verified_at, the_log().verified_size) == (NOON, 3)
    assert jobs.verify_logs.every == MINUTE
    for minutes in (1, 359):
        jobs.verify_logs.function(now=NOON + minutes * MINUTE)
        assert the_log().verified_at == NOON
    jobs.verify_logs.function(now=NOON + 360 * MINUTE)
    assert the_log().verified_at == NOON + 360 * MINUTE


@pytest.mark.parametrize(("days", "removed"), [("", 0), ("30", 3)])
def test_rows_are_kept_for_ninety_days_or_as_long_as_it_is_set(
    log: None, monkeypatch: pytest.MonkeyPatch, days: str, removed: int
) -> None:
    if days:
        monkeypatch.setenv("MAINSTAY_AUDIT_KEEP_DAYS", days)
    forget_settings()
    a_signed_log(3)

    with transaction() as session:
        assert jobs.remove_old_rows.function(session, now=NOON + 89 * DAY) == removed
    with transaction() as session:
        jobs.remove_old_rows.function(session, now=NOON + 91 * DAY)
    assert the_log().removed_size == 3
    assert jobs.remove_old_rows.task == "cleanup"
