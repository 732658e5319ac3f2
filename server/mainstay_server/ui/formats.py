"""Values as people read them: pure functions, used as filters. `None` becomes an en dash."""

from datetime import UTC, datetime, timedelta

from markupsafe import Markup

NOTHING = "–"  # noqa: RUF001  # the typographic sign for "no value"
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_AGES = (
    (_HOUR, _MINUTE, "min"),
    (_DAY, _HOUR, "h"),
    (30 * _DAY, _DAY, "d"),
    (365 * _DAY, 30 * _DAY, "mo"),
)
_JUST_NOW_SECONDS = 45
_MOMENT_SECONDS = 5
_TENS, _HUNDREDS = 10, 100
WHOLE = 100.0


def age_in_words(age: timedelta) -> str:
    """`3 min ago`, `in 2 h`, `just now`; the same words as `<relative-time>` in the browser."""
    seconds = age.total_seconds()
    away = abs(seconds)
    if away < _JUST_NOW_SECONDS:
        return "in a moment" if seconds < -_MOMENT_SECONDS else "just now"
    size, unit = next(
        ((size, unit) for limit, size, unit in _AGES if away < limit), (365 * _DAY, "y")
    )
    amount = f"{max(1, int(away // size))} {unit}"
    return f"in {amount}" if seconds < 0 else f"{amount} ago"


def ago(moment: datetime | None, *, now: datetime) -> str:
    """An element that says how long ago, keeps itself fresh, and has the UTC time as its title."""
    if moment is None:
        return NOTHING
    return Markup(
        '<relative-time><time datetime="{iso}" title="{title}">{words}</time></relative-time>'
    ).format(iso=_iso(moment), title=_absolute(moment), words=age_in_words(now - moment))


def clock_time(moment: datetime | None) -> str:
    """The absolute time in UTC: `21 Nov 2025, 14:05:09`, with the full one as title."""
    if moment is None:
        return NOTHING
    return Markup('<time datetime="{iso}" title="{title}">{words}</time>').format(
        iso=_iso(moment),
        title=_absolute(moment),
        words=f"{moment.astimezone(UTC):%-d %b %Y, %H:%M:%S}",
    )


def duration_ms(milliseconds: float | None) -> str:
    """`340 ms`, `1.2 s`, `3 m 4 s`, `5 m`, `2 h 5 m`, `4 d 3 h`."""
    if milliseconds is None:
        return NOTHING
    if abs(milliseconds) < 999.5:  # noqa: PLR2004  # rounds to a whole second from here
        return f"{_short(milliseconds)} ms"
    if abs(milliseconds) < 59_950:  # noqa: PLR2004  # rounds to a whole minute from here
        return f"{_short(milliseconds / 1000)} s"
    seconds = round(milliseconds / 1000)
    if seconds < _HOUR:
        return _two(seconds // _MINUTE, "m", seconds % _MINUTE, "s")
    if seconds < _DAY:
        return _two(seconds // _HOUR, "h", seconds % _HOUR // _MINUTE, "m")
    return _two(seconds // _DAY, "d", seconds % _DAY // _HOUR, "h")


def compact(number: float | None) -> str:
    """`950`, `1.2k`, `3.4M`, `5B`."""
    return NOTHING if number is None else _scaled(number, 1000, ("", "k", "M", "B", "T"))


def bytes_(size: float | None) -> str:
    """`512 B`, `1.5 KB`, `3.4 GB`; 1 KB is 1024 B."""
    return (
        NOTHING if size is None else _scaled(size, 1024, (" B", " KB", " MB", " GB", " TB", " PB"))
    )


def time_range(hours: int) -> str:
    """`24 h`, or `7 days` of more than one whole day."""
    days, rest = divmod(hours, 24)
    return f"{days} days" if days > 1 and not rest else f"{hours} h"


def percent(share: float | None, digits: int = 1) -> str:
    """`99.95 %` of a value that is already in percent.

    Rounded, but never up to 100 (99.996 must not read as "no outage") nor down to nothing.
    """
    if share is None:
        return NOTHING
    smallest = 10.0**-digits
    shown = round(share, digits)
    if share < WHOLE <= shown:
        shown = WHOLE - smallest
    if share > 0 and shown == 0:
        return f"< {smallest:.{digits}f} %"
    text = f"{shown:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if digits else text) + " %"


def plural(count: int | None, one: str, many: str = "") -> str:
    """`1 error`, `2 errors`, `0 entries` (give `many` where an s is not enough)."""
    if count is None:
        return NOTHING
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"


def _scaled(number: float, base: int, names: tuple[str, ...]) -> str:
    size = float(number)
    step = 0
    while abs(size) >= base - 0.5 and step < len(names) - 1:
        size /= base
        step += 1
    return _short(size) + names[step]


def _short(value: float) -> str:
    """At most three digits that matter: 340, 12, 1.2; and 0.04 rather than 0."""
    size = abs(value)
    if size >= _TENS or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if size >= 1 else f"{value:.2g}"


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _absolute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
