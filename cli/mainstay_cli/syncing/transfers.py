"""Chunks on their way: sent in parts of which the server lacks every one, fetched in order."""

import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

from backports import zstd
from typing_extensions import Self, override

from mainstay_cli.client import Server

# A part is what is under way at once, 8 MiB: two requests of at most 4 MiB each. A run that is
# killed has sent no more than that in vain.
REQUEST_BYTES = 4 << 20
REQUESTS_AT_ONCE = 2
MOST_RECORDS = 2000
FETCHED_AT_ONCE = 3
MOST_FETCHED = 100  # that many digests make an address that every proxy takes
FETCH_BYTES = 6 << 20
LEVEL = 3
_LINE = re.compile(rb"([0-9a-f]{64}) ([0-9]{1,8}) ([0-9]{1,8})\n")

Piece = bytes | memoryview


class Damaged(Exception):
    """What the server sent is not what was asked for."""


class Sender(AbstractContextManager["Sender"]):
    """Sends chunks of a project, each once, and only those that the server lacks.

    `sent_bytes` is what went over the wire, `offered` how many different chunks were seen.
    """

    def __init__(self, server: Server, project_path: str) -> None:
        self.sent_bytes = 0
        self.sent_chunks = 0
        self._server = server
        self._path = f"{project_path}/sync-chunks"
        self._seen: set[str] = set()
        self._part: list[tuple[str, Piece]] = []
        self._part_bytes = 0
        self._pool = ThreadPoolExecutor(REQUESTS_AT_ONCE)
        self._under_way: deque[Future[tuple[int, int]]] = deque()

    @override
    def __enter__(self) -> Self:
        return self

    @override
    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def add(self, digest: str, data: Piece) -> None:
        """Take a chunk; waits while a whole part is under way."""
        if digest in self._seen:
            return
        self._seen.add(digest)
        self._part.append((digest, data))
        self._part_bytes += len(data)
        if self._part_bytes >= REQUEST_BYTES - (2 << 20) or len(self._part) >= MOST_RECORDS:
            self._submit()

    def finish(self) -> None:
        """Send the rest; returns when the server has everything that was added."""
        self._submit()
        while self._under_way:
            self._settle()

    def _submit(self) -> None:
        if not self._part:
            return
        while len(self._under_way) >= REQUESTS_AT_ONCE:
            self._settle()
        self._under_way.append(self._pool.submit(self._send, self._part))
        self._part, self._part_bytes = [], 0

    def _settle(self) -> None:
        sent_bytes, sent_chunks = self._under_way.popleft().result()
        self.sent_bytes += sent_bytes
        self.sent_chunks += sent_chunks

    def _send(self, part: list[tuple[str, Piece]]) -> tuple[int, int]:
        """Ask which chunks lack, and send those."""
        asked = {"digests": [digest for digest, _ in part]}
        answer = self._server.ask("POST", f"{self._path}/missing", json=asked)
        missing = set(answer.json()["missing"])
        if not missing:
            return 0, 0
        compressor = zstd.ZstdCompressor(LEVEL)
        body = bytearray()
        for digest, data in part:
            if digest in missing:
                packed: Piece = compressor.compress(data, zstd.ZstdCompressor.FLUSH_FRAME)
                if len(packed) >= len(data):
                    packed = data
                body += f"{digest} {len(data)} {len(packed)}\n".encode()
                body += packed
        headers = {"content-type": "application/octet-stream"}
        self._server.ask("POST", self._path, content=bytes(body), headers=headers)
        return len(body), len(missing)


class Fetcher(AbstractContextManager["Fetcher"]):
    """Fetches chunks in a given order, some ahead; `here` may know them on this machine."""

    def __init__(
        self, server: Server, project_path: str, here: Callable[[str], bytes | None]
    ) -> None:
        self.fetched_bytes = 0
        self._server = server
        self._path = f"{project_path}/sync-chunks"
        self._here = here
        self._pool = ThreadPoolExecutor(FETCHED_AT_ONCE)

    @override
    def __enter__(self) -> Self:
        return self

    @override
    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def in_order(self, wanted: Sequence[tuple[str, int]]) -> Iterator[bytes]:
        """The chunks of these digests one by one; beside each, about how large it is."""
        under_way: deque[tuple[list[str], Future[dict[str, bytes]]]] = deque()
        groups = _groups(wanted)
        for group in groups:
            under_way.append((group, self._pool.submit(self._fetch, group)))
            if len(under_way) > FETCHED_AT_ONCE:
                yield from self._settle(*under_way.popleft())
        while under_way:
            yield from self._settle(*under_way.popleft())

    @staticmethod
    def _settle(group: list[str], fetching: "Future[dict[str, bytes]]") -> Iterator[bytes]:
        found = fetching.result()
        for digest in group:
            yield found[digest]

    def _fetch(self, group: list[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for digest in dict.fromkeys(group):
            data = self._here(digest)
            if data is not None:
                found[digest] = data
        lacking = [digest for digest in dict.fromkeys(group) if digest not in found]
        while lacking:
            asked = {"digests": ",".join(lacking)}
            answer = self._server.ask("GET", self._path, params=asked).content
            self.fetched_bytes += len(answer)
            came = dict(read_part(answer))
            if not came.keys() & set(lacking):
                raise Damaged("The server sent none of the chunks that it was asked for.")
            found |= came
            lacking = [digest for digest in lacking if digest not in found]
        return found


def read_part(part: bytes) -> Iterator[tuple[str, bytes]]:
    """The chunks of an answer, each checked. Raises `Damaged`."""
    view, position = memoryview(part), 0
    while position < len(part):
        line = _LINE.match(part, position)
        if line is None:
            raise Damaged("The server's answer is not made of chunks.")
        size, end = int(line[2]), line.end() + int(line[3])
        yield line[1].decode(), _unpacked(line[1].decode(), size, view[line.end() : end])
        position = end


def _unpacked(digest: str, size: int, packed: memoryview) -> bytes:
    try:
        plain = bytes(packed) if len(packed) == size else _inflated(packed, size)
    except zstd.ZstdError as error:
        raise Damaged("The server sent a chunk that does not unpack.") from error
    if hashlib.sha256(plain).hexdigest() != digest:
        raise Damaged("The server sent a chunk that is not the one it names.")
    return plain


def _inflated(packed: memoryview, size: int) -> bytes:
    return zstd.ZstdDecompressor().decompress(packed, size + 1)


def _groups(wanted: Sequence[tuple[str, int]]) -> Iterator[list[str]]:
    group: list[str] = []
    total = 0
    for digest, size in wanted:
        group.append(digest)
        total += size
        if total >= FETCH_BYTES or len(group) >= MOST_FETCHED:
            yield group
            group, total = [], 0
    if group:
        yield group


def packed_json(encoded: bytes) -> tuple[bytes, dict[str, Any]]:
    """A JSON body, compressed, and the headers that say so."""
    headers = {"content-type": "application/json", "content-encoding": "zstd"}
    return zstd.compress(encoded, LEVEL), headers
