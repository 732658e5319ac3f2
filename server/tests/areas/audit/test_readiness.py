"""What the scorecard says of the audit log, from what was really found and really reached."""

from pathlib import Path

import pytest
from mainstay_server.areas.audit import jobs, readiness
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.readiness import Finding, NotApplicable, Outcome, Passed, ReadinessCheck
from mainstay_server.kernel.settings import forget_settings
from mainstay_server.kernel.subjects import InstanceRef
from tests.areas.audit.worlds import DAY, NOON, SHIPS, a_signed_log, as_owner, rename, sign

PRODUCTION = InstanceRef(
    id="i",
    environment="production",
    url="",
    project_id="p",
    project_number=1,
    project_slug="inspections",
    project_name="Inspections",
    organization_id=SHIPS,
)


def ask(check: ReadinessCheck, *, days: int = 0) -> Outcome:
    with reading() as session:
        return check.ask(session, PRODUCTION, NOON + days * DAY)


def test_a_log_that_was_verified_lately_is_green_until_nobody_looks_any_more(log: None) -> None:
    assert isinstance(ask(readiness.log_verifies), NotApplicable)
    a_signed_log(3)
    assert isinstance(ask(readiness.log_verifies), Finding), "not looked at yet"
    jobs.verify_logs.function(now=NOON)

    assert ask(readiness.log_verifies) == Passed(
        evidence="Verified up to row 3 on 21 Nov 2026, 12:00 UTC."
    )
    assert isinstance(ask(readiness.log_verifies, days=3), Finding)


def test_a_log_that_was_changed_is_red_with_what_was_found(log: None) -> None:
    a_signed_log(3)
    as_owner("DELETE FROM audit_rows WHERE position = 2")
    jobs.verify_logs.function(now=NOON)

    found = ask(readiness.log_verifies)
    assert isinstance(found, Finding)
    assert "Row 2 is missing" in found.problem


def test_checkpoints_that_stay_on_the_machine_prove_nothing_against_its_owner(
    log: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(ask(readiness.checkpoints_leave), NotApplicable)
    a_signed_log(3)
    stays = ask(readiness.checkpoints_leave)
    assert isinstance(stays, Finding)
    assert "stay on the machine" in stays.problem

    monkeypatch.setenv("MAINSTAY_AUDIT_CHECKPOINT_FOLDER", str(tmp_path / "mount"))
    forget_settings()
    rename(2)
    sign()
    assert ask(readiness.checkpoints_leave) == Passed(evidence="Signed up to row 5, at the folder.")


def test_a_destination_that_cannot_be_reached_is_told_with_its_reason(
    log: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mount").write_text("a file where a folder should be")
    monkeypatch.setenv("MAINSTAY_AUDIT_CHECKPOINT_FOLDER", str(tmp_path / "mount"))
    forget_settings()
    a_signed_log(3)

    found = ask(readiness.checkpoints_leave)
    assert isinstance(found, Finding)
    assert "cannot be written" in found.problem
