"""ClickHouse inside this process (chDB): one folder, many handles."""

import contextlib
import os
import queue
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

import chdb
import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from typing_extensions import override

from .engines import INSERT_SETTINGS, QUERY_ROWS, QUERY_SECONDS, Inserter
from .layouts import Layout, insert_into, quoted
from .refusals import EngineError
from .room import Room
from .tables import Encoding, Table

READERS = 4
MARK_CACHE_BYTES = 32 << 20
PRIMARY_INDEX_CACHE_BYTES = 64 << 20
_CODE = re.compile(r"Code: (\d+)\.")


@dataclass(frozen=True, kw_only=True)
class EmbeddedLayout(Layout):
    """Tables of which one disk holds the only copy, and whose merges share the cores of the app."""

    durable: bool = True

    @override
    def _settings(self, *, daily: bool, sums: bool) -> list[tuple[str, int]]:
        # About so many parts of a size are merged at once, where 5 is the default: every row is
        # written again half as often, which was a quarter of what an error event cost in all.
        return [*super()._settings(daily=daily, sums=sums), ("merge_selector_base", 20)]


class EmbeddedEngine:
    """One engine folder of this process. A handle serialises its calls, so there are several."""

    layout = EmbeddedLayout()

    def __init__(self, folder: Path, *, memory_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # The engine compares folders as text, so that every handle must spell it alike.
        self.folder: Path | None = folder.resolve()
        self._folder = str(self.folder)
        engine_options = {
            "max_server_memory_usage": memory_bytes,
            "mark_cache_size": MARK_CACHE_BYTES,
            "primary_index_cache_size": PRIMARY_INDEX_CACHE_BYTES,
            "max_threads": 2,
        }
        self._reading_options = {
            "max_threads": 2,
            "max_execution_time": QUERY_SECONDS,
            "max_result_rows": QUERY_ROWS,
            "max_memory_usage": memory_bytes // 2,
            "max_bytes_before_external_group_by": memory_bytes // 4,
            "max_bytes_before_external_sort": memory_bytes // 4,
            "readonly": 2,
        }
        try:
            self._commands = self._client(engine_options)
        except DatabaseError as error:
            raise RuntimeError(
                f"{self._folder} cannot be opened as a column store. It holds one process at a"
                f" time and must be writable; stop the other process first. {error}"
            ) from error
        self._readers: queue.LifoQueue[Client | None] = queue.LifoQueue()
        for _ in range(READERS):
            self._readers.put(None)  # opened at its first question
        self._room = Room(self.folder, command=self.command, rows=self.rows)

    def _client(self, options: Mapping[str, int]) -> Client:
        return clickhouse_connect.get_client(
            interface="chdb", path=self._folder, chdb_options=dict(options), tz_mode="aware"
        )

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement that changes tables."""
        with _engine_errors():
            self._commands.command(sql, parameters=dict(parameters or {}))

    def rows(self, sql: str, parameters: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
        """Answer a question on the first handle that is free.

        A handle whose question failed is thrown away: chDB 26.9 puts what the failed question had
        already found in front of the next answer of that handle.
        """
        try:
            reader = self._readers.get(timeout=QUERY_SECONDS)
        except queue.Empty:
            raise EngineError("Too many questions are being answered.", code=None) from None
        try:
            with _engine_errors():
                reader = reader or self._client(self._reading_options)
                answer = list(reader.query(sql, parameters=dict(parameters)).named_results())
        except BaseException as error:
            if reader is not None:
                reader.close()
            self._readers.put(None)
            if isinstance(error, EngineError):
                raise self._room.explained(error) from error
            raise
        self._readers.put(reader)
        return answer

    def inserter(self) -> Inserter:
        """Return a handle of its own, for one writer."""
        return EmbeddedInserter(self._folder, room=self._room)

    def close(self) -> None:
        """Close every handle; the engine stops with the last. Waits for questions in the air."""
        self._room.close()
        for _ in range(READERS):
            reader = self._readers.get()
            if reader is not None:
                reader.close()
        self._commands.close()


class EmbeddedInserter:
    """Inserts through memory that the engine reads as a file.

    Neither of the two ways that look more natural will do. `send_insert` of chDB 26.9 reports
    success when the disk is full and nothing was stored. The insert of clickhouse-connect writes
    every batch to a file on the disk first, so that it fails with the wrong disk and wears it
    twice; text behind the statement takes 1.6 times as long for 50,000 rows.
    """

    def __init__(self, folder: str, *, room: Room) -> None:
        self._room, self._seat = room, room.seat()
        options = urlencode({**dict(INSERT_SETTINGS), "max_threads": 1, "max_insert_threads": 1})
        self._handle = chdb.connect(f"{folder}?{options}")
        self._memory, path = _file_in_memory()
        self._path = quoted(path)

    def insert(self, table: Table, encoding: Encoding, body: bytes) -> None:
        """Store the body as one block: all of it, or nothing."""
        settings = ", ".join(f"{name} = {quoted(value)}" for name, value in encoding.settings)
        clause = f" SETTINGS {settings}" if settings else ""
        if encoding.select:
            source = f"file({self._path}, {quoted(encoding.format)}, {quoted(encoding.structure)})"
            sql = insert_into(table, encoding, source=source) + clause
        else:
            sql = (
                f"INSERT INTO `{table.name}` FROM INFILE {self._path} COMPRESSION 'none'{clause}"
                f" FORMAT {encoding.format}"
            )
        with self._room.writing(self._seat):
            self._fill_memory(body)
            try:
                with _engine_errors():
                    self._handle.query(sql, "Null")
            finally:
                os.ftruncate(self._memory, 0)

    def _fill_memory(self, body: bytes) -> None:
        try:
            written = 0
            while written < len(body):
                written += os.pwrite(self._memory, memoryview(body)[written:], written)
        except OSError as error:
            raise EngineError(f"The batch found no room in memory: {error}", code=None) from error

    def close(self) -> None:
        """Close the handle and free its memory."""
        self._handle.close()
        os.close(self._memory)


def open_engine(url: str, *, memory_bytes: int) -> EmbeddedEngine:
    """Open `chdb:///folder`; raises RuntimeError when another process has it."""
    path = unquote(urlsplit(url).path)
    if not path or urlsplit(url).netloc:
        raise ValueError(f"{url} names no absolute folder; write chdb:///folder")
    return EmbeddedEngine(Path(path), memory_bytes=memory_bytes)


def _file_in_memory() -> tuple[int, str]:
    """Return a file that only this process sees, and its path; on macOS it is on a disk."""
    if sys.platform == "linux":
        memory = os.memfd_create("columns", os.MFD_CLOEXEC)
        return memory, f"/proc/self/fd/{memory}"
    return tempfile.mkstemp(prefix="mainstay-columns-")


@contextlib.contextmanager
def _engine_errors() -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        raise EngineError(str(error), code=error.code) from error
    except RuntimeError as error:
        found = _CODE.search(str(error))
        raise EngineError(str(error), code=int(found.group(1)) if found else None) from error
