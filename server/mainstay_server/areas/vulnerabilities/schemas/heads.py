"""The outermost names of a document, by which its kind is recognised; nothing else is read yet."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from .found import Unreadable

Shape = TypeVar("Shape")
Item = TypeVar("Item")
NOTHING = msgspec.Raw()
LONGEST_FAULT = 200
LONGEST_VALUE = 200


class Head(msgspec.Struct):
    """What stands at the top of a scan, unread. `is_list` for a document that is a list."""

    schema: msgspec.Raw = msgspec.field(default=NOTHING, name="$schema")
    runs: msgspec.Raw = NOTHING
    bomFormat: msgspec.Raw = NOTHING  # noqa: N815 - the documents' own spelling
    auditReportVersion: msgspec.Raw = NOTHING  # noqa: N815 - same
    results: msgspec.Raw = NOTHING
    dependencies: msgspec.Raw = NOTHING
    vulnerabilities: msgspec.Raw = NOTHING
    vulns: msgspec.Raw = NOTHING
    affected: msgspec.Raw = NOTHING
    id: msgspec.Raw = NOTHING
    is_list: bool = False

    def has(self, *fields: str) -> bool:
        """Whether the document has all of these names."""
        return all(getattr(self, field) for field in fields)


def read_head(body: bytes) -> Head:
    """The outermost names of a JSON document. Raises `Unreadable`."""
    if body.lstrip()[:1] == b"[":
        return Head(is_list=True)
    return decode(body, Head)


def decode(body: bytes, shape: type[Shape]) -> Shape:
    """A JSON document in a shape, without what the shape does not name.

    Raises:
        Unreadable: it is no JSON, is nested too deep, or a field is of another kind; says where.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except RecursionError:
        raise Unreadable(
            "The scan is nested too deep to be one; send what the scanner wrote."
        ) from None
    except (msgspec.MsgspecError, ValueError) as error:
        told = str(error)[:LONGEST_FAULT]
        raise Unreadable(f"The scan cannot be read: {told}. Send what the scanner wrote.") from None


def value_of(raw: msgspec.Raw) -> object:
    """A short value that was left unread; None for a long one, which is none of those meant."""
    body = bytes(raw)
    return decode(body, object) if 0 < len(body) <= LONGEST_VALUE else None


def listed(items: Sequence[Item] | None) -> Sequence[Item]:
    """A list that some tools write as null when it is empty."""
    return items or []
