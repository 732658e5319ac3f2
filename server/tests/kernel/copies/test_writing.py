"""A copy is what plain tools open, is whole or not there, and none loses the others."""

import hashlib
import os
import signal
import socket
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Timer

import pytest
from mainstay_server.kernel.copies.opened import open_destination
from mainstay_server.kernel.copies.running import CopyFailed, Reading, ReadPlan, WritePlan, Writing
from mainstay_server.kernel.problems import Invalid
from tests.kernel.copies.worlds import Key, content, key, opened_by_tools, piped, write_copy
from tests.servers.cut_line import cut_line
from tests.servers.s3 import S3Server, s3

__all__ = ["key", "s3"]

COPY = "shop/one.dump.zst.age"
MANIFEST = "shop/one.manifest.json"
MIB = 1 << 20
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def plan(destinations: dict[str, str], key: Key, **more: int) -> WritePlan:
    return WritePlan(key=COPY, destinations=destinations, recipients=[key.public], **more)


def test_age_and_zstd_open_what_was_written(key: Key, tmp_path: Path) -> None:
    data = content(3 * MIB + 17)

    sealed, reasons = write_copy(plan({"disk": f"file://{tmp_path}/copies"}, key), data)

    assert reasons == {"disk": None}
    path = tmp_path / "copies" / COPY
    assert opened_by_tools(path, key, tmp_path) == data
    assert sealed.plain_bytes == len(data)
    assert sealed.sealed.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert sealed.sealed.size_bytes == path.stat().st_size
    assert sealed.compressed_bytes < len(data)


@pytest.mark.parametrize("size", [0, 1, 65_536, 5 * MIB])
def test_a_copy_reads_back_as_it_was(key: Key, tmp_path: Path, size: int) -> None:
    data = content(size)
    url = f"file://{tmp_path}/copies"
    sealed, _ = write_copy(plan({"disk": url}, key), data)
    target = tmp_path / "restored"

    with target.open("wb") as file, Reading(ReadPlan(COPY, url, [key.secret]), into=file) as copy:
        found = copy.found()

    assert target.read_bytes() == data
    assert (found.plain_bytes, found.compressed_bytes) == (len(data), sealed.compressed_bytes)
    assert found.sealed == sealed.sealed
    assert (found.recipients, found.fault) == (1, None)


def test_every_recipient_opens_it_alone(key: Key, tmp_path: Path) -> None:
    other = Key.new()
    url = f"file://{tmp_path}/copies"
    write_copy(WritePlan(COPY, {"disk": url}, [key.public, other.public]), b"rows")

    for each in (key, other):
        assert opened_by_tools(tmp_path / "copies" / COPY, each, tmp_path) == b"rows"
    with Reading(ReadPlan(COPY, url)) as copy:
        assert copy.found().recipients == 2


def test_the_same_bytes_lie_in_the_folder_and_in_the_bucket(
    key: Key, tmp_path: Path, s3: S3Server
) -> None:
    bucket = s3.new_bucket()
    urls = {"disk": f"file://{tmp_path}/copies", "bucket": bucket}

    sealed, reasons = write_copy(plan(urls, key), content(40 * MIB))

    assert reasons == {"disk": None, "bucket": None}
    for url in urls.values():
        assert open_destination(url).keys("shop") == [COPY, MANIFEST]
        with Reading(ReadPlan(COPY, url)) as copy:
            assert copy.found().sealed == sealed.sealed


def test_a_failing_destination_does_not_lose_the_others(
    key: Key, tmp_path: Path, s3: S3Server
) -> None:
    bucket = s3.new_bucket()
    (tmp_path / "a-file").touch()
    with cut_line(s3.port, cut_after=9 * MIB) as line:
        urls = {
            "disk": f"file://{tmp_path}/copies",
            "cut": bucket.replace(str(s3.port), str(line.port)),
            "no folder": f"file://{tmp_path}/a-file",
        }
        data = content(50 * MIB)
        _, reasons = write_copy(plan(urls, key), data)

    assert reasons["disk"] is None
    assert "The store did not answer as it should" in str(reasons["cut"])
    assert "Error" in str(reasons["no folder"])
    assert opened_by_tools(tmp_path / "copies" / COPY, key, tmp_path) == data
    assert open_destination(bucket).keys("shop") == []
    open_destination(bucket).sweep("shop", running=())
    assert write_copy(plan({"cut": bucket}, key), data)[1] == {"cut": None}
    assert open_destination(bucket).sweep("shop", running=()) == []


def test_one_that_takes_nothing_is_left_behind(key: Key, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        options = f"endpoint=http://127.0.0.1:{port}&access_key_id=a&secret_access_key=b"
        urls = {"disk": f"file://{tmp_path}/copies", "silent": f"s3://bucket/x?{options}"}
        data = content(60 * MIB)

        _, reasons = write_copy(plan(urls, key, stall_seconds=3), data)

    assert reasons == {"disk": None, "silent": "It took nothing for 3 s."}
    assert opened_by_tools(tmp_path / "copies" / COPY, key, tmp_path) == data


def test_where_every_destination_fails_the_run_fails_with_the_reason(
    key: Key, tmp_path: Path
) -> None:
    (tmp_path / "a-file").touch()

    with pytest.raises(CopyFailed, match="a-file"):
        write_copy(plan({"disk": f"file://{tmp_path}/a-file"}, key), content(MIB))


def test_too_little_space_is_said_before_a_byte_is_written(key: Key, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/copies"

    with pytest.raises(CopyFailed, match=r"The disk has [\d,]+ bytes free and about 1,0"):
        write_copy(plan({"disk": url}, key, expected_bytes=10**18), content(MIB))

    assert not list(tmp_path.rglob("*age*"))


def test_nothing_shows_before_the_commit_and_nothing_stays_without_it(
    key: Key, tmp_path: Path, s3: S3Server
) -> None:
    bucket = s3.new_bucket()
    urls = {"disk": f"file://{tmp_path}/copies", "bucket": bucket}

    with piped(content(40 * MIB)) as dump, Writing(plan(urls, key), plain=dump) as writing:
        list(writing)
        assert [open_destination(url).keys("") for url in urls.values()] == [[], []]

    for url in urls.values():
        assert open_destination(url).sweep("", running=()) == []
        assert open_destination(url).keys("") == []
    assert [path for path in (tmp_path / "copies").rglob("*") if path.is_file()] == []


def test_progress_tells_the_rate_and_the_time_that_is_left(key: Key, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with Writing(
        plan({"disk": f"file://{tmp_path}/copies"}, key, size_bytes=2 * MIB), plain=reader
    ) as writing:
        os.close(reader)
        for _ in range(16):
            os.write(writer, content(65_536))
        steps = iter(writing)
        for _ in range(4):
            os.write(writer, content(65_536))
            step = next(steps)
            if step.plain_bytes > MIB:
                break
            time.sleep(0.6)
        os.close(writer)
        last = list(steps)[-1]

    assert last.plain_bytes % 65_536 == 0
    assert last.bytes_per_second > 0
    assert last.seconds_left is not None
    assert last.seconds_left == pytest.approx((2 * MIB - last.plain_bytes) / last.bytes_per_second)


def test_when_the_server_is_gone_the_process_cleans_up_by_itself(key: Key, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    folder = tmp_path / "copies"
    with Writing(plan({"disk": f"file://{folder}"}, key), plain=reader) as writing:
        os.close(reader)
        os.write(writer, content(65_536))
        next(iter(writing))
        assert len(list((folder / "shop").iterdir())) == 1

        os.kill(writing.pid, signal.SIGTERM)
        with pytest.raises(CopyFailed, match="cancelled"):
            list(writing)

    assert list((folder / "shop").iterdir()) == []
    os.close(writer)


@pytest.mark.slow
def test_killed_at_any_point_it_leaves_nothing_that_shows_or_stays(
    key: Key, tmp_path: Path, s3: S3Server
) -> None:
    bucket = s3.new_bucket()
    urls = {"disk": f"file://{tmp_path}/copies", "bucket": bucket}
    data = content(48 * MIB)
    began = time.monotonic()
    write_copy(plan(urls, key), data)
    whole_seconds = time.monotonic() - began
    swept = 0
    for url in urls.values():
        for each in open_destination(url).keys(""):
            open_destination(url).remove(each, now=NOON)

    for n in range(10):
        with piped(data) as dump, Writing(plan(urls, key), plain=dump) as writing:
            time.sleep(whole_seconds * n / 10)
            os.killpg(writing.pid, signal.SIGKILL)
            with pytest.raises(CopyFailed, match="SIGKILL"):
                list(writing)
                writing.show(key=MANIFEST, data=b"{}")
        for url in urls.values():
            destination = open_destination(url)
            assert destination.keys("") == []
            assert destination.sweep("", running=[COPY]) == []
            swept += len(destination.sweep("", running=()))
            assert destination.sweep("", running=()) == []

    assert swept > 0, "no kill came in time"
    assert [path for path in (tmp_path / "copies").rglob("*") if path.is_file()] == []
    assert write_copy(plan(urls, key), data)[1] == {"disk": None, "bucket": None}


def test_a_recipient_that_is_none_is_refused(key: Key) -> None:
    for wrong in ([], ["age1typo"], [key.secret]):
        with pytest.raises(Invalid, match=r"age-keygen"):
            WritePlan(COPY, {"disk": "file:///x"}, wrong)


@pytest.mark.slow
def test_killed_while_it_shows_a_copy_no_manifest_is_there_without_it(
    key: Key, tmp_path: Path, s3: S3Server
) -> None:
    urls = {"disk": f"file://{tmp_path}/copies", "bucket": s3.new_bucket()}
    data = content(20 * MIB)

    for n in range(6):
        with piped(data) as dump, Writing(plan(urls, key), plain=dump) as writing:
            list(writing)
            killer = Timer(n * 0.02, os.killpg, (writing.pid, signal.SIGKILL))
            killer.start()
            with suppress(CopyFailed):
                writing.show(key=MANIFEST, data=b"{}")
            killer.join()
        for url in urls.values():
            shown = open_destination(url).keys("")
            assert shown in ([], [COPY], [COPY, MANIFEST])
            if shown:
                with Reading(ReadPlan(COPY, url, [key.secret])) as copy:
                    assert copy.found().sealed == writing.sealed.sealed
            open_destination(url).sweep("", running=())
            for each in shown:
                open_destination(url).remove(each, now=NOON)

    assert write_copy(plan(urls, key), data)[1] == {"disk": None, "bucket": None}
