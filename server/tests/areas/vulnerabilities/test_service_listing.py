"""Lists are filtered, in an order that pages keep, and the trend fills the days between."""

from datetime import date

from mainstay_server.areas.vulnerabilities.models import Severity, Status
from mainstay_server.areas.vulnerabilities.service import listing, trends
from mainstay_server.areas.vulnerabilities.service.listing import FindingFilter
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.areas.vulnerabilities.worlds import (
    DAY,
    NOON,
    pip_audit,
    result,
    sarif,
    uploaded,
)
from tests.databases import on_both_stores

pytestmark = on_both_stores


def test_pages_go_through_all_of_them_the_gravest_first(
    session: Session, instance: InstanceRef
) -> None:
    levels = ("note", "error", "warning") * 7
    uploaded(session, instance, sarif(*(result(f"B{i}", level=v) for i, v in enumerate(levels))))
    seen, cursor = [], ""
    while True:
        page = listing.list_findings(session, instance.id, FindingFilter(), limit=4, cursor=cursor)
        seen += [(one.rank, one.rule) for one in page.items]
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
    assert len(set(seen)) == 21
    assert [rank for rank, _ in seen] == [3] * 7 + [2] * 7 + [1] * 7


def test_findings_are_found_by_what_people_know_of_them(
    session: Session, instance: InstanceRef
) -> None:
    uploaded(session, instance, sarif(result("B602", path="app/100%_real.py")))
    uploaded(session, instance, pip_audit(("jinja2", "3.1.5", "PYSEC-2025-1", ["CVE-2025-1000"])))

    def rules(**chosen: object) -> list[str]:
        wanted = FindingFilter(**chosen)  # type: ignore[arg-type]  # as a page asks
        return [one.rule for one in listing.list_findings(session, instance.id, wanted).items]

    assert rules(text="JINJA") == ["CVE-2025-1000"]
    assert rules(text="pysec-2025") == ["CVE-2025-1000"]
    assert rules(text="100%_") == ["B602"]
    assert rules(text="1000%") == []
    assert rules(severity=Severity.HIGH) == ["B602"]
    assert rules(source="pip-audit") == ["CVE-2025-1000"]
    assert rules(status=Status.FIXED) == []


def test_a_day_without_a_scan_is_as_the_one_before(session: Session, instance: InstanceRef) -> None:
    uploaded(session, instance, sarif(result("B602"), result("B105")), now=NOON - 9 * DAY)
    uploaded(session, instance, sarif(result("B602")), now=NOON - DAY)

    days = trends.open_by_day(session, instance.id, days=4, now=NOON)

    assert [(day, counts[Severity.HIGH] if counts else None) for day, counts in days] == [
        (date(2026, 2, 26), 2),
        (date(2026, 2, 27), 2),
        (date(2026, 2, 28), 1),
        (date(2026, 3, 1), 1),
    ]
    longer = trends.open_by_day(session, instance.id, days=12, now=NOON)
    assert longer[0][1] is None, "nothing was known then"
