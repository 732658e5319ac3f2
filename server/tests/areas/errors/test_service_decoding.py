"""Decoding: no odd shape of one field loses an event."""

import base64
import json
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mainstay_server.areas.errors.service.decoding import decode_event, unpack_stored
from mainstay_server.areas.errors.service.grouping import group
from mainstay_server.areas.errors.service.presenting import present
from mainstay_server.areas.errors.service.rows import encode_rows, row_of
from mainstay_server.kernel.problems import Invalid, TooLarge
from mainstay_server.kernel.subjects import InstanceRef

from .conftest import NOON, an_event

INSTANCE = InstanceRef(
    id="i",
    environment="production",
    url="",
    project_id="p",
    project_number=1,
    project_slug="ships",
    project_name="Ships",
    organization_id="o",
)


def row(event: Any) -> Any:
    payload = event if isinstance(event, bytes) else json.dumps(event).encode()
    decoded, mended = decode_event(payload)
    return row_of(decoded, mended, event_id="e" * 32, instance=INSTANCE, received_at=NOON)


@pytest.mark.parametrize(
    "odd",
    [
        {"message": 7},
        {"message": {"message": "a"}},
        {"logentry": "text"},
        {"tags": [["a", "b"], ["c"], "d", {"key": "e", "value": "f"}]},
        {"tags": "none"},
        {"timestamp": {"seconds": 1}},
        {"release": 12},
        {"level": ["error"]},
        {"user": "ann"},
        {"user": {"id": {"a": 1}, "email": "a@b.example"}},
        {"contexts": []},
        {"contexts": {"trace": "x"}},
        {"fingerprint": "mine"},
        {"fingerprint": [{"a": 1}, "b"]},
        {"sdk": "sdk"},
        {"breadcrumbs": 3},
        {"threads": {"values": [None, {"stacktrace": 3}]}},
    ],
)
def test_a_field_of_a_wrong_type_does_not_lose_the_event(odd: dict[str, Any]) -> None:
    assert row(an_event() | odd).title == "ZeroDivisionError: division by zero"


def test_tags_come_as_an_object_or_as_pairs() -> None:
    assert row({"tags": {"a": "b", "n": 1, "t": True}}).tags == {
        "environment": "production",
        "a": "b",
        "n": "1",
        "t": "true",
    }
    assert row({"tags": [["a", "b"], {"key": "c", "value": "d"}]}).tags["c"] == "d"


def test_exceptions_come_as_a_list_or_as_values() -> None:
    values = an_event()["exception"]["values"]
    assert row({"exception": values}).grouping_hash == row(an_event()).grouping_hash


def test_of_a_broken_exception_the_rest_is_read() -> None:
    event = an_event()
    event["exception"]["values"][0]["stacktrace"]["frames"][0]["context_line"] = 5
    event["exception"]["values"][0]["stacktrace"]["frames"].append("frame")
    assert row(event).culprit == "app.views in divide"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"message":"a","extra":{"n":NaN,"i":-Infinity}}',
        b'{"message":"a","extra":"\\ud800"}',
        b'{"message":"a","extra":"\xff\xfe"}',
        b'{"message":"a","extra":1e999}',
        b'{"message":"a","extra":123456789012345678901234567890}',
    ],
)
def test_what_old_clients_write_into_json_is_mended(payload: bytes) -> None:
    found = row(payload)

    assert found.title == "a"
    json.loads(bytes(found.payload).decode())


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"7", b"{", b'{"a":1', b"{" * 100_000])
def test_what_is_no_json_object_is_refused(payload: bytes) -> None:
    with pytest.raises(Invalid):
        decode_event(payload)


def test_old_clients_send_zlib_with_or_without_base64() -> None:
    plain = json.dumps(an_event()).encode()
    packed = zlib.compress(plain)
    for body in (plain, packed, base64.b64encode(packed)):
        assert unpack_stored(body, most_bytes=100_000) == plain


def test_a_bomb_in_base64_is_refused() -> None:
    bomb = base64.b64encode(zlib.compress(b"{" + b" " * 10_000_000))
    with pytest.raises(TooLarge):
        unpack_stored(bomb, most_bytes=100_000)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    [*an_event(), "message", "logentry", "tags", "user", "threads", "contexts", "values", "frames",
     "stacktrace", "type", "value", "fingerprint", "timestamp", "request", "headers", "vars"]
)  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(KEYS, ANYTHING | st.dictionaries(KEYS, ANYTHING), max_size=6))
def test_any_object_becomes_a_row_and_a_page(event: dict[str, Any]) -> None:
    found = row(event)

    assert group(decode_event(bytes(found.payload))[0]).hash == found.grouping_hash
    assert encode_rows([found]).endswith(b"}\n")
    present(bytes(found.payload).decode())
