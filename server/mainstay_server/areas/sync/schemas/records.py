"""Chunks on the wire and in packs: a line that says what follows, and then the bytes.

The line is the chunk's SHA-256 in hex, how many bytes it has, and how many follow: those are one
zstd frame, or the chunk itself when both numbers are the same.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from backports import zstd

from mainstay_server.kernel.problems import Invalid

LARGEST_CHUNK_BYTES = 4 << 20
LARGEST_PART_BYTES = 9 << 20
MOST_RECORDS = 5000
_LINE = re.compile(rb"([0-9a-f]{64}) ([0-9]{1,8}) ([0-9]{1,8})\n")
_LONGEST_LINE = 64 + 1 + 8 + 1 + 8 + 1


@dataclass(frozen=True, slots=True)
class Record:
    """One chunk as it came: `raw` is the line and what follows it."""

    digest: bytes
    bytes: int
    raw: memoryview


def read_records(part: bytes) -> Iterator[tuple[Record, memoryview]]:
    """The records of a part, each with its payload, which nobody looked into yet.

    Raises:
        Invalid: it is not made of records, or one is larger than a chunk may be.
    """
    whole, position = memoryview(part), 0
    for _ in range(MOST_RECORDS):
        if position == len(part):
            return
        line = _LINE.match(part, position, position + _LONGEST_LINE)
        if line is None:
            raise _unreadable(f"at byte {position} no chunk begins")
        size, packed = int(line[2]), int(line[3])
        end = line.end() + packed
        if max(size, packed) > LARGEST_CHUNK_BYTES or packed > size:
            raise _unreadable(f"a chunk has {LARGEST_CHUNK_BYTES} bytes at most, packed fewer")
        if end > len(part):
            raise _unreadable("it ends within a chunk")
        yield (
            Record(bytes.fromhex(line[1].decode()), size, whole[position:end]),
            whole[line.end() : end],
        )
        position = end
    if position != len(part):
        raise _unreadable(f"it has more than {MOST_RECORDS} chunks")


def unpacked(record: Record, payload: memoryview) -> bytes:
    """The chunk itself. Raises `Invalid` when it is not what its line says."""
    if len(payload) == record.bytes:
        plain = bytes(payload)
    else:
        stream = zstd.ZstdDecompressor()
        try:
            plain = stream.decompress(payload, record.bytes + 1)
        except zstd.ZstdError as error:
            raise _unreadable("a chunk is no zstd frame") from error
        if not stream.eof or stream.unused_data:
            raise _unreadable("a chunk unpacks to another size than its line says")
    if len(plain) != record.bytes or hashlib.sha256(plain).digest() != record.digest:
        raise _unreadable("a chunk is not the one that its line names")
    return plain


def _unreadable(why: str) -> Invalid:
    return Invalid(f"The part cannot be read: {why}; send it again.", code="chunks-unreadable")
