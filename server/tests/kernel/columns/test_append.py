"""What returned from append is stored; what was refused is not, and says why."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from mainstay_server.kernel import columns
from mainstay_server.kernel.columns import writers
from mainstay_server.kernel.problems import Invalid, Problem
from tests.conftest import HeldInserts
from tests.waiting import PATIENCE_SECONDS, eventually

from .worlds import VISITS, YESTERDAY, visit, visits

pytestmark = pytest.mark.anyio


def stored_numbers() -> list[int]:
    rows = columns.query("SELECT number FROM visits ORDER BY number")
    return [row["number"] for row in rows]


async def outcomes_of(bodies: list[bytes]) -> list[BaseException | None]:
    """Append all bodies at once; tell for each what it raised."""
    return await asyncio.gather(
        *(columns.append(VISITS, body, rows=1) for body in bodies), return_exceptions=True
    )


async def test_an_append_that_returned_is_found_by_the_next_question(store: str) -> None:
    await columns.append(VISITS, visits(range(3)), rows=3)

    assert stored_numbers() == [0, 1, 2]


def test_threads_append_too(store: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: columns.append_blocking(VISITS, visit(n), rows=1), range(40)))

    assert stored_numbers() == list(range(40))


async def until(holds: Callable[[], bool]) -> None:
    await asyncio.to_thread(eventually, holds, every_seconds=0.01)


async def test_two_hundred_appends_during_an_insert_become_one(
    store: str, held_inserts: HeldInserts
) -> None:
    bodies = [visit(number) for number in range(200)]
    appending = asyncio.ensure_future(outcomes_of(bodies))
    await until(lambda: columns.stats().waiting_bytes == sum(map(len, bodies)))
    held_inserts.let_go()
    await appending

    assert stored_numbers() == list(range(200))
    counts = columns.stats().tables["visits"]
    assert counts.rows == 200
    assert counts.batches <= 2  # what came first, and all the others


async def test_a_caller_who_is_alone_is_stored_at_once_and_a_crowd_is_gathered(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "GATHER_SECONDS", 3600)
    async with asyncio.timeout(PATIENCE_SECONDS):
        for number in range(10):
            await columns.append(VISITS, visit(number), rows=1)
    assert columns.stats().tables["visits"].batches == 10

    monkeypatch.setattr(writers, "GATHER_SECONDS", 0.5)
    await outcomes_of([visit(number) for number in range(10, 30)])
    assert columns.stats().tables["visits"].batches <= 13


@pytest.mark.parametrize(
    "offender",
    [
        b"garbage",
        b'{"time":"yesterday","number":1}',
        f'{{"time":"{YESTERDAY}T03:06:45Z","number":"many"}}'.encode(),
        f'{{"time":"{YESTERDAY}T03:06:45Z","number":1'.encode(),
        b'{"time":1763694405123,"number":1}',
    ],
    ids=["not-json", "not-a-time", "not-a-number", "cut-short", "milliseconds"],
)
async def test_of_a_batch_only_the_offender_is_refused(store: str, offender: bytes) -> None:
    bodies = [visit(number) for number in range(20)]
    bodies.insert(13, offender)

    outcomes = await outcomes_of(bodies)

    refused = [outcome for outcome in outcomes if outcome is not None]
    assert outcomes[13] is refused[0]
    assert len(refused) == 1
    assert isinstance(refused[0], Invalid)
    assert "do not fit the table visits" in str(refused[0])
    assert stored_numbers() == list(range(20))


async def test_a_body_that_spans_too_many_days_is_refused_alone(store: str) -> None:
    long_ago = datetime(2024, 1, 1, tzinfo=UTC)
    days = [(long_ago + timedelta(days=day)).isoformat() for day in range(500)]
    scattered = b"".join(visit(1_000 + number, at=at) for number, at in enumerate(days))

    outcomes = await outcomes_of([visit(0), visit(1), scattered, visit(2)])

    assert [type(outcome) for outcome in outcomes] == [type(None)] * 2 + [Invalid, type(None)]
    assert stored_numbers() == [0, 1, 2]


async def test_a_refusal_does_not_tell_where_the_engine_keeps_things(store: str) -> None:
    (outcome,) = await outcomes_of([b'{"time":"yesterday"}'])

    assert isinstance(outcome, Problem)
    assert "/" not in outcome.detail
    assert "127.0.0.1" not in outcome.detail
    assert "Cannot read DateTime" in outcome.detail


async def test_beyond_the_waiting_room_the_answer_is_full_at_once(
    url: str, held_inserts: HeldInserts
) -> None:
    body = visits(range(100), path="x" * 100)
    columns.open_columns(url, tables=[VISITS], waiting_bytes=len(body) * 3)

    appending = asyncio.ensure_future(outcomes_of([body] * 10))
    await until(lambda: columns.stats().tables["visits"].refused_full == 7)
    held_inserts.let_go()
    outcomes = await appending

    refused = [outcome for outcome in outcomes if outcome is not None]
    assert len(refused) == 7
    for refusal in refused:
        assert isinstance(refusal, columns.Full)
        assert refusal.status == 429
        assert refusal.retry_after_seconds == 1
    now = columns.stats()
    assert now.waiting_bytes == 0
    assert now.tables["visits"].refused_full == 7
    await columns.append(VISITS, body, rows=100)
    assert len(stored_numbers()) == 400


async def test_who_stopped_waiting_before_the_insert_is_not_stored(
    store: str, held_inserts: HeldInserts
) -> None:
    first = asyncio.ensure_future(columns.append(VISITS, visit(0), rows=1))
    await asyncio.to_thread(held_inserts.wait_for_one)
    impatient = asyncio.ensure_future(columns.append(VISITS, visit(1), rows=1))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.sleep(0)
    held_inserts.let_go()
    await asyncio.gather(first, columns.append(VISITS, visit(2), rows=1))

    assert stored_numbers() == [0, 2]
    assert columns.stats().waiting_bytes == 0


async def test_batches_are_bounded_by_bytes(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "BATCH_BYTES", len(visit(1)) * 10)

    await outcomes_of([visit(1)] * 100)

    assert columns.stats().tables["visits"].batches >= 10
    assert len(stored_numbers()) == 100


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_bug_in_the_writer_leaves_nobody_waiting(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(writers.Writer, "_insert", lambda self, batch: 1 / 0)
        outcomes = await outcomes_of([visit(1), visit(2)])

    assert [type(outcome) for outcome in outcomes] == [columns.EngineRefused] * 2
    await columns.append(VISITS, visit(3), rows=1)
    assert stored_numbers() == [3]


async def test_a_closed_store_says_so(store: str) -> None:
    columns.close_columns()

    with pytest.raises(columns.EngineRefused, match="not open"):
        await columns.append(VISITS, visit(1), rows=1)
    with pytest.raises(columns.EngineRefused, match="not open"):
        columns.query("SELECT 1")


def test_closing_stores_what_waits(url: str) -> None:
    columns.open_columns(url, tables=[VISITS])
    with ThreadPoolExecutor(20) as threads:
        appends = [
            threads.submit(columns.append_blocking, VISITS, visit(number), rows=1)
            for number in range(20)
        ]
        while columns.stats().tables["visits"].batches < 1:
            time.sleep(0.001)
        columns.close_columns()
    kept = {number for number, append in enumerate(appends) if append.exception() is None}
    columns.open_columns(url, tables=[VISITS])

    assert set(stored_numbers()) == kept


PAIRS = columns.Encoding(
    format="ProtobufSingle",
    structure="values Nested(key String)",
    select="SELECT now64(3, 'UTC'), key, 7 FROM {source} ARRAY JOIN values.key AS key",
    into=("time", "path", "number"),
    settings=(
        ("format_schema_source", "string"),
        (
            "format_schema",
            (
                'syntax = "proto3"; message KeyValue { string key = 1; }'
                " message KeyValueList { repeated KeyValue values = 1; }"
            ),
        ),
        ("format_schema_message_name", "KeyValueList"),
    ),
)


def key_value_list(*keys: bytes) -> bytes:
    """Encode a KeyValueList by hand: field 1 is a message whose field 1 is a text."""
    inner = [b"\x0a" + bytes([len(key)]) + key for key in keys]
    return b"".join(b"\x0a" + bytes([len(message)]) + message for message in inner)


async def test_the_engine_decodes_protobuf_and_bodies_are_concatenated(store: str) -> None:
    await asyncio.gather(
        columns.append(VISITS, key_value_list(b"/a"), rows=1, encoding=PAIRS),
        columns.append(VISITS, key_value_list(b"/b", b"/c"), rows=2, encoding=PAIRS),
    )

    rows = columns.query("SELECT path, number FROM visits ORDER BY path")
    assert [(row["path"], row["number"]) for row in rows] == [("/a", 7), ("/b", 7), ("/c", 7)]
