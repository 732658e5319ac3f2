"""The server's own blob store: below a prefix, under names of ours, whatever the keys are."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from secrets import token_hex
from typing import Any

from mainstay_server.areas.storage.schemas.stores import Found
from mainstay_server.kernel import blobs
from mainstay_server.kernel.blob_files import Blob, find_blob, walk_blobs
from mainstay_server.kernel.problems import Invalid

LABEL = "This server"
PREFIX = "storage"


def checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing is to be said of it."""
    if config:
        raise Invalid("A bucket on this server takes no config; leave it out.")
    return {}


def shown(_config: Mapping[str, Any]) -> str:
    """Nobody outside can reach it, so nothing is told of where it is."""
    return "this server's blob store"


def new_place(object_id: str) -> str:
    """Where one attempt of one upload puts its bytes: two attempts never write the same file."""
    return f"{object_id}-{token_hex(4)}"


def blob_key(bucket_id: str, place: str) -> str:
    """The blob of a place; two characters of it spread the files over folders."""
    return f"{PREFIX}/{bucket_id}/{place[-2:]}/{place}"


class ServerStore:
    """One bucket in the blob store."""

    def __init__(self, bucket_id: str) -> None:
        self._bucket_id = bucket_id

    def find(self, place: str, *, now: datetime) -> Found | None:  # noqa: ARG002 - needs no clock
        """Ask for its size."""
        blob = find_blob(blob_key(self._bucket_id, place))
        return None if blob is None else _found(blob)

    def remove(self, place: str, *, now: datetime) -> None:  # noqa: ARG002 - needs no clock
        """Delete the blob."""
        blobs.delete(blob_key(self._bucket_id, place))

    def listing(self, *, now: datetime) -> Iterator[Found]:  # noqa: ARG002 - needs no clock
        """Every blob below the bucket's prefix."""
        return map(_found, walk_blobs(f"{PREFIX}/{self._bucket_id}"))

    def probe(self, *, now: datetime) -> None:  # noqa: ARG002 - needs no clock
        """Put a blob and take it away."""
        key = blob_key(self._bucket_id, new_place("probe"))
        blobs.put(key, b"probe")
        blobs.delete(key)


def opened(bucket_id: str, _config: Mapping[str, Any]) -> ServerStore:
    """The part of the blob store that belongs to a bucket."""
    return ServerStore(bucket_id)


def _found(blob: Blob) -> Found:
    return Found(
        place=blob.key.rpartition("/")[2], size_bytes=blob.size_bytes, changed_at=blob.changed_at
    )
