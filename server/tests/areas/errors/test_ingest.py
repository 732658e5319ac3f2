"""The way in: what SDKs send, what they are answered, and that no bytes can break it."""

import asyncio
import base64
import gzip
import json
import random
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mainstay_server.areas.errors import area
from mainstay_server.kernel import columns
from mainstay_server.kernel.area import Area, EnvelopeItem, ReceivedItem, install
from mainstay_server.kernel.problems import TooManyRequests

from .conftest import KEY, Answer, Door, Listening, an_envelope, an_event, event_envelope, issues

WIRE = Path(__file__).parents[4] / "wire" / "envelope"
ID = "c9574dc5d01042558c518b8c07ae22e6"
AUTHORIZED = {"x-sentry-auth": f"Sentry sentry_key={KEY}"}
APP = """
import sentry_sdk, sys

sentry_sdk.init(dsn=sys.argv[1], release="shop@1.2", environment="production")

def divide(number):
    return number / 0

divide(1)
"""


@pytest.mark.slow
def test_what_an_unmodified_sdk_sends_becomes_an_issue_with_its_event(listening: Listening) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", APP, listening.dsn], check=False, capture_output=True, text=True
    )
    assert "ZeroDivisionError" in ended.stderr

    (issue,) = issues()
    assert issue.title == "ZeroDivisionError: division by zero"
    assert issue.culprit == "__main__ in divide"
    assert issue.count == 1
    (row,) = columns.query("SELECT issue_id, release, payload FROM error_events")
    assert row["issue_id"] == issue.id
    assert row["release"] == "shop@1.2"
    assert '"ZeroDivisionError"' in row["payload"]


@pytest.mark.parametrize("name", ["full", "minimal"])
def test_golden_envelopes_are_taken_under_the_id_they_carry(door: Door, name: str) -> None:
    body = (WIRE / f"{name}.txt").read_bytes()
    answer = door.send(gzip.compress(body), headers={**AUTHORIZED, "content-encoding": "gzip"})

    event_id = json.loads(body.split(b"\n")[0])["event_id"]
    assert (answer.status, answer.json) == (200, {"id": event_id})
    assert columns.query_value("SELECT event_id FROM error_events") == event_id


def test_the_id_of_the_envelope_wins_over_the_events_and_dashes_do_not_matter(door: Door) -> None:
    answer = door.send(event_envelope(an_event(event_id="0" * 32), event_id=ID.upper()))
    assert answer.json == {"id": ID}
    dashed = "aaaaaaaa-0000-4000-8000-000000000000"
    assert door.send(event_envelope(an_event(event_id=dashed))).json == {
        "id": dashed.replace("-", "")
    }
    assert len(door.send(event_envelope(an_event())).json["id"]) == 32


def test_what_is_known_but_not_kept_and_what_nobody_knows_is_skipped(door: Door) -> None:
    body = an_envelope(
        ({"type": "session"}, b'{"sid":"1"}'),
        ({"type": "trace_metric", "item_count": 1}, b'{"version":2,"items":[{}]}'),
        ({"type": "event"}, json.dumps(an_event()).encode()),
        ({"type": "client_report"}, b"{}"),
        ({"type": "made-up"}, b"\x00\n\xff"),
    )
    assert door.send(body).status == 200
    assert [issue.count for issue in issues()] == [1]


def test_an_envelope_with_nothing_for_us_is_fine(door: Door) -> None:
    assert door.send(b"{}").json == {}
    assert door.send(an_envelope(({"type": "transaction"}, b"{}"), event_id=ID)).json == {"id": ID}


def test_two_events_in_one_envelope_are_refused(door: Door) -> None:
    item = ({"type": "event"}, b"{}")
    assert door.send(an_envelope(item, item)).status == 400


def test_items_of_other_areas_are_handed_to_them(door: Door) -> None:
    taken: list[ReceivedItem] = []

    async def take(item: ReceivedItem) -> None:
        if item.payload == b"no":
            raise TooManyRequests("Not now.", retry_after_seconds=7)
        taken.append(item)

    other = EnvelopeItem(type="check_in", max_bytes=10, take=take)
    install((area, Area(name="heartbeats", title="", envelope_items=(other,))))
    try:
        body = an_envelope(
            ({"type": "check_in", "x": 1}, b"{}"),
            ({"type": "event"}, json.dumps(an_event()).encode()),
            event_id=ID,
        )
        assert door.send(body).json == {"id": ID}
        assert [(i.event_id, i.payload, i.headers["x"]) for i in taken] == [(ID, b"{}", 1)]
        assert door.send(an_envelope(({"type": "check_in"}, b"x" * 11))).status == 413
        answer = door.send(an_envelope(({"type": "check_in"}, b"no")))
        assert (answer.status, answer.headers["retry-after"]) == (429, "7")
    finally:
        install(())


def test_a_preflight_from_any_page_is_allowed_what_sdks_need(door: Door) -> None:
    answer = door.send(b"", method="OPTIONS", headers={"origin": "https://shop.example"})

    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "x-sentry-auth" in answer.headers["access-control-allow-headers"]
    assert answer.headers["access-control-max-age"] == "3600"


@pytest.mark.parametrize("body", [event_envelope(an_event()), b"broken"])
def test_every_answer_may_be_read_by_a_page_of_anybody(door: Door, body: bytes) -> None:
    headers = door.send(body).headers

    assert headers["access-control-allow-origin"] == "*"
    assert headers["access-control-expose-headers"] == (
        "x-sentry-error, x-sentry-rate-limits, retry-after"
    )


def test_a_refusal_has_the_shape_that_sdks_log(door: Door) -> None:
    answer = door.send(b"broken")

    assert answer.status == 400
    assert set(answer.json) == {"detail", "causes"}
    assert answer.headers["x-sentry-error"] == answer.json["detail"]


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({}, f"sentry_key={KEY}&sentry_version=7", 200),
        ({"authorization": "Basic " + base64.b64encode(f"{KEY}:".encode()).decode()}, "", 200),
        ({"x-sentry-auth": f"sentry sentry_version=7,sentry_key={KEY}"}, "", 200),
        ({}, "", 401),
        ({"x-sentry-auth": "Sentry sentry_key=" + "0" * 32}, "", 403),
    ],
)
def test_the_key_comes_in_many_forms(
    door: Door, headers: dict[str, str], query: str, status: int
) -> None:
    assert door.send(event_envelope(an_event()), headers=headers, query=query).status == status


def test_the_dsn_of_an_envelope_is_enough_and_has_to_agree(door: Door) -> None:
    ours, theirs = f"https://{KEY}@a.example/1", f"https://{'0' * 32}@a.example/1"
    assert door.send(event_envelope(an_event(), dsn=ours), headers={}).status == 200
    assert door.send(event_envelope(an_event(), dsn=theirs), headers={}).status == 403
    assert door.send(event_envelope(an_event(), dsn=theirs)).status == 403


def test_a_key_opens_no_other_project(door: Door) -> None:
    assert door.send(event_envelope(an_event()), path="/api/2/envelope/").status == 403


def test_too_much_is_a_413(door: Door) -> None:
    event = event_envelope(an_event(extra="x" * (1 << 20)))
    bomb = gzip.compress(b"{}\n" + b" " * (30 << 20))

    assert door.send(event).status == 413
    assert door.send(bomb, headers={**AUTHORIZED, "content-encoding": "gzip"}).status == 413


def test_the_older_way_in_takes_events_as_json_packed_or_in_a_query(door: Door) -> None:
    plain = json.dumps(an_event(event_id=ID)).encode()
    packed = base64.b64encode(zlib.compress(plain))
    assert door.send(plain, path="/api/1/store/").json == {"id": ID}
    assert door.send(packed, path="/api/1/store/").json == {"id": ID}
    nan = b'{"message":"x","extra":{"n":NaN}}'
    assert door.send(nan, path="/api/1/store/").status == 200
    query = f"sentry_key={KEY}&sentry_data={packed.decode()}"
    image = door.send(b"", path="/api/1/store", method="GET", headers={}, query=query)
    assert (image.status, image.body[:3]) == (200, b"GIF")
    assert sorted(issue.count for issue in issues()) == [1, 1]


def test_other_methods_are_refused(door: Door) -> None:
    assert door.send(b"", method="GET").status == 405
    assert door.send(b"", method="PUT", path="/api/1/store/").status == 405


# No bytes break it -------------------------------------------------------------------------------

GOLDEN = (WIRE / "full.txt").read_bytes()
SHORT = (WIRE / "minimal.txt").read_bytes()


def mutations() -> Iterator[tuple[bytes, str]]:
    """Some 10,000 bodies with their encodings: cut, changed, mislabelled, made up, bombs."""
    chance = random.Random(7)
    packed = gzip.compress(GOLDEN)
    yield from ((SHORT[:cut], "") for cut in range(len(SHORT)))
    yield from ((packed[:cut], "gzip") for cut in range(len(packed)))
    yield from ((_changed(chance, SHORT, 1), "") for _ in range(3_000))
    yield from ((_changed(chance, packed, 3), "gzip") for _ in range(1_500))
    lengths: list[object] = [-1, 0, 1, 511, 513, 1 << 31, 1 << 70, 1.5, "512", None, True, [], {}]
    for length in lengths:
        yield SHORT.replace(b'"length":512', b'"length":' + json.dumps(length).encode()), ""
    for encoding in ("", "gzip", "br", "zstd", "deflate"):
        yield from ((chance.randbytes(size), encoding) for size in range(180))
    for depth in range(0, 60_000, 600):
        yield b'{}\n{"type":"event"}\n' + b'{"a":' * depth + b"1" + b"}" * depth, ""
        yield b'{}\n{"type":"event"}\n' + b"[" * depth, ""
    yield from ((gzip.compress(b"{}\n" + b" " * (25 << 20), 9), "gzip") for _ in range(10))


def _changed(chance: random.Random, body: bytes, size: int) -> bytes:
    at = chance.randrange(len(body))
    return body[:at] + chance.randbytes(size) + body[at + size :]


@pytest.mark.slow
def test_ten_thousand_malformed_envelopes_get_200_400_or_413_and_no_memory(door: Door) -> None:
    async def all_of(bodies: list[tuple[bytes, str]]) -> list[Answer]:
        gate = asyncio.Semaphore(100)

        async def one(body: bytes, encoding: str) -> Answer:
            async with gate:
                return await door.sending(
                    body, headers={**AUTHORIZED, "content-encoding": encoding}
                )

        return await asyncio.gather(*(one(*each) for each in bodies))

    bodies = list(mutations())
    assert len(bodies) > 9_000
    door.run(all_of(bodies[:1_000]))
    before = psutil.Process().memory_info().rss
    answers = door.run(all_of(bodies[1_000:]))

    assert {answer.status for answer in answers} <= {200, 400, 413}
    assert psutil.Process().memory_info().rss - before < 300 << 20
    assert door.send(GOLDEN).status == 200


@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    header=st.dictionaries(st.sampled_from(["event_id", "dsn", "sent_at", "trace"]), st.text()),
    item=st.dictionaries(st.sampled_from(["type", "length"]), st.text() | st.integers()),
    payload=st.binary(),
)
def test_any_framing_gets_an_answer(
    door: Door, header: dict[str, Any], item: dict[str, Any], payload: bytes
) -> None:
    body = b"\n".join((json.dumps(header).encode(), json.dumps(item).encode(), payload))
    assert door.send(body).status in (200, 400, 403)
