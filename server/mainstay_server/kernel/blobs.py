"""Objects: dumps, attachments and archives, in a folder, in S3, GCS or Azure, or in memory."""

import contextlib
import errno
import heapq
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import (
    AzureStore,
    GCSStore,
    LocalStore,
    MemoryStore,
    ObjectStore,
    S3Store,
)

from mainstay_server.kernel.problems import TooLarge, Unavailable

MAX_KEY_BYTES = 900  # S3 allows 1024, the bucket's own prefix included
MAX_SEGMENT_BYTES = 200  # file systems allow 255
STREAM_CHUNK_BYTES = 1_048_576
REQUEST_TIMEOUT = "60s"
RETRY_TIME = timedelta(seconds=30)
FULL_RETRY_AFTER_SECONDS = 60

Data = bytes | bytearray | memoryview | Iterable[bytes]


class BlobMissing(Exception):
    """There is nothing under the key."""


@dataclass(frozen=True)
class _Open:
    store: ObjectStore
    folder: Path | None
    sorted: bool


_open: list[_Open] = []


def open_blobs(url: str) -> None:
    """Open the store of this process.

    `file:///folder`, `memory://`, `s3://bucket/prefix?endpoint=…&region=…&access_key_id=…&
    secret_access_key=…`, `gs://bucket/prefix?…` or `az://container/prefix?…`; options go to
    obstore under their own names, and what is not given comes from the environment as usual for
    that cloud. Nothing is asked of the cloud yet. Raises `ValueError` for an URL or option that
    makes no sense, `OSError` when the folder cannot be made.
    """
    assert not _open, "blobs are open already"
    parts = urlsplit(url)
    if parts.scheme == "file":
        folder = Path(unquote(parts.path))
        folder.mkdir(parents=True, exist_ok=True)
        _open.append(_Open(LocalStore(folder), folder, sorted=False))
    elif parts.scheme == "memory":
        _open.append(_Open(MemoryStore(), None, sorted=True))
    else:
        _open.append(_Open(cloud_store(url), None, sorted=True))


def close_blobs() -> None:
    """Close the store; what was in memory is gone."""
    _open.clear()


def cloud_store(url: str, *, name: str = "MAINSTAY_BLOBS_URL") -> ObjectStore:
    """The store of an `s3://`, `gs://` or `az://` URL; a `ValueError` calls the URL `name`."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    prefix = parts.path.strip("/") or None
    insecure = options.get("endpoint", "").startswith("http://")
    client = {"timeout": REQUEST_TIMEOUT, "allow_http": insecure}
    kinds: dict[str, Any] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}
    kind = kinds.get(parts.scheme)
    if kind is None or not parts.netloc:
        raise ValueError(f"{name} must be file:///…, s3://bucket, gs://… or az://…")
    try:
        store: ObjectStore = kind(
            parts.netloc,
            prefix=prefix,
            config=options,
            client_options=client,
            retry_config={"max_retries": 3, "retry_timeout": RETRY_TIME},
        )
    except BaseError as error:
        raise ValueError(f"{name} does not open: {error}") from None
    return store


def _now() -> _Open:
    assert _open, "call open_blobs first"
    return _open[0]


def checked(key: str) -> str:
    """Return the key when it is a safe relative path, else raise `ValueError`.

    Segments are separated by one slash; none is `.` or `..`, and none holds a control character, a
    backslash or a `#`, which marks unfinished files in a folder.
    """
    segments = key.split("/")
    if len(key.encode()) > MAX_KEY_BYTES or not all(map(_is_safe, segments)):
        raise ValueError(f"{key[:80]!r} is not a valid blob key")
    return key


def _is_safe(segment: str) -> bool:
    return (
        segment not in {"", ".", ".."}
        and len(segment.encode()) <= MAX_SEGMENT_BYTES
        and segment.isprintable()
        and not set(segment) & {"\\", "#", ":", "%", "*", "?"}
    )


def store() -> ObjectStore:
    """The open store, for `blob_files`."""
    return _now().store


def folder() -> Path | None:
    """The folder of the open store, for `blob_files`; None when it is no folder."""
    return _now().folder


@contextlib.contextmanager
def told(key: str) -> Iterator[None]:
    """Tell what the store says in our words: `BlobMissing`, or `Unavailable`."""
    try:
        yield
    except FileNotFoundError:
        raise BlobMissing(key) from None
    except BaseError as error:
        raise Unavailable(
            f"The blob store did not answer as it should ({str(error)[:200]}); "
            "check MAINSTAY_BLOBS_URL and that the store is up.",
            retry_after_seconds=30,
            code="blobs-unavailable",
        ) from error


def put(key: str, data: Data) -> None:
    """Store the data under the key, in place of what was there.

    All or nothing: a reader sees the old object or the new one, also when `data` fails half-way.
    In a folder it has reached the disk when this returns, and so has its name. Raises `Unavailable`
    (`blobs-full`) when the disk has no room for it.
    """
    opened = _now()
    checked(key)
    if opened.folder is not None:
        with _refused_when_full():
            _put_in_folder(opened.folder, key, data)
        return
    with told(key):
        obstore.put(opened.store, key, data)


def _put_in_folder(folder: Path, key: str, data: Data) -> None:
    # obstore renames into place but never syncs, so a power cut could leave an empty file under
    # the key. Its listings pass over names that end in # and digits: that is why ours does.
    target = folder / key
    make_folders(folder, target.parent)
    unfinished = target.with_name(f"{target.name}#{secrets.randbits(64)}")
    try:
        with unfinished.open("xb") as file:
            for chunk in [data] if isinstance(data, bytes | bytearray | memoryview) else data:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def make_folders(root: Path, wanted: Path) -> None:
    """Make the folders that are missing below `root`, so that a power cut leaves them."""
    missing = []
    while wanted != root and not wanted.is_dir():
        missing.append(wanted)
        wanted = wanted.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Let the names in a folder reach the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _refused_when_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise Unavailable(
            "The server's disk is full, so nothing was stored; make room on it, and try again.",
            retry_after_seconds=FULL_RETRY_AFTER_SECONDS,
            code="blobs-full",
        ) from error


def get_ranges(key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """Return parts of the object, each given by where it begins and how long it is.

    Neighbours are read together. Raises `BlobMissing`.
    """
    starts, lengths = [start for start, _ in ranges], [length for _, length in ranges]
    with told(key):
        store = _now().store
        found = obstore.get_ranges(store, checked(key), starts=starts, lengths=lengths)
        return [bytes(piece) for piece in found]


def get(key: str, *, max_bytes: int = 67_108_864) -> bytes:
    """Return the whole object.

    Raises `BlobMissing`, and `TooLarge` without reading when it is over `max_bytes` (64 MiB); use
    `stream` for what may be large.
    """
    with told(key):
        found = obstore.get(_now().store, checked(key))
        if found.meta["size"] > max_bytes:
            raise TooLarge(f"The object has {found.meta['size']} bytes; stream it instead.")
        return bytes(found.bytes())


def stream(key: str) -> Iterator[bytes]:
    """Return the object in pieces of about 1 MiB; raises `BlobMissing` at once, not later."""
    with told(key):
        found = obstore.get(_now().store, checked(key))

    def pieces() -> Iterator[bytes]:
        with told(key):
            for piece in found.stream(min_chunk_size=STREAM_CHUNK_BYTES):
                yield bytes(piece)

    return pieces()


def size(key: str) -> int:
    """Return how many bytes the object has; raises `BlobMissing`."""
    with told(key):
        return int(obstore.head(_now().store, checked(key))["size"])


def exists(key: str) -> bool:
    """Tell whether there is something under the key."""
    try:
        size(key)
    except BlobMissing:
        return False
    return True


def delete(key: str) -> None:
    """Delete the object; deleting what is not there is no error, on no store."""
    with contextlib.suppress(BlobMissing), told(key):
        obstore.delete(_now().store, checked(key))


def list_keys(prefix: str = "", *, limit: int = 1000, after: str = "") -> list[str]:
    """Return the first `limit` keys in the folder `prefix`, at any depth, in order.

    `after` is the last key of the page before. The prefix matches whole segments: `a/b` lists
    `a/b/c` but not `a/bc`.
    """
    opened = _now()
    within = checked(prefix.rstrip("/")) if prefix.rstrip("/") else None
    with told(prefix):
        rows = obstore.list(opened.store, within, offset=after or None, chunk_size=1000)
        keys = (str(row["path"]) for batch in rows for row in batch if row["path"] > after)
        # A folder lists in the order of its inodes; the clouds promise the order of the keys.
        return list(islice(keys, limit)) if opened.sorted else heapq.nsmallest(limit, keys)
