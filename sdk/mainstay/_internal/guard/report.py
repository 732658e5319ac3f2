"""What passed the guard and what did not, summed by the second: wire/guard, produced."""

import json
import threading
import uuid
from collections import deque
from typing import Any, NamedTuple

from mainstay._internal.clock import rfc3339
from mainstay._internal.guard.keys import told_of
from mainstay._internal.guard.passage import Passage
from mainstay._internal.message import SDK_NAME, SDK_VERSION, known_method

_BATCH = 1_000
_LONGEST_OWNER = 200
_LONGEST_KEY_ID = 36


class Sum(NamedTuple):
    """What requests that are counted together have in common; ``at`` is a whole Unix second."""

    at: int
    method: str
    route: str
    address: str
    key_id: str
    owner: str
    credential: str
    status: int
    refusal: str
    simulated: bool


# The same as a plain tuple, which is made in a third of the time.
Key = tuple[int, str, str, str, str, str, str, int, str, bool]


class Passages:
    """At most ``limit`` different sums wait; a request that would need one more is dropped.

    A batch keeps its id and its content however often it is sent, so that the server can count
    it once. The lock is reentrant for the reason that the backlog of requests gives.
    """

    name = "guard's reports"

    def __init__(self, limit: int, *, path: str, guard_key: str, environment: str) -> None:
        self.path = path
        self.headers = {"Authorization": f"Bearer {guard_key}"}
        self.environment = environment
        self._limit = limit
        self._sums: dict[Key, list[int]] = {}
        self._returned: deque[_Batch] = deque()
        self._waiting = 0
        self._dropped = 0
        self._version = 0
        self._degraded = False
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return self._waiting

    def add(self, passage: Passage, route: str, status: int) -> None:
        """Count one request."""
        refusal = passage.refusal or passage.simulated
        issued = passage.key
        key = (
            int(passage.at),
            known_method(passage.method),
            route,
            passage.known.address.text,
            "" if issued is None else issued.id[:_LONGEST_KEY_ID],
            "" if issued is None else issued.owner[:_LONGEST_OWNER],
            told_of(passage.credential) if passage.credential else "",
            status,
            refusal.code if refusal is not None else "",
            passage.refusal is None and refusal is not None,
        )
        cost = passage.cost if passage.refusal is None and not passage.is_preflight else 0
        with self._lock:
            self._version = passage.rules.version
            if passage.limiter.degraded:
                self._degraded, passage.limiter.degraded = True, False
            counted = self._sums.get(key)
            if counted is not None:
                counted[0] += 1
                counted[1] += cost
            elif self._waiting < self._limit:
                self._sums[key] = [1, cost]
                self._waiting += 1
            else:
                self._dropped += 1

    def take(self) -> "_Batch":
        """Take a batch that came back, or the oldest sums in a new one."""
        with self._lock:
            batch = self._returned.popleft() if self._returned else self._new_batch()
            self._waiting -= len(batch.sums)
        return batch

    def put_back(self, batch: "_Batch") -> None:
        """Keep a batch for later, or count it as dropped when there is no room for it any more."""
        with self._lock:
            if self._waiting + len(batch.sums) > self._limit:
                self.count_dropped(batch)
            else:
                self._returned.appendleft(batch)
                self._waiting += len(batch.sums)

    def count_dropped(self, batch: "_Batch") -> None:
        """Add a batch that is lost for good to the count of the next one."""
        with self._lock:
            self._dropped += batch.dropped + sum(count for _, (count, _) in batch.sums)

    def _new_batch(self) -> "_Batch":
        keys = list(self._sums)[:_BATCH]
        dropped, self._dropped = self._dropped, 0
        degraded, self._degraded = self._degraded, False
        return _Batch(
            outbox=self,
            id=uuid.uuid4().hex,
            sums=[(Sum._make(key), self._sums.pop(key)) for key in keys],
            dropped=dropped,
            version=self._version,
            degraded=degraded,
        )


class _Batch(NamedTuple):
    """Some sums on their way."""

    outbox: Passages
    id: str
    sums: list[tuple[Sum, list[int]]]
    dropped: int
    version: int
    degraded: bool

    def encode(self, sent_at: float) -> bytes:
        body: dict[str, Any] = {
            "sdk": {"name": SDK_NAME, "version": SDK_VERSION},
            "environment": self.outbox.environment,
            "batchId": self.id,
            "sentAt": rfc3339(sent_at),
            "dropped": self.dropped,
            "policyVersion": self.version,
            "degraded": self.degraded,
            "passages": [_row(key, count, cost) for key, (count, cost) in self.sums],
        }
        return json.dumps(body, separators=(",", ":")).encode()

    def put_back(self) -> None:
        self.outbox.put_back(self)

    def give_up(self) -> None:
        self.outbox.count_dropped(self)


def _row(key: Sum, count: int, cost: int) -> dict[str, Any]:
    return {
        "at": rfc3339(key.at),
        "method": key.method,
        "route": key.route,
        "address": key.address,
        "keyId": key.key_id,
        "owner": key.owner,
        "credential": key.credential,
        "status": key.status,
        "refusal": key.refusal,
        "simulated": key.simulated,
        "count": count,
        "cost": cost,
    }
