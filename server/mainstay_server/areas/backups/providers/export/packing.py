"""A tar stream with JSON Lines of chosen tables, made while it is read."""

import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from mainstay_server.areas.backups.schemas import Fingerprint, Fingerprints, RowSum, Versions
from mainstay_server.kernel.copies.streams import file_of

from .connecting import Shape, canonical, rows_of, shapes

PART_BYTES = 4 << 20
TABLES = "tables.json"
END = "end.json"


class ExportDump:
    """One state of some tables on its way."""

    def __init__(
        self, connection: sa.Connection, tables: Sequence[str], versions: Versions
    ) -> None:
        self.versions = versions
        self._connection = connection
        self._shapes = shapes(connection, tables)
        self._found: list[Fingerprint] = []
        self.stream = file_of(self._entries(), buffer_bytes=PART_BYTES)

    def finish(self) -> None:
        """It has ended when all tables were read."""

    def fingerprints(self) -> Fingerprints:
        """Of the rows that were written, which were read from one snapshot."""
        return tuple(sorted(self._found))

    def beside(self) -> Mapping[str, bytes]:
        """Nothing: it is all in one file."""
        return {}

    def notes(self) -> tuple[str, ...]:
        """What a person should know."""
        return ("Rows alone: tables, indexes, rights and sequences are made by the app.",)

    def _entries(self) -> Iterator[bytes]:
        told = [{"table": each.full_name, "columns": each.columns} for each in self._shapes]
        yield from _entry(TABLES, json.dumps(told).encode())
        for shape in self._shapes:
            yield from self._parts(shape)
        counts = {each.name: each.rows for each in self._found}
        yield from _entry(END, json.dumps(counts).encode())
        yield bytes(2 * tarfile.BLOCKSIZE)

    def _parts(self, shape: Shape) -> Iterator[bytes]:
        rows, part, number = RowSum(), bytearray(), 0
        for values in rows_of(self._connection, shape):
            part += line_of(shape, values)
            add(rows, values)
            if len(part) >= PART_BYTES:
                number += 1
                yield from _entry(part_name(shape, number), bytes(part))
                part.clear()
        if part:
            yield from _entry(part_name(shape, number + 1), bytes(part))
        self._found.append(rows.named(shape.full_name, json.dumps(shape.columns)))


def fingerprint(connection: sa.Connection, shape: Shape) -> Fingerprint:
    """Of what a table holds now."""
    rows = RowSum()
    for values in rows_of(connection, shape):
        add(rows, values)
    return rows.named(shape.full_name, json.dumps(shape.columns))


def add(rows: RowSum, values: Sequence[Any]) -> None:
    """Count a row in, alike in every kind of database."""
    text = json.dumps([canonical(each) for each in values], separators=(",", ":"))
    rows.add(text.encode())


def line_of(shape: Shape, values: Sequence[Any]) -> bytes:
    """A row as one line of JSON."""
    row = dict(zip(shape.columns, values, strict=True))
    return json.dumps(row, separators=(",", ":")).encode() + b"\n"


def part_name(shape: Shape, number: int) -> str:
    """Where the so-many-th lines of a table lie."""
    return f"{quote(shape.full_name, safe=' ')}/{number:06}.jsonl"


def _entry(name: str, content: bytes) -> Iterator[bytes]:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o600
    yield entry.tobuf(tarfile.PAX_FORMAT)
    yield content
    yield bytes(-len(content) % tarfile.BLOCKSIZE)
