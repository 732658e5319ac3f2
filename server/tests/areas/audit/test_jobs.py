"""The audit log's turns: sign every minute, look every six hours, remove every hour."""

from datetime import timedelta

import pytest
from mainstay_server.areas.audit import jobs
from mainstay_server.areas.audit.models import AuditLog
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.settings import forget_settings
from tests.areas.audit.worlds import DAY, NOON, SHIPS, a_signed_log, kept, rename


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


def test_every_six_hours_and_at_the_start_every_log_is_looked_at(log: None) -> None:
    a_signed_log(3)

    assert jobs.verify_logs.function(now=NOON) == 0

    assert (the_log().verified_at, the_log().verified_size) == (NOON, 3)
    assert (jobs.verify_logs.every, jobs.verify_logs.at_start) == (timedelta(hours=6), True)


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
