"""Envelopes: how Sentry clients put several items into one body."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from mainstay_server.kernel.problems import Invalid

MOST_ITEMS = 1_000
LONGEST_HEADER_BYTES = 64 << 10

NEWLINE = 0x0A

_EVENT_ID = re.compile(r"[0-9a-f]{32}")
_header_decoder = msgspec.json.Decoder(dict[str, Any])


class Item(msgspec.Struct, frozen=True, gc=False):
    """One item: its type, all its headers, and exactly its own bytes."""

    type: str
    headers: Mapping[str, Any]
    payload: bytes


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What an envelope holds. `event_id` is 32 hex digits, or empty when none was given."""

    headers: Mapping[str, Any]
    event_id: str
    items: tuple[Item, ...]


def read_envelope(body: bytes) -> Envelope:
    r"""Take an envelope apart: `header \n (item header \n payload \n)*`, the last \n optional.

    The format is the one of https://develop.sentry.dev/sdk/data-model/envelopes/. Items of types
    that nobody knows are kept like all others, so that whoever reads them may skip them.

    Raises `Invalid` when the framing is broken; what comes before the break is not returned, as
    it may have been cut in the wrong place too.
    """
    end = body.find(b"\n")
    headers = _header(body, 0, len(body) if end < 0 else end, what="envelope")
    items = tuple(_items(body, end + 1)) if end >= 0 else ()
    return Envelope(headers, normal_event_id(headers.get("event_id")), items)


class _OwnId(msgspec.Struct, gc=False):
    event_id: str | None = None


_own_id_decoder = msgspec.json.Decoder(_OwnId)


def own_event_id(payload: bytes) -> str:
    """The id that an event carries in itself; empty when there is none that can be read."""
    try:
        return normal_event_id(_own_id_decoder.decode(payload).event_id)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""  # mended or refused where the whole event is decoded


def normal_event_id(value: object) -> str:
    """An event id as 32 lower hex digits, given with or without dashes; empty for anything else."""
    if not isinstance(value, str):
        return ""
    plain = value.replace("-", "").lower()
    return plain if _EVENT_ID.fullmatch(plain) else ""


def _items(body: bytes, position: int) -> Iterator[Item]:
    found = 0
    while position < len(body):
        if body[position] == NEWLINE:  # an empty line between items, or after the last
            position += 1
            continue
        found += 1
        if found > MOST_ITEMS:
            raise Invalid(f"The envelope has more than {MOST_ITEMS} items; send several envelopes.")
        end = body.find(b"\n", position)
        header_end = len(body) if end < 0 else end
        headers = _header(body, position, header_end, what="item")
        kind = headers.get("type")
        if not isinstance(kind, str):
            raise Invalid("An item of the envelope has no type; every item header needs one.")
        payload, position = _payload(body, header_end + 1, headers.get("length"))
        yield Item(kind, headers, payload)


def _payload(body: bytes, start: int, length: object) -> tuple[bytes, int]:
    """The payload that begins at `start`, and where the next item does."""
    if length is None:
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        return body[start:end], end + 1
    if not isinstance(length, int) or isinstance(length, bool) or length < 0:
        raise Invalid("The length of an item is not a number of bytes; leave it out or correct it.")
    end = start + length
    # A header that ends the body may announce nothing but an empty payload.
    if end > len(body) and not (length == 0 and start == len(body) + 1):
        raise Invalid("The envelope ends before the length of its last item; send all of it.")
    if end < len(body) and body[end] != NEWLINE:
        raise Invalid("An item is longer than its length says; correct the length.")
    return body[start:end], end + 1


def _header(body: bytes, start: int, end: int, *, what: str) -> dict[str, Any]:
    if end - start > LONGEST_HEADER_BYTES:
        raise Invalid(f"The {what} header is longer than {LONGEST_HEADER_BYTES} bytes.")
    try:
        return _header_decoder.decode(body[start:end])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"The {what} header is not a JSON object: {error}") from error
