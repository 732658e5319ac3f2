"""A probe that is silent is one warning, which ends when it is heard of again or is removed."""

from datetime import timedelta

from mainstay_server.contracts.health_checks import ProbeChanged, ProbeReturned, ProbeWentSilent
from mainstay_server.kernel.clock import utc_now
from tests.areas.alerts.conftest import Harbour


def said(harbour: Harbour, kind: type[ProbeChanged], *, probe: str = "p1") -> ProbeChanged:
    return kind(
        **harbour.instance.ids,
        probe_id=probe,
        name="fra-1",
        location="Frankfurt",
        checks=3,
        since=utc_now() - timedelta(minutes=2),
    )


def test_each_probe_opens_and_ends_its_own(harbour: Harbour) -> None:
    harbour.happens(said(harbour, ProbeWentSilent), said(harbour, ProbeWentSilent, probe="p2"))
    assert harbour.active() == ["probe_silent:p1", "probe_silent:p2"]

    harbour.happens(said(harbour, ProbeReturned))
    assert harbour.active() == ["probe_silent:p2"]


def test_a_return_that_nobody_missed_changes_nothing(harbour: Harbour) -> None:
    harbour.happens(said(harbour, ProbeReturned))

    assert harbour.active() == []
