"""What is wrong with a copy is told, whatever part of it was touched."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from mainstay_server.kernel.copies.running import CopyFailed, Reading, ReadPlan, WritePlan
from tests.kernel.copies.worlds import Key, content, key, write_copy

__all__ = ["key"]

COPY = "shop/one.dump.zst.age"
DATA = content(600_000)


@pytest.fixture
def url(key: Key, tmp_path: Path) -> str:
    url = f"file://{tmp_path}/copies"
    write_copy(WritePlan(COPY, {"disk": url}, [key.public]), DATA)
    return url


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a bit of the header": lambda data: flip(data, 60),
    "a bit in the middle": lambda data: flip(data, len(data) // 2),
    "the last bit": lambda data: flip(data, len(data) - 1),
    "cut by a byte": lambda data: data[:-1],
    "cut at a chunk's border": lambda data: data[: data.index(b"\n--- ") + 49 + 16 + 65_552 * 2],
    "cut to nothing": lambda data: b"",
    "a byte too many": lambda data: data + b"x",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_copy_does_not_open(url: str, key: Key, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "copies" / COPY
    path.write_bytes(DAMAGES[damage](path.read_bytes()))

    with Reading(ReadPlan(COPY, url, [key.secret])) as copy:
        found = copy.found()

    assert found.fault
    assert found.plain_bytes is None
    assert found.sealed.size_bytes == path.stat().st_size


def test_another_key_does_not_open_it(url: str) -> None:
    with Reading(ReadPlan(COPY, url, [Key.new().secret])) as copy:
        found = copy.found()

    assert "key" in str(found.fault).lower()
    assert found.plain_bytes is None


def test_a_missing_copy_is_said(url: str) -> None:
    with (
        Reading(ReadPlan("shop/two.dump.zst.age", url)) as copy,
        pytest.raises(CopyFailed, match="There is no shop/two"),
    ):
        copy.found()


def test_whoever_takes_the_content_may_end_early(url: str, key: Key) -> None:
    reader, writer = os.pipe()
    with Reading(ReadPlan(COPY, url, [key.secret]), into=writer) as copy:
        os.close(writer)
        os.close(reader)

        with pytest.raises(CopyFailed, match="Whoever took the content ended"):
            copy.found()


def test_what_is_larger_than_the_dump_was_goes_nowhere(url: str, key: Key, tmp_path: Path) -> None:
    target = tmp_path / "opened"
    plan = ReadPlan(COPY, url, [key.secret], size_bytes=10)
    with target.open("wb") as file, Reading(plan, into=file) as copy:
        found = copy.found()

    assert target.stat().st_size == 0
    assert found.plain_bytes is not None
    assert found.plain_bytes > 10
