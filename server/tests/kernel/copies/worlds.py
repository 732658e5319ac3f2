"""What is sealed in these tests, and for whom."""

import os
import random
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from mainstay_server.kernel.copies.running import Sealed, WritePlan, Writing
from mainstay_server.kernel.copies.streams import write_all
from pyrage import x25519
from tests.servers.processes import required_program


@dataclass(frozen=True)
class Key:
    secret: str
    public: str

    @classmethod
    def new(cls) -> "Key":
        identity = x25519.Identity.generate()
        return cls(str(identity), str(identity.to_public()))


@pytest.fixture
def key() -> Key:
    return Key.new()


def content(size_bytes: int, *, seed: int = 1) -> bytes:
    """Half of it compresses, half does not."""
    noise = random.Random(seed).randbytes(size_bytes // 2)
    return (noise + b"a row of a table, " * (size_bytes // 2 // 18 + 1))[:size_bytes]


@contextmanager
def piped(data: bytes) -> Iterator[int]:
    """The reading end of a pipe that holds the data, as a dump's does."""
    reader, writer = os.pipe()

    def feed() -> None:
        with suppress(BrokenPipeError):
            write_all(writer, [data])
        os.close(writer)

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    try:
        yield reader
    finally:
        os.close(reader)
        thread.join()


def opened_by_tools(path: Path, key: Key, folder: Path) -> bytes:
    """The content by nothing but `age` and `zstd`."""
    secret = folder / "key.txt"
    secret.write_text(key.secret)
    age = required_program("age", package="age")
    zstd = required_program("zstd", package="zstd")
    frame = subprocess.run([age, "-d", "-i", secret, path], capture_output=True, check=True).stdout
    return subprocess.run([zstd, "-dc"], input=frame, capture_output=True, check=True).stdout


def write_copy(plan: WritePlan, data: bytes) -> tuple[Sealed, dict[str, str | None]]:
    """Write the data and show it, with a manifest of two bytes beside it."""
    with piped(data) as dump, Writing(plan, plain=dump) as writing:
        list(writing)
        manifest = plan.key.partition(".")[0] + ".manifest.json"
        return writing.sealed, writing.show(key=manifest, data=b"{}")
