"""Conditions: each operator and function, resolved when it fails, and told where it is wrong."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainstay_server.kernel.conditions import ConditionError, Duration, judge, names_in, parse

HOUR_MS = 3_600_000.0
BODY = {
    "status": "UP",
    "ok": True,
    "nothing": None,
    "version": "1.10",
    "odd-name": "with a hyphen",
    "data": {"items": [{"id": 3, "name": "tea"}, {"id": 4, "name": "cup, blue"}]},
    "empty": [],
}
VALUES = {
    "STATUS": 200,
    "RESPONSE_TIME": 84.25,
    "CONNECTED": True,
    "IP": "127.0.0.1",
    "BODY": json.dumps(BODY).encode(),
    "HEADER": {"content-type": "application/json", "x-version": "7"},
    "SIZE": 312,
    "CERTIFICATE_EXPIRATION": Duration(36 * HOUR_MS),
    "DNS_RCODE": "NOERROR",
}


@pytest.mark.parametrize(
    "text",
    [
        "[STATUS] == 200",
        "[STATUS] < 300",
        "200 == [STATUS]",
        "[STATUS] == any(200, 429)",
        "any(200, 429) == [STATUS]",
        "[STATUS] != any(404, 500)",
        "[RESPONSE_TIME] < 500",
        "[RESPONSE_TIME] <= 1.5s",
        "[RESPONSE_TIME] > 84",
        "[CONNECTED]",
        "[CONNECTED] == true",
        "[IP] == 127.0.0.1",
        "[SIZE] >= 312",
        "[BODY].status == UP",
        "[BODY].status == 'UP'",
        "[BODY].status == any(UP, WARNING)",
        "[BODY].ok",
        "[BODY].ok == true",
        "[BODY].nothing == null",
        "[BODY].odd-name == with a hyphen",
        '[BODY]["odd-name"] == "with a hyphen"',
        "[BODY].data.items[0].id == 3",
        "[BODY].data.items[-1].id == 4",
        "[BODY].data.items[1].name == any('tea', \"cup, blue\")",
        "[BODY].data.items[*].id contains 4",
        "[BODY].data.items[?@.id == 4].name contains 'cup, blue'",
        "len([BODY].data.items) == 2",
        "len([BODY].empty) == 0",
        "len([BODY].status) == 2",
        "has([BODY].data)",
        "has([BODY].errors) == false",
        '[BODY] contains "UP"',
        "[BODY] not contains Down",
        "[BODY].data contains items",
        "[BODY] == pat(*tea*)",
        "[BODY].status == pat(U?)",
        '[BODY].version matches "^1\\.[0-9]+$"',
        "[BODY].version not matches ^2",
        "[BODY].version == 1.10",
        "[HEADER].content-type contains json",
        "[HEADER].X-Version == 7",
        "[HEADER]['x-version'] == 7",
        "[CERTIFICATE_EXPIRATION] > 24h",
        "[CERTIFICATE_EXPIRATION] < 1d13h",
        "[DNS_RCODE] == NOERROR",
        "[BODY].missing != 3",
    ],
)
def test_it_holds(text: str) -> None:
    judgement = judge(parse(text), VALUES)

    assert judgement.holds, judgement.shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[STATUS] == 404", "[STATUS] (200) == 404"),
        ("[STATUS] == any(404, 500)", "[STATUS] (200) == any(404, 500)"),
        ("[RESPONSE_TIME] < 50", "[RESPONSE_TIME] (84.25) < 50"),
        ("[CERTIFICATE_EXPIRATION] > 48h", "[CERTIFICATE_EXPIRATION] (1d12h) > 48h"),
        ("[BODY].data.items[0].id != 3", "[BODY].data.items[0].id (3) != 3"),
        ("[BODY].data.items[9].id == 3", "[BODY].data.items[9].id (nothing) == 3"),
        ("len([BODY].empty) > 0", "len([BODY].empty) (0) > 0"),
        ("len([BODY].ok) > 0", "len([BODY].ok) (nothing) > 0"),
        ("has([BODY].errors)", "has([BODY].errors) (false)"),
        ('[BODY].status contains "DOWN"', '[BODY].status (UP) contains "DOWN"'),
        ("[BODY].status == [BODY].version", "[BODY].status (UP) == [BODY].version (1.10)"),
        ('[BODY].version == "1.1"', '[BODY].version (1.10) == "1.1"'),
        ("[BODY].ok == 1", "[BODY].ok (true) == 1"),
        ("[BODY].status > 3", "[BODY].status (UP) > 3"),
        (
            "[BODY].data.items",
            '[BODY].data.items ([{"id":3,"name":"tea"},{"id":4,"name":"cup, blue"}])',
        ),
        ("[BODY].status matches ^D", "[BODY].status (UP) matches ^D"),
    ],
)
def test_it_does_not_hold_and_is_shown_resolved(text: str, shown: str) -> None:
    judgement = judge(parse(text), VALUES)

    assert (judgement.holds, judgement.shown) == (False, shown)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "there is nothing"),
        ("200", "nothing is compared"),
        ("[STATUS] = 200", "an operator is missing"),
        ("[STATUS] ==", "something is missing here"),
        ("[STATUS] 200", "character 10: an operator is missing"),
        ("[BODY].items[ == 3", "is no JSONPath"),
        ('[BODY] contains "open', "character 17: the text is not closed"),
        ("[BODY] matches (", "the pattern is not understood"),
        ("len([BODY] > 3", "len( is not closed"),
        ("[STATUS] == any(200, 300", "any( is not closed"),
        ('[STATUS] == "a" "b"', "is too much"),
        ("x" * 501, "at most 500"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(text: str, says: str) -> None:
    with pytest.raises(ConditionError) as refused:
        parse(text)

    assert says in str(refused.value)


def test_a_condition_may_degrade_instead_of_failing() -> None:
    condition = parse("[RESPONSE_TIME] < 500 or degraded")

    assert condition.degrades
    assert judge(condition, VALUES).holds
    assert not parse("[BODY] == 'dead or degraded'").degrades


def test_the_names_it_speaks_of_are_known() -> None:
    assert names_in(parse("any([STATUS], [SIZE]) == len([BODY].x)")) == {"STATUS", "SIZE", "BODY"}


def test_a_body_that_is_no_json_has_no_members_but_a_text() -> None:
    values = {"BODY": b"<html>\xff 200 OK</html>"}

    assert not judge(parse("[BODY].status == UP"), values).holds
    assert judge(parse("[BODY] contains 200 OK"), values).holds
    assert judge(parse("[BODY] contains 200 OK"), {}).holds is False


def test_a_pattern_made_to_take_for_ever_does_not() -> None:
    values = {"BODY": b"a" * 200_000 + b"!"}
    began = time.process_time()

    assert not judge(parse("[BODY] matches ^(a+)+$"), values).holds

    assert time.process_time() - began < 5


def test_a_body_that_is_nested_too_deeply_is_none() -> None:
    values = {"BODY": b"[" * 100_000 + b"]" * 100_000}

    assert not judge(parse("[BODY][0][0] == 1"), values).holds


@given(st.text(alphabet="[]STATUBODY.()=!<> \"'anylehspot*?0129,\\-", max_size=60))
def test_any_text_is_a_condition_or_is_refused(text: str) -> None:
    try:
        condition = parse(text)
    except ConditionError:
        return
    judge(condition, VALUES)
