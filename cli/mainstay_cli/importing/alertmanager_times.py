"""Alertmanager's time intervals, as the quiet times of a route: minutes of a week on one clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .drafts import Draft, Unreadable
from .lined import Settings

WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
OURS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY = 24 * 60
MINUTES_AN_HOUR = 60
MOST_SPANS = 20
LONGEST_TIMES = 500
INTERVAL_FIELDS = frozenset(
    {"times", "weekdays", "days_of_month", "months", "years", "location", "end_time", "start_time"}
)
NAMED_FIELDS = frozenset({"name", "time_intervals"})
TIME_FIELDS = frozenset({"start_time", "end_time"})
# What a week does not know, with the words that mean always.
BEYOND_A_WEEK = {"days_of_month": ("1:31",), "months": ("1:12", "january:december"), "years": ()}

Week = tuple[tuple[bool, ...], ...]
NEVER: Week = ((False,) * DAY,) * 7


@dataclass(frozen=True)
class Interval:
    """One entry: minutes of the week (0 is Monday) on a clock; `lacks` is why it is not all."""

    week: Week
    zone: str
    lacks: str = ""


def read_intervals(told: Settings) -> Mapping[str, Sequence[Interval]]:
    """Every named interval of a file. Raises `Unreadable`."""
    found: dict[str, Sequence[Interval]] = {}
    for key in ("time_intervals", "mute_time_intervals"):
        for named in told.sections(key):
            named.only(NAMED_FIELDS, "a time interval")
            name = named.text("name")
            if not name or name in found:
                named.refuse("name", "a time interval needs a name of its own")
            found[name] = [_interval(entry) for entry in named.sections("time_intervals")]
    return found


def quiet_of(
    draft: Draft,
    about: str,
    mute: Sequence[str],
    active: Sequence[str],
    known: Mapping[str, Sequence[Interval]],
) -> tuple[str, str]:
    """When a route is quiet, and on which clock; what a week cannot say is noted and not quiet."""
    quiet = [each for name in mute for each in known[name]]
    open_ = [each for name in active for each in known[name]]
    if lacking := [each.lacks for each in open_ if each.lacks]:
        draft.note(about, f"active_time_intervals: {lacking[0]}; it is told at all times now")
        open_, active = [], []
    for lacks in dict.fromkeys(each.lacks for each in quiet if each.lacks):
        draft.note(
            about,
            f"mute_time_intervals: {lacks}; it is told then too: plan maintenance for such days",
        )
    quiet = [each for each in quiet if not each.lacks]
    zones = list(dict.fromkeys(each.zone for each in [*quiet, *open_]))
    if len(zones) > 1:
        draft.note(
            about,
            f"its intervals are on the clocks of {', '.join(zones)}, a route has one;"
            " it is never quiet now: write muteTimes by hand",
        )
        return "", "UTC"
    week = _either([each.week for each in quiet])
    if active:
        week = _either([week, _not(_either([each.week for each in open_]))])
    times = _told(week)
    if len(times) > LONGEST_TIMES or times.count(",") >= MOST_SPANS:
        draft.note(about, f"is quiet at more than {MOST_SPANS} times a week; write fewer by hand")
        return "", "UTC"
    zone = zones[0] if zones else "UTC"
    if zone == "Local":
        draft.note(about, "is on the clock of Alertmanager's machine; check timeZone, UTC now")
        zone = "UTC"
    return times, zone


def _interval(told: Settings) -> Interval:
    told.only(INTERVAL_FIELDS, "an entry of time_intervals")
    lacks = [
        f"line {told.line_of(key)}, a week has no {key}"
        for key, always in BEYOND_A_WEEK.items()
        if told.texts(key) and not set(told.texts(key)) <= set(always)
    ]
    minutes = [False] * DAY
    spans = told.sections("times")
    for span in spans:
        span.only(TIME_FIELDS, "an entry of times")
        begin, end = _minute(span, "start_time"), _minute(span, "end_time")
        if begin >= end:
            span.refuse("end_time", "a time ends after it begins; write a night as two times")
        minutes[begin:end] = [True] * (end - begin)
    day = tuple(minutes) if spans else (True,) * DAY
    days = {day for text in told.texts("weekdays") for day in _days(told, text)} or set(range(7))
    week = tuple(day if number in days else NEVER[0] for number in range(7))
    return Interval(week, told.text("location") or "UTC", lacks[0] if lacks else "")


def _days(told: Settings, text: str) -> list[int]:
    first, _, last = text.strip().lower().partition(":")
    try:
        begin, end = WEEKDAYS.index(first.strip()), WEEKDAYS.index((last or first).strip())
    except ValueError:
        told.refuse("weekdays", "weekdays are named as monday or monday:friday")
    if begin > end:
        told.refuse("weekdays", "a range of weekdays goes from Sunday towards Saturday")
    return [(day - 1) % 7 for day in range(begin, end + 1)]


def _minute(told: Settings, key: str) -> int:
    hours, colon, minutes = told.text(key).partition(":")
    if not (colon and hours.isdecimal() and minutes.isdecimal() and len(minutes) == len("00")):
        told.refuse(key, f"{key} is written as '09:30'")
    found = int(hours[-3:]) * MINUTES_AN_HOUR + int(minutes)
    if int(minutes) >= MINUTES_AN_HOUR or found > DAY:
        told.refuse(key, f"{key} is no time of a day")
    return found


def _either(weeks: Sequence[Week]) -> Week:
    return tuple(
        tuple(map(any, zip(*(week[day] for week in weeks), strict=True))) if weeks else NEVER[day]
        for day in range(7)
    )


def _not(week: Week) -> Week:
    return tuple(tuple(not minute for minute in day) for day in week)


def _told(week: Week) -> str:
    """A week's minutes as the quiet times of a route: `Mon-Fri 00:00-08:00, Sat-Sun`."""
    spans: dict[tuple[int, int], list[int]] = {}
    for number, day in enumerate(week):
        padded = (False, *day, False)
        edges = [at for at, (before, after) in enumerate(pairwise(padded)) if before != after]
        for begin, end in zip(edges[::2], edges[1::2], strict=True):
            spans.setdefault((begin, end), []).append(number)
    return ", ".join(
        f"{days}{_clock(span)}" for span, numbers in spans.items() for days in _runs(numbers)
    )


def _runs(days: Sequence[int]) -> list[str]:
    runs: list[list[int]] = []
    for day in days:
        if runs and day == runs[-1][-1] + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return [OURS[run[0]] + (f"-{OURS[run[-1]]}" if len(run) > 1 else "") for run in runs]


def _clock(span: tuple[int, int]) -> str:
    if span == (0, DAY):
        return ""
    begin, end = (f"{at // MINUTES_AN_HOUR:02}:{at % MINUTES_AN_HOUR:02}" for at in span)
    return f" {begin}-{end}"


def check_known(told: Settings, key: str, known: Mapping[str, Sequence[Interval]]) -> list[str]:
    """The names of intervals at a key. Raises `Unreadable` for one that is not there."""
    names = told.texts(key)
    for name in names:
        if name not in known:
            raise Unreadable(f"Line {told.line_of(key)}: there is no time interval {name!r}.")
    return names
