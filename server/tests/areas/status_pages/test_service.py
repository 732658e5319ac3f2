"""What a page shows: bars, states, reports and maintenance, in every form; and nothing else."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from mainstay_server.areas.status_pages.models import ComponentStatus, Impact, ReportStatus
from mainstay_server.areas.status_pages.schemas.bodies import (
    NewStatusMaintenance,
    NewStatusReport,
    NewStatusUpdate,
)
from mainstay_server.areas.status_pages.schemas.colours import contrast, lightened_to
from mainstay_server.areas.status_pages.service import (
    automatic,
    components,
    maintenances,
    pages,
    reports,
    statuspage,
)
from mainstay_server.areas.status_pages.service.bars import Stretch, bars_of, days_until, merged
from mainstay_server.areas.status_pages.service.rendering import names_of, render
from mainstay_server.areas.status_pages.service.standing import overall_of
from mainstay_server.areas.status_pages.service.words import missing_words
from mainstay_server.contracts.status_pages import StatusReportOpened, StatusReportUpdated
from mainstay_server.kernel.markdown import to_html
from mainstay_server.kernel.problems import Conflict, Invalid
from mainstay_server.kernel.settings import ServerSettings, of, override_settings
from mainstay_server.kernel.subjects import Watched
from mainstay_server.kernel.watching import State
from tests.areas.status_pages.conftest import DAY, HOUR, MINUTE, NOON, SECRET_TARGET, Desk
from tests.conftest import Said

UTC_ZONE = ZoneInfo("UTC")
UP, DOWN, SLOW = ComponentStatus.OPERATIONAL, ComponentStatus.MAJOR_OUTAGE, ComponentStatus.DEGRADED


def stretch(status: ComponentStatus, start: datetime, end: datetime) -> Stretch:
    return Stretch(status=status, started_at=start, ended_at=end)


def test_a_bar_has_ninety_days_and_uptime_is_time() -> None:
    starts = days_until(NOON, UTC_ZONE)
    down_at = NOON - 2 * DAY

    bars = bars_of(
        [
            stretch(UP, NOON - 10 * DAY, down_at),
            stretch(DOWN, down_at, down_at + 2 * HOUR),
            stretch(UP, down_at + 2 * HOUR, NOON),
        ],
        [],
        starts,
        UTC_ZONE,
    )

    assert len(bars.days) == 90
    assert bars.days[-1].date == "2026-03-15"
    assert bars.days[-3].status == ComponentStatus.MAJOR_OUTAGE
    assert bars.days[-3].down_seconds == 7200
    assert bars.days[-3].up == round(22 / 24 * 100, 3)
    assert bars.days[-2].status == UP
    assert bars.days[-12].status == ComponentStatus.UNKNOWN
    assert bars.days[-12].up is None
    assert bars.uptime == pytest.approx((240 - 2) / 240 * 100)


def test_what_is_unknown_is_in_nobodys_uptime() -> None:
    starts = days_until(NOON, UTC_ZONE)

    bars = bars_of(
        [
            stretch(UP, NOON - 3 * HOUR, NOON - 2 * HOUR),
            stretch(ComponentStatus.UNKNOWN, NOON - 2 * HOUR, NOON - HOUR),
            stretch(DOWN, NOON - HOUR, NOON),
        ],
        [],
        starts,
        UTC_ZONE,
    )

    assert bars.uptime == 50


def test_an_outage_within_maintenance_is_maintenance() -> None:
    starts = days_until(NOON, UTC_ZONE)
    window = (NOON - 3 * HOUR, NOON - HOUR)

    bars = bars_of(
        [
            stretch(UP, NOON - 4 * HOUR, NOON - 2 * HOUR),
            stretch(DOWN, NOON - 2 * HOUR, NOON - HOUR),
            stretch(UP, NOON - HOUR, NOON),
        ],
        [window],
        starts,
        UTC_ZONE,
    )

    assert bars.uptime == 100
    assert bars.days[-1].status == ComponentStatus.MAINTENANCE
    assert bars.days[-1].maintenance_seconds == 7200
    assert bars.days[-1].down_seconds == 0


def test_a_short_outage_is_a_partial_one_and_slowness_is_seen_too() -> None:
    starts = days_until(NOON, UTC_ZONE)
    yesterday = NOON - DAY

    bars = bars_of(
        [
            stretch(UP, NOON - 2 * DAY, yesterday),
            stretch(DOWN, yesterday, yesterday + MINUTE),
            stretch(UP, yesterday + MINUTE, NOON - HOUR),
            stretch(SLOW, NOON - HOUR, NOON),
        ],
        [],
        starts,
        UTC_ZONE,
    )

    assert [day.status for day in bars.days[-2:]] == [ComponentStatus.PARTIAL_OUTAGE, SLOW]


@pytest.mark.parametrize(("zone", "hours"), [("Europe/Berlin", 23), ("UTC", 24)])
def test_a_day_is_as_long_as_the_clock_makes_it(zone: str, hours: int) -> None:
    now = datetime(2026, 3, 30, 12, tzinfo=ZoneInfo(zone))  # Berlin: the 29th has 23 hours

    starts = days_until(now, ZoneInfo(zone))

    assert starts[-2] - starts[-3] == timedelta(hours=hours)


def test_spans_that_overlap_or_touch_become_one() -> None:
    spans = [
        (NOON + HOUR, NOON + 2 * HOUR),
        (NOON, NOON + HOUR),
        (NOON + 4 * HOUR, NOON + 5 * HOUR),
    ]

    assert merged(spans) == [(NOON, NOON + 2 * HOUR), (NOON + 4 * HOUR, NOON + 5 * HOUR)]


def test_a_component_follows_what_it_is_bound_to(desk: Desk) -> None:
    desk.component("API", (State.HEALTHY, NOON - 50 * DAY), (State.UNHEALTHY, NOON - HOUR))
    desk.component("Shop", (State.HEALTHY, NOON - 50 * DAY))
    desk.component("Mail", (State.UNKNOWN, NOON - 50 * DAY))

    facts = desk.facts()

    assert [component.status for component in facts.components] == [
        ComponentStatus.MAJOR_OUTAGE,
        ComponentStatus.OPERATIONAL,
        ComponentStatus.UNKNOWN,
    ]
    assert facts.components[0].days[-1].down_seconds == 3600
    assert overall_of(facts).indicator is Impact.MAJOR


def test_all_that_is_known_down_is_critical_and_nothing_known_is_said(desk: Desk) -> None:
    desk.component("API", (State.UNHEALTHY, NOON - HOUR))
    assert overall_of(desk.facts()).indicator is Impact.CRITICAL

    desk.tower.known.clear()

    assert not overall_of(desk.facts()).is_known
    assert desk.facts().components[0].status == ComponentStatus.UNKNOWN


def test_a_status_by_hand_is_kept_as_spells(desk: Desk) -> None:
    shop = desk.component("Shop")
    down = {"status": "major_outage"}
    components.change_component(desk.session, desk.page, shop, down, now=NOON - 2 * HOUR)
    up = {"status": "operational"}
    components.change_component(desk.session, desk.page, shop, up, now=NOON - HOUR)

    (shown,) = desk.facts().components

    assert shown.status == ComponentStatus.OPERATIONAL
    assert shown.days[-1].down_seconds == 3600


def test_a_watched_component_is_not_set_by_hand(desk: Desk) -> None:
    api = desk.component("API", (State.HEALTHY, NOON - DAY))

    with pytest.raises(Conflict):
        components.change_component(
            desk.session, desk.page, api, {"status": "major_outage"}, now=NOON
        )


def test_a_component_cannot_be_bound_to_what_others_watch(desk: Desk) -> None:
    seen = desk.tower.see(desk.session, desk.instance, "API", (State.HEALTHY, NOON))
    stolen = {"name": "Theirs", "subject_id": seen.id}
    theirs = pages.create_page(
        desk.session, desk.instance.organization_id, name="x", slug="x", description="", now=NOON
    )
    theirs.organization_id = "another"
    with desk.session.no_autoflush, pytest.raises(Invalid):
        components.add_component(desk.session, theirs, stolen, now=NOON)
    desk.session.expunge(theirs)


def test_an_open_report_makes_a_component_worse_and_a_resolved_one_does_not(desk: Desk) -> None:
    api = desk.component("API", (State.HEALTHY, NOON - DAY))
    wanted = NewStatusReport(title="Slow", affected={api.id: "partial_outage"})
    report = reports.open_report(desk.session, desk.page, wanted, now=NOON - HOUR)
    assert desk.facts().components[0].status == ComponentStatus.PARTIAL_OUTAGE

    over = NewStatusUpdate(status=ReportStatus.RESOLVED, body="Done.")
    reports.update_report(desk.session, desk.page, report, over, now=NOON)

    facts = desk.facts()
    assert facts.components[0].status == ComponentStatus.OPERATIONAL
    assert facts.reports[0].resolved_at == NOON
    assert [update.status for update in facts.reports[0].updates] == ["resolved", "investigating"]


def test_a_report_cannot_affect_what_is_not_on_the_page(desk: Desk) -> None:
    wanted = NewStatusReport(title="Slow", affected={"0" * 36: "partial_outage"})

    with pytest.raises(Invalid):
        reports.open_report(desk.session, desk.page, wanted, now=NOON)


def test_an_announced_maintenance_begins_and_ends_by_itself(desk: Desk) -> None:
    api = desk.component("API", (State.HEALTHY, NOON - DAY))
    wanted = NewStatusMaintenance(
        title="Disks",
        component_ids=[api.id],
        starts_at=NOON + HOUR,
        ends_at=NOON + 2 * HOUR,
    )
    maintenances.announce(desk.session, desk.page, wanted, now=NOON)

    before, during, after = (desk.facts(NOON + hours * HOUR) for hours in (0.5, 1.5, 2.5))

    assert [facts.maintenances[0].status for facts in (before, during, after)] == [
        "scheduled",
        "in_progress",
        "completed",
    ]
    assert during.components[0].status == ComponentStatus.MAINTENANCE
    assert before.components[0].status == after.components[0].status == UP
    assert desk.facts(NOON + HOUR - timedelta(seconds=20)).changes_at == NOON + HOUR


@pytest.mark.parametrize(
    ("start", "end"), [(HOUR, HOUR), (HOUR, timedelta()), (timedelta(), 40 * DAY)]
)
def test_a_maintenance_ends_after_it_began_and_not_years_later(
    desk: Desk, start: timedelta, end: timedelta
) -> None:
    wanted = NewStatusMaintenance(title="Disks", starts_at=NOON + start, ends_at=NOON + end)

    with pytest.raises(Invalid):
        maintenances.announce(desk.session, desk.page, wanted, now=NOON)


def test_what_is_down_for_long_is_reported_once_and_closed_on_recovery(
    desk: Desk, said: Said
) -> None:
    desk.change(auto_report_minutes=5)
    desk.component("API", (State.HEALTHY, NOON - DAY), (State.UNHEALTHY, NOON))
    desk.component("*Shop* <b>", (State.HEALTHY, NOON - DAY), (State.UNHEALTHY, NOON + MINUTE))
    said()

    for minutes in (3, 5, 5.5, 6, 7):
        automatic.tend_reports(desk.session, now=NOON + minutes * MINUTE)
    opened = [event for event in said() if isinstance(event, StatusReportOpened)]
    (report,) = desk.facts(NOON + 8 * MINUTE).reports
    for one, watched in desk.tower.known.items():
        desk.tower.known[one] = _recovered(watched, NOON + 9 * MINUTE)
    automatic.tend_reports(desk.session, now=NOON + 9 * MINUTE)
    automatic.tend_reports(desk.session, now=NOON + 10 * MINUTE)

    assert [event.title for event in opened] == ["API is not available"]
    assert opened[0].automatic
    assert len(report.affected) == 2
    assert [update.body for update in report.updates] == [
        "**\\*Shop\\* \\<b\\>** cannot be reached either.",
        "Our monitoring noticed that **API** cannot be reached. We are looking into it.",
    ]
    (over,) = desk.facts(NOON + 10 * MINUTE).reports
    assert (over.status, over.resolved_at) == ("resolved", NOON + 9 * MINUTE)
    assert len([event for event in said() if isinstance(event, StatusReportUpdated)]) == 1


def test_an_automatic_report_that_is_opened_again_is_somebodys(desk: Desk) -> None:
    desk.change(auto_report_minutes=5)
    desk.component("API", (State.UNHEALTHY, NOON))
    automatic.tend_reports(desk.session, now=NOON + 5 * MINUTE)
    (first,) = reports.list_reports(desk.session, desk.page.id, limit=5)
    over = NewStatusUpdate(status=ReportStatus.RESOLVED)
    reports.update_report(desk.session, desk.page, first, over, now=NOON + 6 * MINUTE)
    automatic.tend_reports(desk.session, now=NOON + 7 * MINUTE)

    again = NewStatusUpdate(status=ReportStatus.INVESTIGATING)
    reports.update_report(desk.session, desk.page, first, again, now=NOON + 8 * MINUTE)
    automatic.tend_reports(desk.session, now=NOON + 9 * MINUTE)

    told = desk.facts(NOON + 9 * MINUTE).reports
    assert sorted(report.automatic for report in told) == [False, True]
    assert all(report.resolved_at is None for report in told)


def test_not_knowing_neither_opens_nor_closes_a_report(desk: Desk) -> None:
    desk.change(auto_report_minutes=5)
    desk.component("API", (State.UNHEALTHY, NOON))
    automatic.tend_reports(desk.session, now=NOON + 5 * MINUTE)
    (one,) = desk.tower.known
    desk.tower.known[one] = _in_state(desk.tower.known[one], State.UNKNOWN, NOON + 6 * MINUTE)

    automatic.tend_reports(desk.session, now=NOON + 7 * MINUTE)

    assert desk.facts(NOON + 8 * MINUTE).reports[0].resolved_at is None


def test_nothing_hidden_is_in_any_document(desk: Desk) -> None:
    """The name, address and reason of what is watched are the team's own business."""
    desk.change(auto_report_minutes=1)
    desk.component("API", (State.HEALTHY, NOON - DAY), (State.UNHEALTHY, NOON - HOUR))
    automatic.tend_reports(desk.session, now=NOON)
    facts = desk.facts()

    for name in names_of(facts):
        document = render(facts, name, base="", as_of=None)
        assert document is not None, name
        for hidden in (SECRET_TARGET, "internal-db", "hunter2", "8443"):
            assert hidden.encode() not in document.body, name


ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "{{ 71237 * 89123 }}",
    "[x](javascript:alert(1))",
    "![x](https://evil.example/p.png)",
    "<https://evil.example/onclick=>",
    "</title><script>alert(1)</script>",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_text_becomes_markup(desk: Desk, attack: str) -> None:
    desk.change(name=attack[:100], description=attack)
    group = components.add_group(desk.session, desk.page, attack, now=NOON)
    api = desk.component(attack, description=attack, group_id=group.id)
    wanted = NewStatusReport(title=attack, body=attack, affected={api.id: "partial_outage"})
    reports.open_report(desk.session, desk.page, wanted, now=NOON)
    planned = NewStatusMaintenance(
        title=attack,
        body=attack,
        component_ids=[api.id],
        starts_at=NOON + HOUR,
        ends_at=NOON + 2 * HOUR,
    )
    maintenances.announce(desk.session, desk.page, planned, now=NOON)
    facts = desk.facts()

    for name in ("", "history", f"incidents/{facts.reports[0].id}"):
        document = render(facts, name, base="", as_of=None)
        assert document is not None
        html = document.body.decode()
        for never in (
            "<script",
            "<img",
            "onerror=alert(1)>",
            "<svg onload",
            'href="javascript',
            "6348855151",
        ):
            assert never not in html.replace("&lt;", "").lower(), (name, never)


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("**bold** and `code`", "<p><strong>bold</strong> and <code>code</code></p>\n"),
        ("<b>no</b>", "<p>&lt;b&gt;no&lt;/b&gt;</p>\n"),
        (
            "[us](https://acme.example)",
            '<p><a href="https://acme.example" rel="nofollow noopener noreferrer">us</a></p>\n',
        ),
        ("", ""),
    ],
)
def test_markdown_is_a_few_harmless_tags(markdown: str, html: str) -> None:
    assert to_html(markdown) == html


def test_the_eight_documents_of_statuspage_have_their_members(desk: Desk) -> None:
    group = components.add_group(desk.session, desk.page, "Shop", now=NOON)
    api = desk.component("API", (State.UNHEALTHY, NOON - HOUR), group_id=group.id)
    wanted = NewStatusReport(
        title="Down", impact=Impact.MAJOR, body="Oh.", affected={api.id: "major_outage"}
    )
    reports.open_report(desk.session, desk.page, wanted, now=NOON)
    facts = desk.facts()

    documents = {}
    for name in statuspage.names():
        data = statuspage.document(facts, name)
        assert data is not None
        documents[name] = json.loads(data)

    assert {name: sorted(set(document) - {"page"}) for name, document in documents.items()} == {
        "summary.json": ["components", "incidents", "scheduled_maintenances", "status"],
        "status.json": ["status"],
        "components.json": ["components"],
        "incidents.json": ["incidents"],
        "incidents/unresolved.json": ["incidents"],
        "scheduled-maintenances.json": ["scheduled_maintenances"],
        "scheduled-maintenances/upcoming.json": ["scheduled_maintenances"],
        "scheduled-maintenances/active.json": ["scheduled_maintenances"],
    }
    summary = documents["summary.json"]
    assert summary["status"] == {"indicator": "critical", "description": "Major Service Outage"}
    assert summary["components"][0]["status"] == "major_outage"
    assert summary["components"][1]["components"] == [api.id]
    assert summary["incidents"][0]["incident_updates"][0]["body"] == "Oh."
    assert statuspage.document(facts, "postmortems.json") is None


def test_each_language_has_every_phrase() -> None:
    assert missing_words() == {"en": set(), "de": set()}


def test_a_page_speaks_its_language_and_zone(desk: Desk) -> None:
    desk.change(language="de", time_zone="Europe/Berlin")
    desk.component("API", (State.HEALTHY, NOON - DAY))

    document = render(desk.facts(), "", base="", as_of=None)

    assert document is not None
    assert '<html lang="de">' in document.body.decode()
    assert "Alle Systeme sind in Betrieb" in document.body.decode()
    assert "15. März 2026, 13:00 CET" in document.body.decode()


def test_an_accent_is_lightened_until_it_can_be_read_in_the_dark() -> None:
    assert contrast("#000000", "#ffffff") == 21
    assert contrast(lightened_to("#101080", against="#14181d"), "#14181d") >= 4.5


def test_a_host_cannot_take_the_dashboards_place(desk: Desk) -> None:
    with pytest.raises(Conflict, match="MAINSTAY_BASE_URL"):
        desk.change(host="status.acme.example")
    override_settings(
        of(ServerSettings).model_copy(update={"base_url": "https://mainstay.acme.example"})
    )
    with pytest.raises(Conflict, match="Mainstay itself"):
        desk.change(host="mainstay.acme.example")

    desk.change(host="status.acme.example")

    assert desk.facts().url == "https://status.acme.example"


def test_a_private_page_lets_somebody_in(desk: Desk) -> None:
    with pytest.raises(Invalid):
        desk.change(visibility="password")
    with pytest.raises(Invalid):
        desk.change(visibility="allowlist")
    desk.change(visibility="public")

    desk.change(visibility="password", password="correct horse")

    assert desk.page.password_hash.startswith("$argon2id$")


def _recovered(watched: Watched, at: datetime) -> Watched:
    return _in_state(watched, State.HEALTHY, at)


def _in_state(watched: Watched, state: State, at: datetime) -> Watched:
    return replace(watched, state=state, state_since=at)
