"""Matchers: what they mean, how they are read and written, and what no text can do to them."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainstay_server.kernel.matchers import (
    LONGEST_EXPRESSION,
    MOST_MATCHERS,
    Matcher,
    Operator,
    matcher_of,
    matches_all,
    parse_matchers,
    written,
)
from mainstay_server.kernel.problems import Invalid

DISK = {"alertname": "Disk full", "instance": "db-1", "severity": "critical", "path": "C:\\a"}
NAMES = st.text(min_size=1, max_size=8)
VALUES = st.text(max_size=12)


@pytest.mark.parametrize(
    "text",
    [
        'alertname="Disk full"',
        "alertname=Disk full",
        "{ alertname = Disk full , }",
        '{alertname="Disk full",instance=~"db-.*"}',
        "instance=~db-[0-9]",
        'instance=~"(db|web)-\\\\d"',
        'instance=~"(db|web)-\\d"',
        '"alertname"="Disk full"',
        'team!="web"',
        'team=""',
        'team!~".+"',
        'severity!~"info|warning"',
        'path="C:\\\\a"',
        "{}",
        "  ",
    ],
)
def test_matchers_mean_a_set_of_labels(text: str) -> None:
    assert matches_all(parse_matchers(text), DISK)


@pytest.mark.parametrize(
    "text",
    [
        'alertname="disk full"',
        'instance=~"db"',
        'instance=~"b-1"',
        'instance!~"db-.*"',
        'team="web"',
        'team=~".+"',
        'severity!="critical"',
        'alertname="Disk full",instance="db-2"',
    ],
)
def test_matchers_leave_out_what_differs_in_one_label_or_fits_in_part_only(text: str) -> None:
    assert not matches_all(parse_matchers(text), DISK)


@pytest.mark.parametrize(
    ("text", "place", "advice"),
    [
        ("alertname", 10, "write one of = != =~ !~"),
        ('alertname="a" severity="b"', 15, "write a comma"),
        ('alertname="a', 11, 'write " behind it'),
        ('="a"', 1, "write a matcher such as"),
        ('{alertname="a"', 1, "write } at the end"),
        ("alertname='a\"b'", 13, "in quotes"),
        ("'alertname'=a", 1, 'only " puts'),
        ('a="b",,', 7, "write a matcher such as"),
        ('a="b",job=~"(web"', 7, "syntax of RE2"),
        ('a=~"(?=b)"', 1, "syntax of RE2"),
        ('a=~"((x{1,999}){1,999}){1,999}"', 1, "syntax of RE2"),
        (f'a=~"{"x" * (LONGEST_EXPRESSION + 1)}"', 1, "make several"),
        (",".join(["a=b"] * (MOST_MATCHERS + 1)), 401, "leave some out"),
    ],
)
def test_a_refusal_tells_the_place_and_what_to_write(text: str, place: int, advice: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_matchers(text)

    assert refused.value.detail.startswith(f"At character {place} of the matchers: ")
    assert advice in refused.value.detail


def test_more_text_than_any_silence_needs_is_refused() -> None:
    with pytest.raises(Invalid, match="at most 20000 characters"):
        parse_matchers("a=" + "b" * 20_000)


def test_an_expression_that_hangs_other_engines_is_judged_in_a_moment() -> None:
    hostile = parse_matchers('a=~"(x+x+)+y"')
    value = "x" * 50_000
    began = time.process_time()

    assert not matches_all(hostile, {"a": value})

    assert time.process_time() - began < 5


@given(
    st.lists(
        st.builds(Matcher, NAMES, st.sampled_from([Operator.EQUAL, Operator.NOT_EQUAL]), VALUES)
        | st.builds(
            Matcher,
            NAMES,
            st.sampled_from([Operator.FITS, Operator.FITS_NOT]),
            VALUES.map(re.escape).filter(lambda text: len(text) < LONGEST_EXPRESSION),
        ),
        max_size=5,
    )
)
def test_what_is_written_is_read_alike_as_text_and_as_json(found: list[Matcher]) -> None:
    assert parse_matchers(written(found)) == tuple(found)
    assert [matcher_of(each.to_json()) for each in found] == found


@given(NAMES, VALUES, st.dictionaries(NAMES, VALUES, max_size=4))
def test_a_matcher_and_its_opposite_never_agree(
    name: str, value: str, labels: dict[str, str]
) -> None:
    equal = Matcher(name, Operator.EQUAL, value)
    differs = Matcher(name, Operator.NOT_EQUAL, value)

    assert equal.matches(labels) is not differs.matches(labels)
    assert equal.matches(labels) is (labels.get(name, "") == value)


@given(st.text(alphabet="ab.*|[]()", max_size=8), st.text(alphabet="ab.*|", max_size=6))
def test_an_expression_fits_a_value_as_python_says_it_fits_all_of_it(
    expression: str, value: str
) -> None:
    try:
        matcher = Matcher("a", Operator.FITS, expression)
        expected = re.fullmatch(f"(?:{expression})", value) is not None
    except (Invalid, re.error):
        return

    assert matcher.matches({"a": value}) is expected


@given(st.text(max_size=60) | st.text(alphabet='ab{}=!~,"\\ \n', max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_matchers(text)
    except Invalid:
        return

    assert parse_matchers(written(found)) == found
