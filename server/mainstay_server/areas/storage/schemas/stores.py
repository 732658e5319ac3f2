"""What a store is told, and what it tells: plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a store says of one object; `mark` is the id of the upload that it came by."""

    place: str
    size_bytes: int
    changed_at: datetime
    content_type: str = ""
    etag: str = ""
    sha256: str = ""
    mark: str = ""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """An upload that somebody may make; `size_bytes` is the most that it may have."""

    mark: str
    place: str
    size_bytes: int
    content_type: str
    sha256: str = ""
    in_parts: bool = False


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a large upload: the bytes from a place on go to its URL, in this length."""

    number: int
    url: str
    offset: int
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Offer:
    """How the bytes are sent: a form to post, or a body to put, or parts to put one by one."""

    method: str
    url: str
    fields: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    parts: Sequence[Part] = ()
    upload_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Download:
    """What a signed download answers, and how it is shown."""

    place: str
    filename: str
    content_type: str
    inline: bool
    seconds: int
