"""Delivery: nothing is lost while the server is well, and nothing hurts while it is not."""

import gc
import os
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator

import mainstay
import pytest
from mainstay._internal import client
from mainstay._internal.message import MeasuredRequest
from tests.app_servers import PATIENCE_SECONDS, eventually
from tests.capture_server import Capture, a_server


def record(count: int, *, first: int = 0) -> None:
    """Record requests whose status tells them apart."""
    connected = client.active_client()
    assert connected is not None
    for number in range(first, first + count):
        connected.record(MeasuredRequest(1_795_229_999.0, "GET", "/", number, 0.001, "", None))


def numbers(server: Capture) -> list[int]:
    return [request["status"] for request in server.requests]


def sender_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "mainstay-sender"]


def test_many_requests_arrive_once_each_in_batches_over_one_connection() -> None:
    with a_server() as server:
        mainstay.init(server.dsn, flush_interval_seconds=3600)
        record(2_500)

        assert mainstay.flush(PATIENCE_SECONDS)

    assert sorted(numbers(server)) == list(range(2_500))
    assert max(len(batch.message["requests"]) for batch in server.batches) == 1_000
    assert len({batch.connection for batch in server.batches}) == 1


def test_requests_are_sent_by_themselves_after_the_interval() -> None:
    with a_server() as server:
        mainstay.init(server.dsn, flush_interval_seconds=0.05)
        record(1)
        eventually(lambda: numbers(server) == [0])
        record(1, first=1)
        eventually(lambda: numbers(server) == [0, 1])


def test_only_the_newest_are_kept_and_the_next_batch_says_how_many_are_not() -> None:
    with a_server() as server:
        mainstay.init(server.dsn, max_queue=100, flush_interval_seconds=60)
        record(1_100)
        assert mainstay.flush(PATIENCE_SECONDS)
        record(1)
        assert mainstay.flush(PATIENCE_SECONDS)

    assert numbers(server) == [*range(1_000, 1_100), 0]
    assert [batch.message["dropped"] for batch in server.batches] == [1_000, 0]


def test_a_server_that_fails_gets_the_same_requests_again_later() -> None:
    with a_server(lambda nth: (503 if nth == 0 else 200, {})) as server:
        mainstay.init(server.dsn, flush_interval_seconds=0.05)
        record(3)
        eventually(lambda: len(server.batches) == 2)

    first, second = server.batches
    assert first.message == {**second.message, "sentAt": first.message["sentAt"]}
    assert second.at - first.at >= 0.5


def test_a_batch_that_is_sent_again_is_the_same_whatever_came_meanwhile() -> None:
    with a_server(lambda nth: (503 if nth == 0 else 200, {})) as server:
        mainstay.init(server.dsn, max_queue=1_500, flush_interval_seconds=3600)
        record(1_100)
        assert not mainstay.flush(0.2)
        record(300, first=1_100)
        eventually(lambda: mainstay.flush(0.5))

    first, again, rest = (batch.message for batch in server.batches)
    assert (first["batchId"], first["requests"]) == (again["batchId"], again["requests"])
    assert rest["batchId"] != first["batchId"]
    assert [r["status"] for r in rest["requests"]] == list(range(1_000, 1_400))


def test_a_full_queue_forgets_the_batch_that_came_back_before_anything_newer() -> None:
    with a_server(lambda nth: (503 if nth == 0 else 200, {})) as server:
        mainstay.init(server.dsn, max_queue=1_000, flush_interval_seconds=3600)
        record(600)
        assert not mainstay.flush(0.2)
        record(500, first=600)
        eventually(lambda: mainstay.flush(0.5))

    rest = server.batches[1].message
    assert [r["status"] for r in rest["requests"]] == list(range(600, 1_100))
    assert rest["dropped"] == 600


def test_retry_after_is_kept_even_by_flush() -> None:
    with a_server(lambda _: (429, {"Retry-After": "3600"})) as server:
        mainstay.init(server.dsn, flush_interval_seconds=0.05)
        record(3)
        eventually(lambda: len(server.batches) == 1)

        assert not mainstay.flush(0.5)
        assert len(server.batches) == 1


def test_after_retry_after_it_is_sent_again() -> None:
    with a_server(lambda nth: (429, {"Retry-After": "1"}) if nth == 0 else (200, {})) as server:
        mainstay.init(server.dsn, flush_interval_seconds=0.05)
        record(3)
        eventually(lambda: len(server.batches) == 2)

    assert server.batches[1].at - server.batches[0].at >= 1.0
    assert server.batches[1].message["dropped"] == 0


def test_what_the_server_refuses_is_not_sent_again_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with a_server(lambda nth: (403 if nth < 2 else 200, {})) as server:
        mainstay.init(server.dsn, flush_interval_seconds=60)
        for first in range(3):
            record(1, first=first)
            assert mainstay.flush(PATIENCE_SECONDS)

    assert numbers(server) == [0, 1, 2]
    assert [batch.message["dropped"] for batch in server.batches] == [0, 1, 2]
    assert len(caplog.records) == 1
    assert "403" in caplog.text


def test_a_batch_that_came_too_slowly_for_the_server_is_sent_again() -> None:
    with a_server(lambda nth: (408 if nth == 0 else 200, {})) as server:
        mainstay.init(server.dsn, flush_interval_seconds=0.05)
        record(3)
        eventually(lambda: len(server.batches) == 2)

    assert numbers(server) == [0, 1, 2, 0, 1, 2]
    assert [batch.message["dropped"] for batch in server.batches] == [0, 0]


@pytest.mark.parametrize("says_so", [True, False])
def test_a_connection_closed_while_idle_costs_nothing(says_so: bool) -> None:  # noqa: FBT001 - pytest
    headers = {"Connection": "close"} if says_so else {}
    with a_server(lambda _: (200, headers), hangs_up=True) as server:
        mainstay.init(server.dsn, flush_interval_seconds=60)
        for number in range(3):
            record(1, first=number)
            assert mainstay.flush(PATIENCE_SECONDS)
            time.sleep(0.05)  # for the server's end of the connection to close

    assert numbers(server) == [0, 1, 2]


def test_a_failed_batch_neither_forgets_what_was_dropped_nor_displaces_newer_requests() -> None:
    connected: list[client.Client] = []

    def fails_once_while_more_arrive(nth: int) -> tuple[int, dict[str, str]]:
        if nth == 0:
            for number in range(8, 11):
                connected[0].record(MeasuredRequest(0.0, "GET", "/", number, 0.001, "", None))
        return (503 if nth == 0 else 200), {}

    with a_server(fails_once_while_more_arrive) as server:
        mainstay.init(server.dsn, max_queue=5, flush_interval_seconds=3600)
        now_active = client.active_client()
        assert now_active is not None
        connected.append(now_active)
        record(8)
        eventually(lambda: mainstay.flush(0.5))

    first, second = server.batches
    assert [r["status"] for r in first.message["requests"]] == [3, 4, 5, 6, 7]
    assert first.message["dropped"] == 3
    assert [r["status"] for r in second.message["requests"]] == [8, 9, 10]
    assert second.message["dropped"] == 8


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port where nobody listens, and nobody else will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


def test_an_absent_server_costs_no_time_and_no_more_than_the_queue_in_memory(
    closed_port: int,
) -> None:
    mainstay.init(f"http://k@127.0.0.1:{closed_port}/1", max_queue=500)
    record(2_000)
    mainstay.flush(0.5)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        started, worked = time.perf_counter(), time.thread_time()
        record(20_000)
        seconds, processor_seconds = time.perf_counter() - started, time.thread_time() - worked
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert processor_seconds / 20_000 < 0.001
    assert seconds < PATIENCE_SECONDS  # one time-out per thousand would be more
    assert after - before < 500 * 1_000
    connected = client.active_client()
    assert connected is not None
    assert len(connected.backlog) <= 500


def test_a_hanging_server_holds_up_neither_a_request_nor_the_end() -> None:
    def held_up_seconds() -> float:
        with a_server(hang_seconds=120) as server:
            mainstay.init(server.dsn, flush_interval_seconds=0.01)
            record(1)
            eventually(lambda: len(server.batches) == 1)
            started = time.perf_counter()
            record(100)
            mainstay.close(0.2)
            return time.perf_counter() - started

    eventually(lambda: held_up_seconds() < 2)
    eventually(lambda: sender_threads() == [])


def test_close_delivers_what_is_queued_and_ends_the_thread() -> None:
    with a_server() as server:
        mainstay.init(server.dsn, flush_interval_seconds=60)
        record(5)
        mainstay.close(PATIENCE_SECONDS)

        assert numbers(server) == [0, 1, 2, 3, 4]
    eventually(lambda: sender_threads() == [])


def test_a_second_init_still_delivers_what_the_first_had_queued() -> None:
    with a_server() as old, a_server() as new:
        mainstay.init(old.dsn, flush_interval_seconds=60)
        record(1)
        mainstay.init(new.dsn)
        record(1, first=1)
        assert mainstay.flush(PATIENCE_SECONDS)
        eventually(lambda: numbers(old) == [0])
        eventually(lambda: len(sender_threads()) == 1)

    assert numbers(new) == [1]


def test_no_thread_runs_before_the_first_request(closed_port: int) -> None:
    mainstay.init(f"http://k@127.0.0.1:{closed_port}/1")

    assert sender_threads() == []


def test_a_forked_worker_sends_its_own_requests_and_never_its_parents() -> None:
    with a_server() as server:
        mainstay.init(server.dsn, flush_interval_seconds=60)
        record(2)
        child = os.fork()
        if child == 0:
            record(3, first=100)
            delivered = mainstay.flush(PATIENCE_SECONDS)
            os._exit(0 if delivered else 1)
        _, status = os.waitpid(child, 0)

        assert os.waitstatus_to_exitcode(status) == 0
        assert numbers(server) == [100, 101, 102]
        assert mainstay.flush(PATIENCE_SECONDS)
        assert numbers(server) == [100, 101, 102, 0, 1]


AN_APP_THAT_ENDS = """
import mainstay, sys
from mainstay._internal import client
from mainstay._internal.message import MeasuredRequest
mainstay.init(sys.argv[1], flush_interval_seconds=60)
client.active_client().record(MeasuredRequest(1.0, "GET", "/", 200, 0.001, "", None))
"""


def test_what_is_queued_at_the_end_of_the_program_is_delivered() -> None:
    with a_server() as server:
        subprocess.run([sys.executable, "-c", AN_APP_THAT_ENDS, server.dsn], check=True)

        assert numbers(server) == [200]


def test_a_hanging_server_holds_up_the_end_of_the_program_for_two_seconds_only() -> None:
    def held_up_seconds() -> float:
        with a_server(hang_seconds=120) as server:
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", AN_APP_THAT_ENDS, server.dsn], check=True)
            seconds = time.perf_counter() - started
            assert len(server.batches) == 1
        return seconds

    eventually(lambda: held_up_seconds() < 5)


def test_a_host_that_cannot_be_looked_up_keeps_its_requests_for_later() -> None:
    mainstay.init(f"http://k@{'x' * 70}.invalid/1")
    record(3)

    assert not mainstay.flush(0.3)
    connected = client.active_client()
    assert connected is not None
    assert len(connected.backlog) == 3


def test_a_process_that_was_forked_before_its_first_request_delivers() -> None:
    with a_server() as server:
        mainstay.init(server.dsn)  # as in gunicorn with preload: the master only starts workers
        children = []
        for worker in range(2):
            child = os.fork()
            if child == 0:
                record(1, first=worker)
                os._exit(0 if mainstay.flush(PATIENCE_SECONDS) else 1)
            children.append(child)

        assert [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children] == [0, 0]
        assert sorted(numbers(server)) == [0, 1]
        assert sender_threads() == []
