"""Pages of a list: a limit, and a cursor that stands where the last page ended."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

import msgspec

from mainstay_server.kernel.problems import Invalid

Item = TypeVar("Item")
MOST_PER_PAGE = 200
DEFAULT_PER_PAGE = 50
LONGEST_CURSOR = 1000
MOST_NUMBER = 2**63 - 1  # what the databases can compare with


@dataclass(frozen=True)
class Page(Generic[Item]):
    """Some items, and the cursor of the next page; None at the end."""

    items: Sequence[Item]
    next_cursor: str | None


def encode_cursor(*position: str | float) -> str:
    """A cursor for the sort key of a page's last item."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def decode_cursor(cursor: str, *, parts: int) -> list[str | int | float] | None:
    """The sort key in a cursor; None for the first page. Raises `Invalid` for a strange one."""
    if not cursor:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        position = msgspec.json.decode(
            base64.urlsafe_b64decode(padded), type=list[str | int | float]
        )
    except (binascii.Error, msgspec.MsgspecError, ValueError) as error:
        raise Invalid("The cursor is not one of ours; start without it.") from error
    if any(not isinstance(part, str) and not abs(part) <= MOST_NUMBER for part in position):
        raise Invalid("The cursor is not one of ours; start without it.")
    if len(position) != parts:
        raise Invalid("The cursor is from another list; start without it.")
    return position


def decode_moment(part: str | float) -> datetime:
    """A time in a cursor. Raises `Invalid` for what is none."""
    try:
        return datetime.fromisoformat(str(part)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Invalid("The cursor is not one of ours; start without it.") from error


def page_within(
    found: Sequence[Item], *, limit: int, cursor: str, key: Callable[[Item], tuple[str, ...]]
) -> Page[Item]:
    """A page of a list that is short by a rule, so that it was read whole; `key` is its order."""
    position = decode_cursor(cursor, parts=len(key(found[0]))) if found else None
    after = tuple(str(part) for part in position or ())
    left = [item for item in found if key(item) > after]
    return page_of(left[: limit + 1], limit=limit, key=key)


def page_of(
    found: Sequence[Item], *, limit: int, key: Callable[[Item], tuple[str | int | float, ...]]
) -> Page[Item]:
    """A page from up to `limit + 1` found items: the one too many says that there is more."""
    items = found[:limit]
    more = len(found) > limit
    return Page(items, encode_cursor(*key(items[-1])) if more else None)
