"""Of one target's backups there is one alert, whatever else goes wrong, until all is well."""

from collections.abc import Iterator
from typing import Any

import pytest
from mainstay_server.contracts.backups import (
    BackupFailed,
    BackupLate,
    BackupRecovered,
    BackupTooSmall,
    has_backup_trouble,
)
from tests.areas.alerts.conftest import NOON, Harbour


def told(harbour: Harbour, **more: Any) -> dict[str, Any]:
    return {
        "organization_id": harbour.instance.organization_id,
        "project_id": harbour.instance.project_id,
        "instance_id": harbour.instance.id,
        "target_id": "t1",
        "name": "shop database",
        "engine": "postgresql",
        **more,
    }


def failed(harbour: Harbour, what: str, **more: Any) -> BackupFailed:
    return BackupFailed(
        **{**told(harbour, backup_id="b1", what=what, reason="The disk is full."), **more}
    )


def recovered(harbour: Harbour) -> BackupRecovered:
    return BackupRecovered(**told(harbour), since=NOON, reason="There is a new backup.")


def test_a_failed_backup_is_critical_until_there_is_a_new_one(harbour: Harbour) -> None:
    harbour.happens(failed(harbour, "run"), failed(harbour, "run"))

    assert harbour.active() == ["backup_failed:t1"]
    (alert,) = harbour.alerts()
    assert (alert.severity, alert.count) == ("critical", 2)
    assert alert.title == "inspections production: the backup of shop database failed"
    assert alert.message == "The disk is full."

    harbour.happens(recovered(harbour))
    assert harbour.active() == []


@pytest.mark.parametrize(
    ("what", "title"),
    [
        ("verification", "a copy of shop database is damaged"),
        ("drill", "a backup of shop database did not restore"),
    ],
)
def test_what_cannot_be_relied_on_is_critical_too(harbour: Harbour, what: str, title: str) -> None:
    harbour.happens(failed(harbour, what))

    (alert,) = harbour.alerts()
    assert (alert.severity, alert.title) == ("critical", f"inspections production: {title}")


def test_a_copy_that_is_missing_somewhere_is_a_warning_and_gives_way_to_worse(
    harbour: Harbour,
) -> None:
    harbour.happens(failed(harbour, "destination"))
    (alert,) = harbour.alerts()
    assert alert.severity == "warning"
    assert "is not stored everywhere" in alert.title

    harbour.happens(failed(harbour, "drill"))
    assert harbour.active() == ["backup_failed:t1"]
    harbour.happens(failed(harbour, "destination"))
    assert harbour.active() == ["backup_failed:t1"], "the worse one stands for both"

    harbour.happens(recovered(harbour))
    assert harbour.active() == []


def test_a_small_backup_is_a_warning_that_tells_both_sizes(harbour: Harbour) -> None:
    small = BackupTooSmall(
        **told(harbour), backup_id="b1", plain_bytes=1_000, usual_bytes=2_500_000
    )
    harbour.happens(small)

    (alert,) = harbour.alerts()
    assert alert.severity == "warning"
    assert "1,000 bytes, and the last ones had 2,500,000" in alert.message


@pytest.mark.parametrize(
    ("last_at", "said"),
    [(NOON, f"The last good one began at {NOON:%Y-%m-%d %H:%M} UTC"), (None, "never was one")],
)
def test_a_late_backup_tells_when_the_last_one_was(
    harbour: Harbour, last_at: Any, said: str
) -> None:
    harbour.happens(BackupLate(**told(harbour), expected_at=NOON, last_at=last_at))

    (alert,) = harbour.alerts()
    assert alert.severity == "critical"
    assert said in alert.message


def test_targets_have_alerts_of_their_own(harbour: Harbour) -> None:
    harbour.happens(failed(harbour, "run"), failed(harbour, "run", target_id="t2"))

    assert sorted(harbour.active()) == ["backup_failed:t1", "backup_failed:t2"]


@pytest.fixture
def all_is_well() -> Iterator[None]:
    has_backup_trouble.answer = lambda session, target_id: False
    yield
    has_backup_trouble.answer = None


@pytest.mark.usefixtures("all_is_well")
def test_trouble_that_is_heard_after_its_end_opens_nothing(harbour: Harbour) -> None:
    harbour.happens(failed(harbour, "run"))

    assert harbour.active() == []
