"""Ends of certificates and domains as alerts: one at a time, nearer, and over when renewed."""

from datetime import timedelta

from mainstay_server.contracts.health_checks import ExpiryMoved
from mainstay_server.kernel.clock import utc_now
from tests.areas.alerts.conftest import Harbour

ENDS = utc_now() + timedelta(days=14)


def said(
    harbour: Harbour, days: int | None, *, check: str = "c1", what: str = "certificate"
) -> ExpiryMoved:
    return ExpiryMoved(
        **harbour.instance.ids,
        health_check_id=check,
        name="shop",
        target="shop.example:443",
        what=what,
        ends_at=ENDS,
        days=days,
        reason="" if days else "renewed until 2027-03-01",
    )


def test_each_threshold_takes_the_place_of_the_one_before(harbour: Harbour) -> None:
    for days in (14, 7, 3, 1):
        harbour.happens(said(harbour, days))
        assert harbour.active() == [f"certificate_expiring:c1:{days}"]


def test_hearing_the_same_twice_opens_one(harbour: Harbour) -> None:
    harbour.happens(said(harbour, 7), said(harbour, 7))

    assert harbour.active() == ["certificate_expiring:c1:7"]


def test_a_renewal_ends_that_alert_alone(harbour: Harbour) -> None:
    harbour.happens(said(harbour, 7), said(harbour, 7, check="c2"))
    harbour.happens(said(harbour, 3, what="domain"), said(harbour, None))

    assert harbour.active() == ["certificate_expiring:c2:7", "domain_expiring:c1:3"]
