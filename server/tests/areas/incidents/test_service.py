"""The rules of incidents, and the arithmetic of MTTA and MTTR against the plainest there is."""

import tracemalloc
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mainstay_server.areas.incidents.models import (
    EntryKind,
    Incident,
    IncidentRole,
    IncidentStatus,
    Severity,
)
from mainstay_server.areas.incidents.service import (
    choices,
    figures,
    incidents,
    joining,
    listing,
    notes,
    people,
    postmortems,
    states,
    timeline,
)
from mainstay_server.areas.incidents.service.listing import IncidentFilter
from mainstay_server.contracts.incidents import (
    IncidentAcknowledged,
    IncidentChanged,
    IncidentNoted,
    IncidentOpened,
    IncidentPostmortemChanged,
    IncidentRemoved,
    IncidentReopened,
    IncidentResolved,
    IncidentSettingsChanged,
    IncidentStaffed,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import Origin, spoken_by
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.models import Project
from sqlalchemy.orm import Session
from tests.conftest import Said
from tests.databases import on_both_stores
from tests.world import a_project

from .worlds import DAY, HOUR, MINUTE, NOON, SECOND, a_member, opened

ADA = Origin(actor="person:1", name="Ada")


@pytest.fixture
def instance(session: Session) -> InstanceRef:
    return a_project(session, now=NOON)


def titles(session: Session, incident: Incident) -> list[str]:
    return [each.title for each in timeline.first_entries(session, incident.id, limit=100)]


def by_alert(
    session: Session, instance: InstanceRef, *, at: datetime, severity: Severity = Severity.MAJOR
) -> Incident:
    """An incident that an alert opened."""
    project = session.get_one(Project, instance.project_id)
    wanted = incidents.NewIncident(title="down", severity=severity, instance_id=instance.id)
    return incidents.add_incident(session, project, wanted, automatic=True, at=at, now=at)


@on_both_stores
def test_it_goes_from_opened_to_resolved_and_each_step_is_said_and_written(
    session: Session, said: Said
) -> None:
    made = opened(session, a_project(session, now=NOON))
    assert (made.number, made.status) == (1, IncidentStatus.INVESTIGATING)
    with spoken_by(ADA):
        change = {"status": "identified", "severity": "critical"}
        incidents.change_incident(session, made, change, message="a full disk", now=NOON + MINUTE)
        incidents.change_incident(session, made, {"status": "resolved"}, now=NOON + HOUR)
        incidents.change_incident(session, made, {"status": "resolved"}, now=NOON + 2 * HOUR)
    assert (made.resolved_at, made.open_ms) == (NOON + HOUR, 3_600_000)
    assert [type(event) for event in said()] == [
        IncidentOpened,
        IncidentChanged,
        IncidentChanged,
        IncidentResolved,
    ]
    assert titles(session, made) == [
        "Opened",
        "Raised from major to critical",
        "Identified",
        "Resolved",
    ]
    entries = timeline.first_entries(session, made.id, limit=10)
    assert [entry.actor for entry in entries] == ["", "Ada", "Ada", "Ada"]
    assert entries[2].body == "a full disk"


@on_both_stores
def test_opened_again_the_time_in_between_does_not_count(session: Session, said: Said) -> None:
    made = opened(session, a_project(session, now=NOON))
    states.resolve(session, made, now=NOON + HOUR)
    said()
    change = {"status": IncidentStatus.MONITORING}
    incidents.change_incident(session, made, change, now=NOON + 5 * DAY)
    (event,) = said()
    assert isinstance(event, IncidentReopened)
    assert event.changes["status"] == ("resolved", "monitoring")
    states.resolve(session, made, now=NOON + 5 * DAY + 30 * MINUTE)
    (event,) = said()
    assert isinstance(event, IncidentResolved)
    assert event.open_seconds == 90 * 60


def test_numbers_count_within_a_project(session: Session, instance: InstanceRef) -> None:
    other = a_project(session, now=NOON, organization="Other", slug="other", number=2)
    assert [opened(session, where).number for where in (instance, instance, other)] == [1, 2, 1]
    with pytest.raises(NotFound):
        incidents.get_incident(session, other.project_id, "2")
    assert incidents.get_incident(session, instance.project_id, "2").number == 2
    for strange in ("", "0", "9" * 30, "½", "no-id"):
        with pytest.raises(NotFound):
            incidents.get_incident(session, instance.project_id, strange)


def test_who_opens_one_by_hand_has_taken_it_up(session: Session, instance: InstanceRef) -> None:
    made = opened(session, instance)
    assert not incidents.acknowledge(session, made, person_id="1", name="Ada", now=NOON + HOUR)
    assert made.acknowledged_at == NOON
    assert made.acknowledged_after_ms is None


def test_what_an_alert_opened_is_taken_up_once(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    made = by_alert(session, instance, at=NOON)
    said()
    taken = [
        incidents.acknowledge(session, made, person_id="1", name="Ada", now=NOON + n * SECOND)
        for n in (40, 50)
    ]
    assert taken == [True, False]
    assert made.acknowledged_after_ms == 40_000
    assert [type(event) for event in said()] == [IncidentAcknowledged]
    assert "Ada has taken it up" in titles(session, made)


@pytest.mark.parametrize("title", ["", " \n\t", "\x00\x1f"])
def test_one_without_a_title_is_refused(
    session: Session, instance: InstanceRef, title: str
) -> None:
    with pytest.raises(Invalid, match="title"):
        opened(session, instance, title=title)


def test_the_instance_must_be_of_the_project(session: Session, instance: InstanceRef) -> None:
    other = a_project(session, now=NOON, organization="Other", slug="other", number=2)
    with pytest.raises(Invalid, match="instanceId"):
        opened(session, instance, instance_id=other.id)
    made = opened(session, instance)
    with pytest.raises(Invalid, match="instanceId"):
        incidents.change_incident(session, made, {"instance_id": other.id}, now=NOON)


def test_only_so_many_may_be_open(
    session: Session, instance: InstanceRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "MOST_OPEN", 2)
    first = opened(session, instance)
    opened(session, instance)
    with pytest.raises(Conflict, match="resolve one first"):
        opened(session, instance)
    states.resolve(session, first, now=NOON)
    opened(session, instance)
    with pytest.raises(Conflict, match="resolve one first"):
        incidents.change_incident(session, first, {"status": "monitoring"}, now=NOON)


@on_both_stores
def test_one_person_has_each_role_and_many_respond(session: Session, said: Said) -> None:
    instance = a_project(session, now=NOON)
    ada, bob = (a_member(session, instance, name) for name in ("Ada", "Bo"))
    made = opened(session, instance)
    said()
    people.assign(session, made, IncidentRole.COMMANDER, ada, now=NOON)
    people.assign(session, made, IncidentRole.COMMANDER, ada, now=NOON)
    people.assign(session, made, IncidentRole.COMMANDER, bob, now=NOON)
    for person in (ada, bob):
        people.assign(session, made, IncidentRole.RESPONDER, person, now=NOON)
    staff = people.people_of(session, [made.id])[made.id]
    roles = [(one.name, one.role.value) for one in staff]
    assert roles[0] == ("Bo", "commander")
    assert sorted(roles[1:]) == [("Ada", "responder"), ("Bo", "responder")]
    people.give_up(session, made, IncidentRole.COMMANDER, bob, now=NOON)
    with pytest.raises(NotFound):
        people.give_up(session, made, IncidentRole.COMMANDER, bob, now=NOON)
    changes = [event.changes for event in said() if isinstance(event, IncidentStaffed)]
    assert changes[1] == {"commander": (ada, bob)}
    assert changes[-1] == {"commander": (bob, None)}


def test_only_members_get_a_role(session: Session, instance: InstanceRef) -> None:
    other = a_project(session, now=NOON, organization="Other", slug="other", number=2)
    stranger = a_member(session, other, "Charlie")
    made = opened(session, instance)
    for person in (stranger, "nobody"):
        with pytest.raises(NotFound, match="no member"):
            people.assign(session, made, IncidentRole.SCRIBE, person, now=NOON)


def test_notes_are_written_and_taken_out_and_nothing_else_is(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    made = opened(session, instance)
    said()
    note = notes.add_note(session, made, "  looked at *it* ", now=NOON)
    assert (note.body, note.kind) == ("looked at *it*", EntryKind.NOTE)
    for bad in ("", "  ", "x" * 10_001):
        with pytest.raises(Invalid):
            notes.add_note(session, made, bad, now=NOON)
    (first, _) = timeline.first_entries(session, made.id, limit=10)
    with pytest.raises(NotFound):
        notes.remove_note(session, made, first.id, now=NOON)
    other = opened(session, instance)
    with pytest.raises(NotFound):
        notes.remove_note(session, other, note.id, now=NOON)
    notes.remove_note(session, made, note.id, now=NOON)
    assert [type(event) for event in said()] == [IncidentNoted, IncidentOpened, IncidentNoted]


def test_a_timeline_that_is_full_says_so_once_and_still_takes_what_people_do(
    session: Session, instance: InstanceRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "MOST_ENTRIES", 3)
    made = opened(session, instance)
    for number in range(5):
        timeline.write(session, made, EntryKind.HEALTH, f"seen {number}", at=NOON)
    assert titles(session, made) == ["Opened", "seen 0", "seen 1", timeline.FULL]
    with spoken_by(ADA):
        notes.add_note(session, made, "still here", now=NOON)
    assert titles(session, made)[-1] == "Note"


def test_the_timeline_comes_in_pages_by_when_it_happened(
    session: Session, instance: InstanceRef
) -> None:
    made = opened(session, instance)
    for minutes in (30, 10, 20):
        at = NOON + minutes * MINUTE
        timeline.write(session, made, EntryKind.HEALTH, f"at {minutes}", at=at)
    first = timeline.list_entries(session, made.id, limit=3)
    assert [each.title for each in first.items] == ["at 30", "at 20", "at 10"]
    assert first.next_cursor is not None
    rest = timeline.list_entries(session, made.id, limit=3, cursor=first.next_cursor)
    assert [each.title for each in rest.items] == ["Opened"]
    assert rest.next_cursor is None


@on_both_stores
def test_lists_filter_search_and_come_in_pages(session: Session) -> None:
    instance = a_project(session, now=NOON)
    for title in ("Payments time out", "100% full", "Search is slow"):
        opened(session, instance, title=title, severity=Severity.MINOR)
    grave = opened(session, instance, title="All is down", severity=Severity.CRITICAL)
    states.resolve(session, grave, now=NOON)

    def found(**chosen: Any) -> list[int]:
        page = listing.list_incidents(
            session, instance.project_id, IncidentFilter(**chosen), limit=50
        )
        return [each.number for each in page.items]

    assert found() == [4, 3, 2, 1]
    assert found(open=True) == [3, 2, 1]
    assert found(open=False) == found(severity=Severity.CRITICAL) == [4]
    assert found(text="PAY") == [1]
    assert found(text="0%") == [2]
    assert found(text="#3") == [3]
    assert found(instance_id=instance.id) == []
    first = listing.list_incidents(session, instance.project_id, IncidentFilter(), limit=3)
    cursor = first.next_cursor or ""
    rest = listing.list_incidents(
        session, instance.project_id, IncidentFilter(), limit=3, cursor=cursor
    )
    assert [each.number for each in (*first.items, *rest.items)] == [4, 3, 2, 1]
    for strange in ("x", "WyJhIl0", "WzFlMzBd", "W251bGxd"):
        with pytest.raises(Invalid):
            listing.list_incidents(
                session, instance.project_id, IncidentFilter(), limit=3, cursor=strange
            )


def test_choices_are_checked_and_said(session: Session, instance: InstanceRef, said: Said) -> None:
    project = incidents.lock_project(session, instance.project_id)
    assert project is not None
    for bad in ({"opens_from": "odd"}, {"join_minutes": -1}, {"join_minutes": 1441}):
        with pytest.raises(Invalid):
            choices.change_choices(session, project, bad, now=NOON)  # type: ignore[arg-type]  # the row has what is asked of it
    chosen = choices.change_choices(session, project, {"join_minutes": 5}, now=NOON)  # type: ignore[arg-type]  # as above
    assert choices.choices_of(session, instance.project_id) == chosen
    choices.change_choices(session, project, {"join_minutes": 5}, now=NOON)  # type: ignore[arg-type]  # as above
    (event,) = said()
    assert isinstance(event, IncidentSettingsChanged)
    assert event.changes == {"join_minutes": (30, 5)}


@on_both_stores
def test_a_postmortem_begins_with_what_is_known_and_loses_no_words(
    session: Session, said: Said
) -> None:
    instance = a_project(session, now=NOON)
    made = opened(session, instance, title="Pay | out", summary="Nobody could pay.")
    people.assign(
        session, made, IncidentRole.COMMANDER, a_member(session, instance, "Ada"), now=NOON
    )
    with spoken_by(ADA):
        notes.add_note(session, made, "one\ntwo", now=NOON + MINUTE)
    states.resolve(session, made, now=NOON + 125 * MINUTE)
    said()
    draft = postmortems.draft(session, made, now=NOON + DAY)
    for part in (
        "# Pay | out",
        "| Open for | 2 h 5 min |",
        "Ada (commander)",
        "Nobody could pay.",
        "- **2026-11-26 12:01:00** Note (Ada)\n  one\n  two",
    ):
        assert part in draft
    assert said() == []
    saved = postmortems.save(session, made, draft, version=0, now=NOON + DAY)
    assert saved.version == 1
    with pytest.raises(Conflict, match="meanwhile"):
        postmortems.save(session, made, "mine", version=0, now=NOON + DAY)
    postmortems.save(session, made, "ours", version=1, now=NOON + DAY)
    assert postmortems.text_of(session, made, now=NOON) == "ours"
    kinds = [type(event) for event in said()]
    assert kinds == [IncidentPostmortemChanged, IncidentPostmortemChanged]
    for bad in ("", " \n", "x" * 100_001):
        with pytest.raises(Invalid):
            postmortems.save(session, made, bad, version=2, now=NOON)


def test_a_template_of_ones_own_fills_in_only_the_places_it_has(
    session: Session, instance: InstanceRef
) -> None:
    project = incidents.lock_project(session, instance.project_id)
    template = "{number} {title} {0} {unknown} {title.__class__} {{timeline}"
    choices.change_choices(session, project, {"template": template}, now=NOON)  # type: ignore[arg-type]  # the row has what is asked of it
    made = opened(session, instance, title="{number} {timeline}")
    draft = postmortems.draft(session, made, now=NOON)
    assert draft.startswith("1 {number} {timeline} {0} {unknown} {title.__class__} {- **2026")


def test_a_draft_of_a_very_long_timeline_leaves_room_for_words(
    session: Session, instance: InstanceRef
) -> None:
    made = opened(session, instance)
    with spoken_by(ADA):
        for _ in range(20):
            notes.add_note(session, made, "x" * 9000, now=NOON)
    draft = postmortems.draft(session, made, now=NOON)
    assert len(draft) < postmortems.LONGEST_BODY
    assert draft.rstrip().endswith("in the timeline of the incident")


def test_a_template_that_names_one_place_over_and_over_makes_no_more_than_is_kept(
    session: Session, instance: InstanceRef
) -> None:
    made = opened(session, instance)
    with spoken_by(ADA):
        for _ in range(9):
            notes.add_note(session, made, "x" * 9000, now=NOON)
    template = "{timeline}" * 2000
    project = session.get_one(Project, made.project_id)
    choices.change_choices(session, project, {"template": template}, now=NOON)  # type: ignore[arg-type]  # the row has what is asked of it
    tracemalloc.start()
    try:
        draft = postmortems.draft(session, made, now=NOON)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(draft) == postmortems.LONGEST_BODY
    assert most < 50 * postmortems.LONGEST_BODY, "of two thousand times eighty thousand letters"


def test_removing_one_takes_everything_of_it(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    made = opened(session, instance)
    postmortems.save(session, made, "words", version=0, now=NOON)
    said()
    incidents.remove_incident(session, made, now=NOON)
    (event,) = said()
    assert isinstance(event, IncidentRemoved)
    assert timeline.count_entries(session, made.id) == 0


def test_what_was_resolved_long_ago_is_forgotten(session: Session, instance: InstanceRef) -> None:
    old, young, still = (opened(session, instance) for _ in range(3))
    states.resolve(session, old, now=NOON)
    states.resolve(session, young, now=NOON + 2 * DAY)
    assert listing.forget_resolved(session, before=NOON + DAY) == 1
    left = listing.list_incidents(session, instance.project_id, IncidentFilter(), limit=9).items
    assert [each.number for each in left] == [still.number, young.number]


def test_no_alert_is_joined_where_nobody_knows_alerts(
    session: Session, instance: InstanceRef
) -> None:
    made = opened(session, instance)
    with pytest.raises(NotFound):
        joining.join_alert(session, made, new_id(), now=NOON)
    assert joining.offered_alerts(session, made, now=NOON) == []


# Seconds from one step to the next: take up, resolve, open again, in any order.
STEPS = st.lists(
    st.tuples(st.sampled_from(["take", "resolve", "reopen"]), st.integers(0, 10_000)), max_size=8
)
LIVES = st.lists(st.tuples(st.booleans(), STEPS), max_size=6)
Life = tuple[bool, list[tuple[str, int]]]


def lived(session: Session, instance: InstanceRef, life: Life) -> Incident:
    """An incident to which the steps of a life happen."""
    automatic, steps = life
    made = by_alert(session, instance, at=NOON) if automatic else opened(session, instance)
    now = NOON
    for step, seconds in steps:
        now += seconds * SECOND
        if step == "take":
            incidents.acknowledge(session, made, person_id="1", name="Ada", now=now)
        elif step == "resolve":
            states.resolve(session, made, now=now)
        else:
            states.reopen(session, made, now=now)
    return made


def by_the_second(life: Life) -> tuple[int | None, int | None]:
    """After how many open seconds it was taken up, and how many it was open, if it is over.

    Counted one second after the other, as somebody with a stop-watch would.
    """
    automatic, steps = life
    is_open, open_seconds, taken_after = True, 0, None
    is_taken = not automatic
    for step, seconds in steps:
        for _ in range(seconds):
            open_seconds += is_open
        if step == "take" and is_open and not is_taken:
            is_taken, taken_after = True, open_seconds
        is_open = {"take": is_open, "resolve": False, "reopen": True}[step]
    return taken_after, None if is_open else open_seconds


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lives=LIVES)
def test_mtta_and_mttr_are_the_means_of_what_a_stop_watch_says(
    session: Session, instance: InstanceRef, lives: list[Life]
) -> None:
    with session.begin_nested() as undone:
        for life in lives:
            lived(session, instance, life)
        found = figures.figures_of(
            session, instance.project_id, since=NOON, until=NOON + timedelta(seconds=1)
        )
        undone.rollback()
    session.expunge_all()
    waits = [taken for taken, _ in map(by_the_second, lives) if taken is not None]
    lasts = [lasted for _, lasted in map(by_the_second, lives) if lasted is not None]
    assert found.mtta_seconds == (pytest.approx(fmean(waits)) if waits else None)
    assert found.mttr_seconds == (pytest.approx(fmean(lasts)) if lasts else None)
    assert found.longest_seconds == (max(lasts) if lasts else None)
    assert (found.opened, found.resolved) == (len(lives), len(lasts))
    assert (found.open, found.acknowledged) == (len(lives) - len(lasts), len(waits))


@on_both_stores
def test_figures_are_of_what_was_opened_in_the_range_and_exact(session: Session) -> None:
    instance = a_project(session, now=NOON)
    for minutes, severity in ((1, Severity.CRITICAL), (2, Severity.MINOR), (30, Severity.MINOR)):
        made = by_alert(session, instance, at=NOON + minutes * MINUTE, severity=severity)
        states.resolve(session, made, now=NOON + 2 * minutes * MINUTE)
    found = figures.figures_of(session, instance.project_id, since=NOON, until=NOON + 30 * MINUTE)
    assert (found.opened, found.mttr_seconds, found.longest_seconds) == (2, 90.0, 120.0)
    assert (found.mtta_seconds, found.never_acknowledged) == (None, 2)
    assert found.by_severity == {Severity.MINOR: 1, Severity.MAJOR: 0, Severity.CRITICAL: 1}


def test_a_clock_that_goes_back_makes_no_time_negative(
    session: Session, instance: InstanceRef
) -> None:
    made = by_alert(session, instance, at=NOON)
    incidents.acknowledge(session, made, person_id="1", name="Ada", now=NOON - HOUR)
    states.resolve(session, made, now=NOON - HOUR)
    assert (made.acknowledged_after_ms, made.open_ms) == (0, 0)
