"""The buffer of a probe: a kill loses nothing, nothing is new twice, and it is bounded."""

from pathlib import Path

import pytest
from mainstay_server.areas.health_checks.service.buffer import Buffer, BufferInUse


def lines(buffer: Buffer, *, most: int = 100) -> list[bytes]:
    """All that waits, reported as it comes."""
    found: list[bytes] = []
    while batch := buffer.next_batch(most=most):
        found += batch.lines
        buffer.done(batch)
    return found


def test_what_goes_in_comes_out_once_and_in_order(tmp_path: Path) -> None:
    buffer = Buffer(tmp_path, most_bytes=1 << 20)
    for number in range(25):
        buffer.add(b"%d" % number)
        if number % 10 == 0:
            buffer.flush()

    assert lines(buffer, most=7) == [b"%d" % number for number in range(25)]
    assert lines(buffer) == []
    assert buffer.waiting_bytes() == 0


def test_what_nobody_confirmed_is_given_again_and_says_so(tmp_path: Path) -> None:
    buffer = Buffer(tmp_path, most_bytes=1 << 20)
    buffer.add(b"one")

    first = buffer.next_batch(most=10)
    second = buffer.next_batch(most=10)

    assert first is not None
    assert second is not None
    assert (first.lines, first.again) == ([b"one"], False)
    assert (second.lines, second.again) == ([b"one"], True)


def test_what_was_on_the_disk_at_a_kill_may_have_been_sent(tmp_path: Path) -> None:
    killed = Buffer(tmp_path / "killed", most_bytes=1 << 20)
    killed.add(b"kept")
    killed.flush()
    (tmp_path / "killed").rename(tmp_path / "found")  # the lock of the killed one goes with it
    (tmp_path / "found" / "lock").unlink()
    (name,) = (tmp_path / "found").glob("*.jsonl")
    with name.open("ab") as file:
        file.write(b'{"half')

    buffer = Buffer(tmp_path / "found", most_bytes=1 << 20)
    buffer.add(b"new")
    batches = []
    while batch := buffer.next_batch(most=10):
        batches.append((batch.lines, batch.again))
        buffer.done(batch)

    assert batches == [([b"kept"], True), ([b"new"], False)]


def test_a_full_disk_lets_the_oldest_go_and_counts_them(tmp_path: Path) -> None:
    buffer = Buffer(tmp_path, most_bytes=2_500)
    for number in range(5):
        buffer.add(b"%d" % number + b"x" * 990)
        batch = buffer.next_batch(most=1)  # begins a file of its own for the next
        assert batch is not None

    assert buffer.waiting_bytes() <= 2_500
    batch = buffer.next_batch(most=100)
    assert batch is not None
    assert batch.dropped == 3
    buffer.done(batch)
    after = buffer.next_batch(most=100)
    assert after is not None
    assert after.dropped == 0


def test_two_programs_never_use_one_folder(tmp_path: Path) -> None:
    first = Buffer(tmp_path, most_bytes=1 << 20)

    with pytest.raises(BufferInUse, match="--data-dir"):
        Buffer(tmp_path, most_bytes=1 << 20)
    first.close()
    Buffer(tmp_path, most_bytes=1 << 20).close()
