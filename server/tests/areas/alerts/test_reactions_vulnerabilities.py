"""One alert for each scan that found something grave and new, whatever else it found."""

from datetime import timedelta

from mainstay_server.areas.alerts import jobs
from mainstay_server.contracts.vulnerabilities import VulnerabilitiesFound
from mainstay_server.kernel.database import transaction
from tests.areas.alerts.conftest import Harbour

DAY = timedelta(days=1)


def found(harbour: Harbour, scan: str, *, reopened: int = 0, **counts: int) -> VulnerabilitiesFound:
    return VulnerabilitiesFound(
        organization_id=harbour.instance.organization_id,
        project_id=harbour.instance.project_id,
        instance_id=harbour.instance.id,
        scan_id=scan,
        source="Trivy",
        release="1.4.0",
        by_severity=counts,
        reopened=reopened,
        titles=["Sandbox breakout (high)"],
    )


def test_each_scan_with_something_grave_is_one_alert_for_a_day(harbour: Harbour) -> None:
    harbour.happens(found(harbour, "first", high=40, low=7), found(harbour, "second", low=900))

    assert harbour.active() == ["vulnerability_found:first"]
    (alert,) = harbour.alerts()
    assert alert.severity == "warning"
    assert alert.title == "inspections production: 40 high vulnerabilities found"
    assert alert.message == (
        "The scan by Trivy of 1.4.0 found Sandbox breakout (high)."
        " The page of the vulnerabilities lists them all."
    )
    harbour.later(DAY)
    with transaction() as session:
        jobs.settle_key_reminders.function(session, now=harbour.now)
    assert harbour.active() == []


def test_a_critical_one_is_a_critical_alert_that_tells_what_came_back(harbour: Harbour) -> None:
    harbour.happens(found(harbour, "first", critical=1, reopened=1))
    (alert,) = harbour.alerts()
    assert alert.severity == "critical"
    assert alert.title == "inspections production: 1 critical vulnerability found"
    assert "1 had been fixed and came back." in alert.message
