"""Kinds of stores: one file each; a new kind is a file and a line in `STORES`."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from mainstay_server.areas.storage.models import Kind
from mainstay_server.areas.storage.schemas.stores import Download, Found, Offer, Wanted

from . import s3, server


class Store(Protocol):
    """Where the bytes of one bucket lie. What it cannot do for now is an `Unavailable`."""

    def find(self, place: str, *, now: datetime) -> Found | None:
        """What is at a place; None when nothing is."""

    def remove(self, place: str, *, now: datetime) -> None:
        """Delete it; what is not there is no error."""

    def listing(self, *, now: datetime) -> Iterator[Found]:
        """Everything in the bucket, in any order."""

    def probe(self, *, now: datetime) -> None:
        """Write, read and delete something small. Raises `Invalid` with what is wrong."""


class DirectStore(Store, Protocol):
    """A store that clients reach by themselves, with requests that were signed for them."""

    def offer(self, wanted: Wanted, *, seconds: int, now: datetime) -> Offer:
        """How somebody may upload this one object. Raises `Invalid` for what it cannot sign."""

    def complete(self, place: str, upload_id: str, etags: Sequence[str], *, now: datetime) -> None:
        """Put an upload in parts together. Raises `Conflict` when a part is missing."""

    def abandon(self, place: str, upload_id: str, *, now: datetime) -> None:
        """Forget an upload in parts, and its parts."""

    def download_url(self, wanted: Download, *, now: datetime) -> str:
        """Where this one object can be fetched."""


class StoreKind(Protocol):
    """What a file of this folder offers."""

    LABEL: str

    def checked(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The config as it is kept. Raises `Invalid` with the next step."""

    def shown(self, config: Mapping[str, Any]) -> str:
        """Where the bytes lie, fit for any eye."""

    def opened(self, bucket_id: str, config: Mapping[str, Any]) -> Store:
        """The store of a bucket; nothing is asked of it yet."""


STORES: Mapping[Kind, StoreKind] = {Kind.SERVER: server, Kind.S3: s3}


def direct(kind: Kind, bucket_id: str, config: Mapping[str, Any]) -> DirectStore | None:
    """The store, when clients reach it by themselves; None when they come through the server."""
    return s3.opened(bucket_id, config) if kind == Kind.S3 else None
