"""Who holds a guard key: known in memory for a second, so that verdicts cost no query."""

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic

from mainstay_server.kernel.database import engine, reading
from mainstay_server.kernel.problems import Unauthenticated

from .keys import digest_of, find_key

TRUSTED_SECONDS = 1.0
MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Holder:
    """The project whose guard key was presented."""

    key_id: str
    project_id: str
    organization_id: str


@dataclass
class _Known:
    holders: OrderedDict[tuple[int, str], tuple[float, Holder]] = field(default_factory=OrderedDict)
    used: set[str] = field(default_factory=set)
    lock: Lock = field(default_factory=Lock)


_known = _Known()


def known_holder(key: str) -> Holder | None:
    """The holder of a key that was looked up within the last second; never blocks."""
    found = _known.holders.get((id(engine()), digest_of(key)))
    if found is None or monotonic() - found[0] > TRUSTED_SECONDS:
        return None
    return found[1]


def get_holder(key: str) -> Holder:
    """The holder of a guard key; blocks for one query.

    Raises:
        Unauthenticated: it is no guard key, or it was revoked.
    """
    looked_at = monotonic()
    with reading() as session:
        row = find_key(session, key)
    if row is None:
        raise Unauthenticated(
            "This needs a guard key as a Bearer token; make one on the project's security page.",
            code="guard-key-unknown",
        )
    holder = Holder(row.id, row.project_id, row.organization_id)
    with _known.lock:
        _known.holders[id(engine()), digest_of(key)] = (looked_at, holder)
        _known.used.add(holder.key_id)
        while len(_known.holders) > MOST_REMEMBERED:
            _known.holders.popitem(last=False)
    return holder


def take_used() -> list[str]:
    """The keys that were used since the last time, for the job that remembers it."""
    with _known.lock:
        used, _known.used = _known.used, set()
    return sorted(used)
