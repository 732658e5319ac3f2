"""Places: a check that is asked from several, and what becomes of what each of them finds."""

from dataclasses import replace
from datetime import timedelta

import pytest
from mainstay_server.areas.health_checks.models import HERE, HealthCheck, Probe
from mainstay_server.areas.health_checks.schemas.probes import NewProbe
from mainstay_server.areas.health_checks.service import checks, places, probes, recording
from mainstay_server.areas.health_checks.service.turns import claim_due
from mainstay_server.contracts.health_checks import (
    HealthChanged,
    HealthCheckDegraded,
    HealthCheckRecovered,
    HealthCheckWentDown,
    ProbeReturned,
    ProbeWentSilent,
)
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.watching import State
from sqlalchemy.orm import Session
from tests.areas.health_checks.worlds import GRACE, MINUTE, NOON, SECOND, a_check, finished
from tests.conftest import Said

H, D, U = State.HEALTHY, State.DEGRADED, State.UNHEALTHY
ELSEWHERE = ("Frankfurt", "Oslo")


def a_probe(session: Session, check: HealthCheck, location: str) -> Probe:
    wanted = NewProbe(name=location.lower(), location=location)
    probe, _ = probes.add_probe(session, check.organization_id, wanted, now=NOON)
    return probe


def spread(session: Session, *elsewhere: str) -> HealthCheck:
    """A check that is asked here and at these places, all of which find it well at noon."""
    check = a_check(session)
    for location in elsewhere:
        a_probe(session, check, location)
    places.set_locations(session, check, [HERE, *elsewhere])
    for location in (HERE, *elsewhere):
        hear(session, check, location, H, minute=0)
    return check


def hear(
    session: Session, check: HealthCheck, location: str, state: State, *, minute: float
) -> None:
    """What a place found at that minute after noon."""
    one = replace(finished(check, state, at=NOON + minute * MINUTE), location=location)
    recording.record_results(session, [one], grace_seconds=GRACE)


def health(said: Said) -> list[type]:
    return [type(event) for event in said() if isinstance(event, HealthChanged)]


def test_one_place_of_three_is_worth_a_word_and_no_outage(session: Session, said: Said) -> None:
    check = spread(session, *ELSEWHERE)

    hear(session, check, "Oslo", U, minute=1)

    assert health(said) == [HealthCheckDegraded]
    assert check.state == D
    assert check.state_reason == "answered 503 (from Oslo: 1 of 3 places)"


def test_two_of_three_are_an_outage_and_its_end_is_said_once(session: Session, said: Said) -> None:
    check = spread(session, *ELSEWHERE)

    hear(session, check, "Oslo", U, minute=1)
    hear(session, check, HERE, U, minute=1.1)
    hear(session, check, "Frankfurt", H, minute=1.2)
    hear(session, check, HERE, H, minute=2)
    hear(session, check, "Oslo", H, minute=2.1)

    assert health(said) == [
        HealthCheckDegraded,
        HealthCheckWentDown,
        HealthCheckDegraded,
        HealthCheckRecovered,
    ]
    assert check.state == H


def test_two_against_two_do_not_flap(session: Session, said: Said) -> None:
    check = spread(session, "Frankfurt", "Oslo", "Porto")
    for location, state in ((HERE, H), ("Frankfurt", H), ("Oslo", U), ("Porto", U)):
        hear(session, check, location, state, minute=1)
    said()

    for minute in range(2, 20):
        hear(session, check, "Oslo", U, minute=minute)
        hear(session, check, "Porto", U, minute=minute)
        hear(session, check, HERE, H, minute=minute)
        hear(session, check, "Frankfurt", H, minute=minute)

    assert health(said) == []
    assert check.state == D


def test_a_place_that_is_silent_has_no_voice(session: Session, said: Said) -> None:
    check = spread(session, *ELSEWHERE)
    hear(session, check, "Oslo", U, minute=1)
    said()

    for minute in range(2, 6):
        hear(session, check, HERE, H, minute=minute)
        hear(session, check, "Frankfurt", H, minute=minute)

    assert health(said) == [HealthCheckRecovered]
    assert check.state == H
    shown = {
        p.location: p.state for p in places.shown_places(session, check, now=NOON + 5 * MINUTE)
    }
    assert shown == {HERE: H, "Frankfurt": H, "Oslo": State.UNKNOWN}


def test_when_no_place_is_heard_of_it_is_unknown_and_nobody_is_paged(
    session: Session, said: Said
) -> None:
    check = spread(session, *ELSEWHERE)
    said()

    recording.mark_unwatched(session, now=NOON + 10 * MINUTE)

    assert check.state == State.UNKNOWN
    assert health(said) == []


def test_the_first_failure_makes_the_others_ask_at_once(session: Session) -> None:
    check = spread(session, *ELSEWHERE)
    check.next_at = NOON + 30 * MINUTE
    before = {
        p.location: p.asked_version for p in probes.list_probes(session, check.organization_id)
    }

    hear(session, check, "Oslo", U, minute=1)
    hear(session, check, "Oslo", U, minute=1.5)

    session.expire_all()
    after = {
        p.location: p.asked_version for p in probes.list_probes(session, check.organization_id)
    }
    assert after["Frankfurt"] == before["Frankfurt"] + 1
    assert after["Oslo"] == before["Oslo"]
    assert check.next_at <= NOON + MINUTE + SECOND


def test_thresholds_count_at_each_place_by_itself(session: Session, said: Said) -> None:
    check = spread(session, *ELSEWHERE)
    check.fail_after = 2
    session.flush()

    for location in ("Oslo", "Frankfurt", HERE):
        hear(session, check, location, U, minute=1)
    assert health(said) == []
    for location in ("Oslo", "Frankfurt"):
        hear(session, check, location, U, minute=2)

    assert health(said) == [HealthCheckDegraded, HealthCheckWentDown]


def test_a_result_that_comes_twice_or_late_counts_once(session: Session, said: Said) -> None:
    check = spread(session, *ELSEWHERE)
    hear(session, check, "Oslo", U, minute=1)
    said()

    hear(session, check, "Oslo", U, minute=1)
    hear(session, check, "Oslo", H, minute=0.5)

    assert health(said) == []
    assert check.state == D


def test_what_is_not_asked_here_is_claimed_by_nobody_here(session: Session) -> None:
    check = a_check(session)
    a_probe(session, check, "Oslo")
    places.set_locations(session, check, ["Oslo"])

    later = NOON + 60 * MINUTE

    assert claim_due(session, until=later, now=later, owner="here", limit=10) == []


def test_a_place_without_a_probe_is_refused(session: Session) -> None:
    check = a_check(session)

    with pytest.raises(Invalid, match="no probe at 'Atlantis'"):
        places.set_locations(session, check, [HERE, "Atlantis"])


def test_a_browser_is_asked_here_alone(session: Session) -> None:
    check = spread(session)
    a_probe(session, check, "Oslo")
    check.kind = "browser"

    with pytest.raises(Invalid, match="asked from here alone"):
        places.set_locations(session, check, ["Oslo"])


def test_the_probe_of_another_organization_is_no_place(session: Session) -> None:
    ours, theirs = a_check(session), a_check(session, number=2)
    assert ours.organization_id != theirs.organization_id
    a_probe(session, theirs, "Oslo")

    with pytest.raises(Invalid, match="no probe at 'Oslo'"):
        places.set_locations(session, ours, [HERE, "Oslo"])


def test_what_only_a_removed_probe_asked_is_asked_here(session: Session) -> None:
    check = a_check(session)
    probe = a_probe(session, check, "Oslo")
    places.set_locations(session, check, ["Oslo"])

    probes.remove_probe(session, probe, now=NOON)

    assert (check.locations, check.asked_here, check.asked_elsewhere) == ([HERE], True, False)
    assert places.places_of(session, check) == []


def test_a_lost_probe_is_missed_once_and_its_return_is_said_once(
    session: Session, said: Said
) -> None:
    check = a_check(session)
    probe = a_probe(session, check, "Oslo")
    places.set_locations(session, check, [HERE, "Oslo"])
    probes.note_seen(session, probe, now=NOON)
    said()

    for minute in (1, 2, 3):
        probes.mark_silent(session, now=NOON + minute * MINUTE)
    (silent,) = said()
    for seconds in (0, 5):
        probes.note_seen(session, probe, now=NOON + timedelta(hours=1, seconds=seconds))
    (returned,) = said()

    assert isinstance(silent, ProbeWentSilent)
    assert (silent.project_id, silent.location) == (check.project_id, "Oslo")
    assert (silent.checks, silent.since) == (1, NOON)
    assert isinstance(returned, ProbeReturned)


def test_a_probe_that_was_never_started_is_not_missed(session: Session, said: Said) -> None:
    check = a_check(session)
    a_probe(session, check, "Oslo")
    said()

    assert probes.mark_silent(session, now=NOON + timedelta(days=1)) == 0
    assert said() == []


def test_a_change_of_a_check_is_news_for_its_probes_alone(session: Session) -> None:
    check = a_check(session)
    oslo, porto = (a_probe(session, check, location) for location in ("Oslo", "Porto"))
    places.set_locations(session, check, [HERE, "Oslo"])
    session.expire_all()
    before = (oslo.plan_version, porto.plan_version)

    checks.pause_check(session, check, now=NOON)

    session.expire_all()
    assert (oslo.plan_version, porto.plan_version) == (before[0] + 1, before[1])
