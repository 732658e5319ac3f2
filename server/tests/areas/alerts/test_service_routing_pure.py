"""Pacing, muting, inhibiting, choosing: truth tables over a clock, with nothing around them."""

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mainstay_server.areas.alerts.models import Severity
from mainstay_server.areas.alerts.service.routing import choosing, inhibiting, muting, pacing
from mainstay_server.areas.alerts.service.routing.choosing import Ear, Route
from mainstay_server.areas.alerts.service.routing.muting import Quiet
from mainstay_server.areas.alerts.service.routing.pacing import Entry, Pace, Reason
from mainstay_server.kernel.matchers import parse_matchers
from mainstay_server.kernel.problems import Invalid

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
NOTHING = timedelta(0)


@pytest.mark.parametrize(
    ("told", "over", "firing", "resolved", "repeat", "reason"),
    [
        # told minutes ago, its end told, may be told as lasting, has ended, repeat in minutes
        (None, False, True, False, 0, Reason.OPENED),
        (None, False, True, False, 60, Reason.OPENED),
        (None, False, False, True, 0, None),  # over before it was told
        (None, False, False, False, 0, None),  # held back
        (None, True, True, False, 60, None),
        (5, False, True, False, 0, None),
        (5, False, False, True, 0, Reason.RESOLVED),
        (5, False, True, True, 1, Reason.RESOLVED),  # an end before any repetition
        (59, False, True, False, 60, None),
        (60, False, True, False, 60, Reason.REPEAT),
        (600, False, False, False, 60, None),  # taken in hand
        (600, True, True, False, 60, None),
        (600, True, False, True, 60, None),
    ],
)
def test_a_channel_is_told_what_it_does_not_know(
    told: int | None,
    over: bool,  # noqa: FBT001
    firing: bool,  # noqa: FBT001
    resolved: bool,  # noqa: FBT001
    repeat: int,
    reason: Reason | None,
) -> None:
    entry = Entry(told_at=None if told is None else NOON - told * MINUTE, is_over=over)
    found = pacing.needs_update(
        entry, firing=firing, resolved=resolved, repeat=repeat * MINUTE, now=NOON
    )
    assert found is reason


@pytest.mark.parametrize(
    ("told", "waiting", "wait", "interval", "due"),
    [
        # seconds: told ago, waiting until, group wait, group interval, due in
        (None, None, 0, 60, 0),  # the first leaves at once
        (None, None, 30, 60, 30),
        (10, None, 0, 60, 50),  # what follows is gathered
        (10, None, 30, 60, 50),
        (50, None, 30, 60, 30),
        (60, None, 0, 60, 0),  # a quiet group again
        (3600, None, 30, 60, 30),
        (10, 50, 0, 60, 50),  # with those that wait
        (None, 7, 30, 60, 7),
        (10, None, 0, 0, 0),  # nothing is gathered
        (-7200, None, 0, 60, 60),  # the clock was set back by two hours since
        (10, 7200, 0, 60, 60),
        (None, 7200, 90, 60, 90),
    ],
)
def test_the_first_of_a_group_leaves_and_the_others_are_gathered(
    told: int | None, waiting: int | None, wait: int, interval: int, due: int
) -> None:
    seconds = timedelta(seconds=1)
    found = pacing.opening_due(
        told_at=None if told is None else NOON - told * seconds,
        waiting_until=None if waiting is None else NOON + waiting * seconds,
        pace=Pace(wait=wait * seconds, interval=interval * seconds),
        now=NOON,
    )
    assert found == NOON + due * seconds


@pytest.mark.parametrize(
    ("others", "waiting", "due"),
    [
        (False, None, 0),
        (False, 40, 0),
        (True, None, 60),
        (True, 5, 5),
        (True, 7200, 60),  # the clock was set back by two hours since
    ],
)
def test_ends_are_told_when_nothing_stands_any_more_or_an_interval_has_passed(
    others: bool,  # noqa: FBT001
    waiting: int | None,
    due: int,
) -> None:
    until = None if waiting is None else NOON + timedelta(seconds=waiting)
    pace = Pace(interval=MINUTE)
    found = pacing.ending_due(others_stand=others, waiting_until=until, pace=pace, now=NOON)
    assert found == NOON + timedelta(seconds=due)


def test_a_group_is_known_by_its_chosen_labels_alone() -> None:
    one = pacing.group_key({"a": "1", "b": "2", "c": "3"}, ("b", "a", "b"))
    same = pacing.group_key({"c": "4", "b": "2", "a": "1"}, ("a", "b"))
    other = pacing.group_key({"a": "1", "b": ""}, ("a", "b"))
    absent = pacing.group_key({"a": "1"}, ("a", "b"))
    assert one == same
    assert one[0] != other[0]
    assert other == absent


@pytest.mark.parametrize(
    ("times", "at", "quiet"),
    [
        ("Mon-Fri 18:00-08:00", "2026-03-02T17:59", False),  # a Monday
        ("Mon-Fri 18:00-08:00", "2026-03-02T18:00", True),
        ("Mon-Fri 18:00-08:00", "2026-03-03T07:59", True),
        ("Mon-Fri 18:00-08:00", "2026-03-03T08:00", False),
        ("Mon-Fri 18:00-08:00", "2026-03-07T07:59", True),  # Friday night reaches into Saturday
        ("Mon-Fri 18:00-08:00", "2026-03-07T18:00", False),
        ("Mon-Fri 18:00-08:00", "2026-03-02T07:00", False),  # Sunday night is none of it
        ("Sat-Sun", "2026-03-07T00:00", True),
        ("Sat-Sun", "2026-03-08T23:59", True),
        ("Sat-Sun", "2026-03-09T00:00", False),
        ("Fri-Mon 10:00-11:00", "2026-03-01T10:30", True),  # over the end of the week
        ("Fri-Mon 10:00-11:00", "2026-03-05T10:30", False),
        ("wed 22:00-24:00", "2026-03-04T23:59", True),
        ("wed 22:00-24:00", "2026-03-05T00:00", False),
        ("", "2026-03-04T23:59", False),
    ],
)
def test_times_of_the_week_are_those_on_the_wall(times: str, at: str, quiet: bool) -> None:  # noqa: FBT001
    zone = "Europe/Berlin"
    now = datetime.fromisoformat(at).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    assert muting.is_within(times, zone, now) is quiet


def test_a_night_is_an_hour_shorter_when_clocks_are_put_forward() -> None:
    # In Berlin the clock jumps from 02:00 to 03:00 on 29 March 2026.
    begins = datetime(2026, 3, 28, 21, tzinfo=UTC)  # 22:00 there
    quiet = [
        minute
        for minute in range(-60, 11 * 60)
        if muting.is_within("Sat 22:00-06:00", "Europe/Berlin", begins + minute * MINUTE)
    ]
    assert quiet == list(range(7 * 60))


@given(
    st.sampled_from(muting.DAYS), st.integers(0, 1439), st.integers(0, 1440), st.integers(0, 10_079)
)
@settings(max_examples=300, deadline=None)
def test_a_span_holds_as_many_minutes_of_a_week_as_it_is_long(
    day: str, begins: int, ends: int, minute: int
) -> None:
    if begins == ends:
        return
    text = f"{day} {begins // 60:02}:{begins % 60:02}-{ends // 60:02}:{ends % 60:02}"
    start = 1440 * muting.DAYS.index(day) + begins
    length = (ends - begins) if ends > begins else 1440 - begins + ends
    monday = datetime(2026, 3, 2, tzinfo=UTC)
    expected = (minute - start) % 10_080 < length
    assert muting.is_within(text, "UTC", monday + minute * MINUTE) is expected


@pytest.mark.parametrize(
    "times",
    [
        "Mon-Fry 10:00-11:00",
        "Mon 25:00-26:00",
        "Mon 10:60-11:00",
        "Mon 10:00-10:00",
        "nights",
        "Mon 10:00",
        "Mon," * 21,
        "Mon 24:00-02:00",
        "Mon" + " " * 600,
    ],
)
def test_times_that_cannot_be_read_are_refused_with_how_to_write_them(times: str) -> None:
    with pytest.raises(Invalid, match="Mon-Fri 18:00-08:00, Sat-Sun"):
        muting.spans_of(times)


def test_a_zone_that_is_none_is_refused() -> None:
    for zone in ("Mars/Olympus", "../etc/passwd", "", "x" * 300):
        with pytest.raises(Invalid, match="Europe/Berlin"):
            muting.zone_of(zone)


def test_what_is_muted_says_until_when() -> None:
    assert Quiet(until=NOON + HOUR).why(NOON) == "muted until 1 Mar 2026, 13:00 UTC"
    assert Quiet(until=NOON).why(NOON) == ""
    assert Quiet(times="Sun", zone="Asia/Tokyo").why(NOON) == "muted Sun (Asia/Tokyo)"


RULE = inhibiting.Inhibition(
    name="a data centre mutes what is in it",
    source=parse_matchers('alertname="datacentre_down"'),
    target=parse_matchers('severity=~"warning|critical"'),
    equal=("datacentre",),
)
CENTRE = {"alertname": "datacentre_down", "severity": "critical", "datacentre": "north"}


@pytest.mark.parametrize(
    ("labels", "muted"),
    [
        ({"alertname": "slow", "severity": "warning", "datacentre": "north"}, True),
        ({"alertname": "slow", "severity": "warning", "datacentre": "south"}, False),
        ({"alertname": "slow", "severity": "warning"}, False),
        ({"alertname": "slow", "severity": "info", "datacentre": "north"}, False),
        (CENTRE, False),  # what fits both sides is not muted by its like
    ],
)
def test_a_graver_alert_mutes_what_follows_from_it(labels: dict[str, str], muted: bool) -> None:  # noqa: FBT001
    sources = [inhibiting.Source("a", "The north is down", CENTRE)]
    found = inhibiting.inhibited_by("b", labels, sources, [RULE])
    assert (found is not None) is muted


def test_no_alert_mutes_itself() -> None:
    loose = inhibiting.Inhibition(name="all", source=(), target=(), equal=())
    source = inhibiting.Source("a", "A", {"alertname": "one"})
    assert inhibiting.inhibited_by("a", source.labels, [source], [loose]) is None


@pytest.mark.parametrize(
    ("source", "target", "muted"),
    [
        (
            {"severity": "critical", "health_check": "1"},
            {"severity": "warning", "health_check": "1"},
            True,
        ),
        (
            {"severity": "critical", "health_check": "1"},
            {"severity": "warning", "health_check": "2"},
            False,
        ),
        (
            {"severity": "critical", "health_check": "1"},
            {"severity": "critical", "health_check": "1"},
            False,
        ),
        (
            {"severity": "warning", "health_check": "1"},
            {"severity": "info", "health_check": "1"},
            False,
        ),
        ({"severity": "critical"}, {"severity": "warning"}, False),  # about nothing in particular
        (
            {"severity": "critical", "heartbeat": "1"},
            {"severity": "warning", "health_check": "1"},
            False,
        ),
    ],
)
def test_by_default_a_critical_alert_mutes_milder_ones_of_the_same_thing(
    source: dict[str, str],
    target: dict[str, str],
    muted: bool,  # noqa: FBT001
) -> None:
    sources = [inhibiting.Source("a", "A", source)]
    found = inhibiting.inhibited_by("b", target, sources, inhibiting.DEFAULTS)
    assert (found is not None) is muted
    assert inhibiting.may_be_inhibited(target, inhibiting.DEFAULTS) or not muted


def route(name: str, matchers: str, *channels: str, goes_on: bool = False) -> Route:
    return Route(
        id=name,
        name=name,
        matchers=parse_matchers(matchers),
        channel_ids=channels,
        goes_on=goes_on,
    )


def ear(name: str, *, minimum: Severity = Severity.INFO, instance: str | None = None) -> Ear:
    return Ear(id=name, instance_id=instance, enabled=True, minimum=minimum)


def hearers(labels: dict[str, str], routes: list[Route], ears: list[Ear]) -> list[str]:
    severity = Severity(labels.get("severity", "critical"))
    return [
        verdict.ear.id + (f" by {verdict.route.name}" if verdict.route else "")
        for verdict in choosing.judge(labels, ("here", severity), routes, ears)
        if verdict.hears
    ]


EARS = [ear("pager"), ear("slack"), ear("mail")]
CRITICAL, WARNING = {"severity": "critical"}, {"severity": "warning"}


@pytest.mark.parametrize(
    ("labels", "routes", "heard"),
    [
        (CRITICAL, [], ["pager", "slack", "mail"]),
        # A channel that a route names hears by routes only.
        (CRITICAL, [route("a", "severity=critical", "pager")], ["pager by a", "slack", "mail"]),
        (WARNING, [route("a", "severity=critical", "pager")], ["slack", "mail"]),
        # Up to the first that fits, or further where it goes on.
        (CRITICAL, [route("a", "", "pager"), route("b", "", "slack", "mail")], ["pager by a"]),
        (
            CRITICAL,
            [route("a", "", "pager", goes_on=True), route("b", "", "slack", "mail")],
            ["pager by a", "slack by b", "mail by b"],
        ),
        # Each channel once, by the first route that leads to it.
        (
            CRITICAL,
            [route("a", "", "pager", goes_on=True), route("b", "", "pager", "slack", "mail")],
            ["pager by a", "slack by b", "mail by b"],
        ),
        (
            WARNING,
            [route("a", "severity=critical", "pager"), route("b", "severity!=critical", "slack")],
            ["slack by b", "mail"],
        ),
        (WARNING, [route("a", "team=~web.*", "pager", "slack", "mail")], []),
    ],
)
def test_routes_are_read_in_order(
    labels: dict[str, str], routes: list[Route], heard: list[str]
) -> None:
    assert hearers(labels, routes, EARS) == heard


def test_reach_and_least_severity_hold_for_routed_channels_too() -> None:
    ears = [ear("near", instance="here"), ear("far", instance="there")]
    ears.append(ear("grave", minimum=Severity.CRITICAL))
    every = [route("all", "", "near", "far", "grave")]
    assert hearers(WARNING, every, ears) == ["near by all"]
    found = choosing.judge(WARNING, ("here", Severity.WARNING), every, ears)
    assert [verdict.why for verdict in found] == [
        "by the route 'all'",
        "it is of another instance",
        "it hears from severity critical on",
    ]


def test_a_channel_that_hears_nothing_says_where_the_search_ended() -> None:
    routes = [route("first", "", "pager"), route("second", "", "slack")]
    found = choosing.judge(CRITICAL, ("here", Severity.CRITICAL), routes, EARS)
    assert found[1].why == "no route that names it fits; the search ended at the route 'first'"


# An oracle of a group, minute by minute and written from the promise: a first alert leaves at once,
# what follows within an interval is gathered, nothing waits longer than one.
@given(
    st.lists(st.integers(0, 3_600), min_size=1, max_size=60).map(sorted),
    st.integers(0, 120),
    st.integers(0, 300),
)
@settings(max_examples=300, deadline=None)
def test_gathering_tells_all_in_time_and_seldom(
    arrivals: list[int], wait: int, interval: int
) -> None:
    pace = Pace(wait=timedelta(seconds=wait), interval=timedelta(seconds=interval))
    told_at: datetime | None = None
    due: datetime | None = None
    waiting: list[datetime] = []
    messages: list[datetime] = []
    delays: list[timedelta] = []

    def leave(at: datetime) -> None:
        nonlocal told_at, due
        messages.append(at)
        delays.extend(at - one for one in waiting)
        waiting.clear()
        told_at, due = at, None

    for second in arrivals:
        now = NOON + timedelta(seconds=second)
        if due is not None and due <= now:
            leave(due)
        waiting.append(now)
        due = pacing.opening_due(told_at=told_at, waiting_until=due, pace=pace, now=now)
        if due <= now:
            leave(now)
    if due is not None:
        leave(due)

    assert len(delays) == len(arrivals)
    assert max(delays) <= max(pace.wait, pace.interval)
    assert delays[0] == pace.wait
    gaps = [later - earlier for earlier, later in itertools.pairwise(messages)]
    assert all(gap >= pace.interval for gap in gaps)
