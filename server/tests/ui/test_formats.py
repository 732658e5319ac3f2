from datetime import UTC, datetime, timedelta, timezone

import pytest
from mainstay_server.ui import formats

NOON = datetime(2025, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(seconds=3), "just now"),
        (timedelta(seconds=50), "1 min ago"),
        (timedelta(minutes=3), "3 min ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=5, minutes=50), "5 h ago"),
        (timedelta(days=2), "2 d ago"),
        (timedelta(days=65), "2 mo ago"),
        (timedelta(days=800), "2 y ago"),
        (timedelta(seconds=-30), "in a moment"),
        (timedelta(hours=-2), "in 2 h"),
    ],
)
def test_an_age_reads_in_its_largest_unit(age: timedelta, words: str) -> None:
    assert formats.age_in_words(age) == words


def test_ago_carries_the_utc_time_whatever_zone_it_came_in() -> None:
    east = timezone(timedelta(hours=2))

    element = formats.ago(datetime(2025, 11, 21, 13, 57, tzinfo=east), now=NOON)

    assert element == (
        '<relative-time><time datetime="2025-11-21T11:57:00Z" title="2025-11-21 11:57:00 UTC">'
        "3 min ago</time></relative-time>"
    )


def test_clock_time_is_absolute() -> None:
    assert ">21 Nov 2025, 12:00:00</time>" in formats.clock_time(NOON)


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (0, "0 ms"),
        (0.25, "0.25 ms"),
        (340, "340 ms"),
        (999.7, "1 s"),
        (1234, "1.2 s"),
        (59_990, "1 m"),
        (300_000, "5 m"),
        (184_000, "3 m 4 s"),
        (7_500_000, "2 h 5 m"),
        (4 * 86_400_000 + 3 * 3_600_000, "4 d 3 h"),
    ],
)
def test_a_duration_reads_in_one_or_two_units(milliseconds: float, words: str) -> None:
    assert formats.duration_ms(milliseconds) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0"), (950, "950"), (999.6, "1k"), (1234, "1.2k"), (3_400_000, "3.4M"), (-1500, "-1.5k")],
)
def test_a_count_keeps_the_digits_that_matter(number: float, words: str) -> None:
    assert formats.compact(number) == words


def test_bytes_count_in_1024() -> None:
    assert [formats.bytes_(size) for size in (512, 1536, 5 * 1024**3)] == [
        "512 B",
        "1.5 KB",
        "5 GB",
    ]


def test_a_time_range_is_in_days_from_two_on() -> None:
    assert [formats.time_range(hours) for hours in (1, 24, 36, 168)] == [
        "1 h",
        "24 h",
        "36 h",
        "7 days",
    ]


def test_a_percentage_never_rounds_an_outage_away() -> None:
    assert formats.percent(99.996, 2) == "99.99 %"
    assert formats.percent(100.0, 2) == "100 %"
    assert formats.percent(99.9, 0) == "99 %"
    assert formats.percent(0.29) == "0.3 %"
    assert formats.percent(1.96) == "2 %"
    assert formats.percent(0.01) == "< 0.1 %"
    assert formats.percent(0.0) == "0 %"


def test_plural_takes_the_irregular_form_when_given() -> None:
    assert formats.plural(1, "entry", "entries") == "1 entry"
    assert formats.plural(1200, "entry", "entries") == "1,200 entries"
    assert formats.plural(0, "error") == "0 errors"


def test_nothing_is_an_en_dash_everywhere() -> None:
    nothings = [
        formats.ago(None, now=NOON),
        formats.clock_time(None),
        formats.duration_ms(None),
        formats.compact(None),
        formats.percent(None),
        formats.plural(None, "error"),
        formats.bytes_(None),
    ]
    assert set(nothings) == {"\N{EN DASH}"}
