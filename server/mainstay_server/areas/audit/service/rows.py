"""Rows: an audited event as the one text that is hashed, and back."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import rfc8785

from mainstay_server.areas.audit.models import AuditRow
from mainstay_server.areas.audit.schemas import decode_row
from mainstay_server.kernel.clock import rfc3339
from mainstay_server.kernel.events import Heard, Origin, Value

VERSION = 1
LARGEST_EXACT = 2**53 - 1  # beyond it JSON's numbers lose digits, so RFC 8785 refuses them
LONGEST_CLIENT = 300


@dataclass(frozen=True, kw_only=True)
class Names:
    """What projects and instances are called, by id."""

    projects: Mapping[str, str]
    environments: Mapping[str, str]


def text_of(heard: Heard, *, position: int, previous: str, row_id: str, names: Names) -> bytes:
    """The row of an event in canonical JSON (RFC 8785): one text for one meaning."""
    event, origin = heard.event, heard.origin
    target = event.target
    row: dict[str, Any] = {
        "version": VERSION,
        "organizationId": event.organization_id,
        "position": position,
        "id": row_id,
        "at": rfc3339(heard.said_at),
        "actor": {
            "kind": kind_of(origin),
            "id": origin.actor.partition(":")[2],
            "name": origin.name,
            "email": origin.email,
        },
        "address": origin.address,
        "client": origin.client[:LONGEST_CLIENT],
        "action": event.action(),
        "outcome": "failure" if event.failed else "success",
        "target": {"kind": event.noun, "id": target.id, "name": target.name},
        "project": _named(event.project_id, "slug", names.projects),
        "instance": _named(event.instance_id, "environment", names.environments),
        "changes": {
            name: [_exact(before), _exact(after)] for name, (before, after) in event.changes.items()
        },
        "details": {name: _exact(value) for name, value in event.details.items()},
        "prevHash": previous,
    }
    return canonical(row)


def canonical(row: Mapping[str, Any]) -> bytes:
    """A row in canonical JSON, byte for byte as RFC 8785 has it.

    msgspec writes the same some 100 times faster, but for two things: fractions, which ECMAScript
    writes its own way, and names beyond ASCII, which the standard sorts by UTF-16.
    """
    if _is_plain(row["details"].values()) and all(
        _is_plain(pair) for pair in row["changes"].values()
    ):
        text = msgspec.json.encode(row, order="sorted")
        if text.isascii() or all(name.isascii() for name in (*row["changes"], *row["details"])):
            return text
    return rfc8785.dumps(row)


def _is_plain(values: Iterable[Value]) -> bool:
    return not any(isinstance(value, float) for value in values)


def columns_of(text: bytes, leaf: str) -> dict[str, Any]:
    """The columns by which a row is found: nothing that its text does not say."""
    row = decode_row(text)
    return {
        "organization_id": row.organization_id,
        "position": row.position,
        "at": datetime.fromisoformat(row.at),
        "actor": f"{row.actor.kind}:{row.actor.id}",
        "who": f"{row.actor.name} <{row.actor.email}>",
        "action": row.action[:120],
        "target_id": row.target.id[:200],
        "project_id": row.project.id if row.project else "",
        "instance_id": row.instance.id if row.instance else "",
        "hash": leaf,
        "body": text.decode(),
    }


def differs(kept: AuditRow) -> bool:
    """Whether a column of a kept row says something else than its text."""
    told = columns_of(kept.body.encode(), kept.hash)
    return any(getattr(kept, name) != value for name, value in told.items())


def kind_of(origin: Origin) -> str:
    """What acted: a person, a token, the server itself, or somebody unknown from some address."""
    kind = origin.actor.partition(":")[0]
    return kind or ("anonymous" if origin.address else "system")


def _named(subject_id: str, word: str, names: Mapping[str, str]) -> dict[str, str] | None:
    return {"id": subject_id, word: names.get(subject_id, "")} if subject_id else None


def _exact(value: Value) -> Value:
    """A value whose every digit survives in JSON; what does not becomes text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(value, int):
        return value if abs(value) <= LARGEST_EXACT else str(value)
    return value if math.isfinite(value) else str(value)
