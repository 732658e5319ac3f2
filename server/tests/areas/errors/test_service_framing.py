"""Framing: every rule of the envelope format."""

import json

import pytest
from mainstay_server.areas.errors.service.framing import (
    MOST_ITEMS,
    normal_event_id,
    own_event_id,
    read_envelope,
)
from mainstay_server.kernel.problems import Invalid

ID = "c9574dc5d01042558c518b8c07ae22e6"


@pytest.mark.parametrize("body", [b"{}", b"{}\n", b"{}\n\n\n"])
def test_an_envelope_may_be_nothing_but_a_header(body: bytes) -> None:
    assert read_envelope(body).items == ()


def test_an_item_with_a_length_has_exactly_that_many_bytes() -> None:
    (item,) = read_envelope(b'{}\n{"type":"a","length":5}\n1\n3\r5\n').items

    assert item.payload == b"1\n3\r5"


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_the_last_newline_may_be_missing(end: bytes) -> None:
    (item,) = read_envelope(b'{}\n{"type":"a","length":2}\nok' + end).items

    assert item.payload == b"ok"


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_an_item_without_a_length_ends_with_its_line(end: bytes) -> None:
    (item,) = read_envelope(b'{}\n{"type":"a"}\nhello\r' + end).items

    assert item.payload == b"hello\r"  # a carriage return belongs to the payload


def test_items_with_and_without_a_length_may_follow_each_other() -> None:
    body = b'{}\n{"type":"a","length":1}\nx\n{"type":"b"}\nyy\n{"type":"c","length":2}\nzz'

    assert [(item.type, item.payload) for item in read_envelope(body).items] == [
        ("a", b"x"),
        ("b", b"yy"),
        ("c", b"zz"),
    ]


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
def test_a_length_of_nothing_is_valid(end: bytes) -> None:
    (item,) = read_envelope(b'{}\n{"type":"a","length":0}' + end).items

    assert item.payload == b""


def test_headers_and_types_that_nobody_knows_are_kept() -> None:
    (item,) = read_envelope(b'{"x":1}\n{"type":"trace_metric","item_count":3}\n{}').items

    assert item.type == "trace_metric"
    assert item.headers["item_count"] == 3


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"not json",
        b"[]",
        b'"text"',
        b'{}\n{"type":"a","length":9}\nshort',
        b'{}\n{"type":"a","length":2}\nlonger\n',
        b'{}\n{"type":"a","length":-1}\n',
        b'{}\n{"type":"a","length":"2"}\nok',
        b'{}\n{"type":"a","length":true}\n1',
        b'{}\n{"length":2}\nok',
        b'{}\n{"type":7}\nok',
        b"{}\nno header\nok",
        b'{}\n{"type":"a"}\nok\n{"typ',
        b'{"a":' + b"[" * 5000,
        b'{"a":"' + b"x" * 70_000 + b'"}',
    ],
)
def test_broken_framing_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        read_envelope(body)


def test_a_flood_of_items_is_refused() -> None:
    with pytest.raises(Invalid):
        read_envelope(b"{}\n" + b'{"type":"a","length":0}\n\n' * (MOST_ITEMS + 1))


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        (ID, ID),
        (ID.upper(), ID),
        ("c9574dc5-d010-4255-8c51-8b8c07ae22e6", ID),
        ("", ""),
        ("nothing", ""),
        (7, ""),
        (None, ""),
        (ID + "00", ""),
    ],
)
def test_an_event_id_is_32_hex_digits_with_or_without_dashes(given: object, normal: str) -> None:
    assert normal_event_id(given) == normal
    assert read_envelope(json.dumps({"event_id": given}).encode()).event_id == normal


def test_an_event_tells_its_own_id() -> None:
    assert own_event_id(json.dumps({"event_id": ID}).encode()) == ID
    assert own_event_id(b'{"event_id": 3}') == ""
    assert own_event_id(b"not json") == ""
