"""Silences: what they hold and whose, their life, and what they would hold."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mainstay_server.areas.alerts.models import AlertSilence, AlertType
from mainstay_server.areas.alerts.service import firing, silence_previews, silences
from mainstay_server.areas.alerts.service.silences import Reach, SilenceState, Wanted
from mainstay_server.contracts.alerts.routing import (
    AlertSilenceChanged,
    AlertSilenceCreated,
    AlertSilenceExpired,
)
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.matchers import matches_all, parse_matchers
from mainstay_server.kernel.problems import Conflict, Forbidden, Invalid, NotFound
from tests.areas.alerts.conftest import NOON, Harbour
from tests.world import a_project

HOUR = timedelta(hours=1)
DOWN = {"alertname": "instance_down", "environment": "production", "project": "inspections"}


def of_project(harbour: Harbour) -> Reach:
    instance = harbour.instance
    return Reach(organization_id=instance.organization_id, project_id=instance.project_id)


def of_all(harbour: Harbour) -> Reach:
    return of_project(harbour).widened(administers=True)


def wanted(matchers: str = 'alertname="instance_down"', *, lasts: timedelta = HOUR) -> Wanted:
    return Wanted(
        matchers=parse_matchers(matchers),
        starts_at=NOON,
        ends_at=NOON + lasts,
        by="Alice",
        comment="Moving the database",
    )


def a_silence(harbour: Harbour, what: Wanted | None = None, *, everywhere: bool = False) -> str:
    reach = of_all(harbour) if everywhere else of_project(harbour)
    with transaction() as session:
        return silences.create_silence(session, reach, what or wanted(), now=harbour.now).id


def held(
    harbour: Harbour, labels: dict[str, str] = DOWN, *, reach: Reach | None = None
) -> list[str]:
    with reading() as session:
        return silences.silenced_by(session, reach or of_project(harbour), labels, now=harbour.now)


def test_a_silence_holds_what_its_matchers_fit_from_its_start_until_its_end(
    harbour: Harbour,
) -> None:
    later = Wanted(
        matchers=parse_matchers('environment=~"prod.*"'),
        starts_at=NOON + 30 * timedelta(minutes=1),
        ends_at=NOON + 2 * HOUR,
        by="Alice",
        comment="Later",
    )
    first, second = a_silence(harbour), a_silence(harbour, later)

    assert held(harbour) == [first]
    assert held(harbour, {**DOWN, "alertname": "high_error_rate"}) == []
    harbour.later(30 * timedelta(minutes=1))
    assert held(harbour) == [first, second]
    harbour.later(30 * timedelta(minutes=1))
    assert held(harbour) == [second]
    harbour.later(HOUR)
    assert held(harbour) == []


def test_a_silence_never_reaches_another_project_whatever_the_labels_say(harbour: Harbour) -> None:
    with transaction() as session:
        rival = a_project(
            session, now=NOON, organization="Rivals", slug="spy", number=8, key="c" * 32
        )
    own, everywhere = a_silence(harbour), a_silence(harbour, everywhere=True)

    same_organization = Reach(
        organization_id=harbour.instance.organization_id, project_id="another-project"
    )
    theirs = Reach(organization_id=rival.organization_id, project_id=rival.project_id)

    assert held(harbour) == [own, everywhere]
    assert held(harbour, reach=same_organization) == [everywhere]
    assert held(harbour, reach=theirs) == []


def test_making_extending_and_expiring_are_each_said_once(harbour: Harbour) -> None:
    silence_id = a_silence(harbour)
    reach, until = of_project(harbour), NOON + 3 * HOUR
    with transaction() as session:
        silences.change_silence(session, reach, silence_id, ends_at=until, now=NOON)
        silences.change_silence(session, reach, silence_id, ends_at=until, now=NOON)
    with transaction() as session:
        silences.expire_silence(session, reach, silence_id, now=NOON + HOUR)
        silences.expire_silence(session, reach, silence_id, now=NOON + 2 * HOUR)

    said = harbour.said()
    assert [type(event) for event in said] == [
        AlertSilenceCreated,
        AlertSilenceChanged,
        AlertSilenceExpired,
    ]
    created, changed, _ = said
    assert isinstance(created, AlertSilenceCreated)
    assert isinstance(changed, AlertSilenceChanged)
    assert created.matchers == '{alertname="instance_down"}'
    assert set(changed.changes) == {"ends_at"}
    with reading() as session:
        ended = session.get_one(AlertSilence, silence_id)
    assert ended.ends_at == NOON + HOUR
    assert silences.state_of(ended, now=NOON + HOUR) is SilenceState.EXPIRED


def test_what_has_ended_is_not_changed_any_more(harbour: Harbour) -> None:
    silence_id = a_silence(harbour)

    with transaction() as session, pytest.raises(Conflict, match="make another one"):
        silences.change_silence(
            session, of_project(harbour), silence_id, comment="x", now=NOON + HOUR
        )


def test_expiring_what_has_not_begun_leaves_nothing_ahead(harbour: Harbour) -> None:
    ahead = Wanted(
        matchers=parse_matchers("a=b"),
        starts_at=NOON + HOUR,
        ends_at=NOON + 2 * HOUR,
        by="Alice",
        comment="Later",
    )
    silence_id = a_silence(harbour, ahead)
    with transaction() as session:
        ended = silences.expire_silence(session, of_project(harbour), silence_id, now=NOON)

    assert (ended.starts_at, ended.ends_at) == (NOON, NOON)


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"matchers": ()}, "would hold every alert"),
        ({"matchers": parse_matchers('alertname=~".*"')}, "would hold every alert"),
        ({"matchers": parse_matchers('team!="web"')}, "would hold every alert"),
        ({"ends_at": NOON}, "lies ahead"),
        ({"starts_at": NOON + HOUR, "ends_at": NOON + HOUR}, "after it starts"),
        ({"by": "  "}, "who makes"),
        ({"comment": ""}, "why alerts are held"),
        ({"comment": "x" * 1001}, "at most 1000 characters"),
    ],
)
def test_a_silence_that_makes_no_sense_is_refused(
    harbour: Harbour, changes: dict[str, object], advice: str
) -> None:
    facts = {**vars(wanted()), **changes}

    with transaction() as session, pytest.raises(Invalid, match=advice):
        silences.create_silence(session, of_project(harbour), Wanted(**facts), now=NOON)


def test_there_is_a_limit_to_how_many_are_not_over(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silences, "MOST_LIVE", 2)
    a_silence(harbour)
    a_silence(harbour)
    with pytest.raises(Conflict, match="expire some"):
        a_silence(harbour)

    harbour.later(HOUR)

    a_silence(harbour, wanted(lasts=2 * HOUR))


def test_who_acts_in_a_project_does_not_change_what_holds_for_all(harbour: Harbour) -> None:
    everywhere = a_silence(harbour, everywhere=True)
    reach = of_project(harbour)

    with reading() as session:
        assert silences.get_silence(session, reach, everywhere).reach == "organization"
        with pytest.raises(Forbidden, match="needs its admin"):
            silences.reach_to_change(session, reach, everywhere, administers=False)
        widened = silences.reach_to_change(session, reach, everywhere, administers=True)
        assert widened.project_id is None
    with transaction() as session, pytest.raises(NotFound):
        silences.expire_silence(session, reach, everywhere, now=NOON)


def test_a_preview_tells_what_is_active_and_what_was_in_the_last_week(harbour: Harbour) -> None:
    def opens(about: str) -> str:
        found = firing.Firing(
            type=AlertType.INSTANCE_DOWN, title=f"{about} is down", message="", about=about
        )
        with transaction() as session:
            return firing.fire(session, harbour.instance, found, now=harbour.now) or ""

    def ends(about: str) -> None:
        with transaction() as session:
            identity = firing.identity_of(AlertType.INSTANCE_DOWN, about)
            firing.resolve(session, harbour.instance.id, identity, resolution="", now=harbour.now)

    harbour.later(-timedelta(days=30))
    opens("long ago")
    ends("long ago")
    still = opens("since long ago")
    harbour.later(timedelta(days=29))
    yesterday = opens("yesterday")
    ends("yesterday")
    harbour.later(timedelta(days=1))

    with reading() as session:
        found = silence_previews.preview(
            session, of_project(harbour), parse_matchers('alertname="instance_down"'), now=NOON
        )
        nothing = silence_previews.preview(
            session, of_project(harbour), parse_matchers('alertname="x"'), now=NOON
        )

    assert [alert.id for alert in found.active] == [still]
    assert [alert.id for alert in found.past] == [yesterday]
    assert (found.active_count, found.past_count, found.looked_at_all) == (1, 1, True)
    assert (nothing.active_count, nothing.past_count) == (0, 0)


LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "x", "y", "xy"]))
MATCHERS = st.lists(
    st.sampled_from(['a="x"', 'b!="y"', 'c=~"x|y"', 'a!~"x.*"', 'b=~".+"']), min_size=1, max_size=3
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(MATCHERS, max_size=4), labels=LABELS)
def test_an_alert_is_held_by_exactly_the_silences_that_fit_it(
    harbour: Harbour, texts: list[list[str]], labels: dict[str, str]
) -> None:
    with transaction() as session:
        session.query(AlertSilence).delete()
    made = []
    for text in texts:
        matchers = parse_matchers(",".join(text))
        if not matches_all(matchers, {}):
            made.append((a_silence(harbour, wanted(",".join(text))), matchers))

    assert held(harbour, labels) == [id_ for id_, each in made if matches_all(each, labels)]


def test_old_silences_are_forgotten(harbour: Harbour) -> None:
    a_silence(harbour)
    kept = a_silence(harbour, wanted(lasts=3 * HOUR))
    with transaction() as session:
        assert silences.forget_ended(session, before=NOON + 2 * HOUR) == 1

    with reading() as session:
        listed = silences.list_silences(session, of_project(harbour), limit=10, now=NOON)
    assert [each.id for each in listed.items] == [kept]
