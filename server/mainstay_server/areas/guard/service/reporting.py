"""What passed and what was refused: reported by apps, or summed here for those who asked."""

import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from mainstay_server.areas.guard.schemas import Report, StoredPassage
from mainstay_server.contracts.guard import Use, record_use
from mainstay_server.kernel.clock import SenderClock
from mainstay_server.kernel.database import new_id, transaction
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.subjects import InstanceRef

from .checking import Outcome, clean_address, credential_digest

CALLS = "calls"
REPORTED = "sdk"
MOST_SUMS = 10_000
MOST_SUMS_OF_ALL = 100_000
SUMS_OF_EACH = 500  # whatever the others do
MANY = "(many)"

_decoder = msgspec.json.Decoder(Report)
_encoder = msgspec.json.Encoder()


def read_report(body: bytes) -> Report:
    """The report in a body; raises `Invalid` that names the field which is wrong."""
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"The report is not readable: {error}.") from error


def rows_of(report: Report, instance: InstanceRef, *, received_at: datetime) -> list[StoredPassage]:
    """What is stored of a report; a clock that is wrong by more than seconds is put right."""
    clock = SenderClock(report.sent_at, received_at=received_at)
    return [
        StoredPassage(
            instance_id=instance.id,
            at=clock.ours(passage.at),
            batch_id=report.batch_id,
            source=REPORTED,
            method=passage.method,
            route=passage.route,
            address=clean_address(passage.address),
            key_id=passage.key_id,
            owner=passage.owner,
            credential=passage.credential,
            status=passage.status,
            refusal=passage.refusal,
            simulated=passage.simulated,
            count=passage.count,
            cost=passage.cost,
        )
        for passage in report.passages
    ]


def encode_rows(rows: Iterable[StoredPassage]) -> bytes:
    """Rows as the column store takes them: a JSON object a line."""
    return _encoder.encode_lines(list(rows))


def count_use(
    instance: InstanceRef, *, batch_id: str, rows: Sequence[StoredPassage], now: datetime
) -> bool:
    """Count what passed against the organization and the owners of keys, once per batch.

    Returns False when the batch had been counted before, or nobody counts.
    """
    uses: dict[str, int] = {}
    for row in rows:
        if row.refusal and not row.simulated:
            continue
        if row.source != REPORTED and not row.key_id:
            continue  # anybody may ask for a verdict: without a key nobody's quota pays for it
        uses["organization"] = uses.get("organization", 0) + row.cost
        if row.owner:
            subject = f"owner:{row.owner}"
            uses[subject] = uses.get(subject, 0) + row.cost
    told = [Use(subject=name, meter=CALLS, amount=cost) for name, cost in uses.items() if cost]
    if not told or not record_use.is_answered:
        return False
    with transaction() as session:
        return record_use(session, instance=instance, batch_id=batch_id, uses=told, now=now)


class Tally:
    """Sums the verdicts of this process until they are stored; safe for threads.

    Each instance has its own bound, so that nobody crowds out another. Beyond it what is different
    in path, method and address is one sum, so that keys and their owners still pay for it; beyond
    twice the bound, verdicts are only counted as dropped. When all instances together have very
    much, those with little still get their share.
    """

    def __init__(
        self,
        most: int = MOST_SUMS,
        *,
        most_of_all: int = MOST_SUMS_OF_ALL,
        of_each: int = SUMS_OF_EACH,
    ) -> None:
        self._most = most
        self._most_of_all = most_of_all
        self._of_each = of_each
        self._lock = threading.Lock()
        self._sums: dict[str, dict[tuple[object, ...], list[int]]] = {}
        self._instances: dict[str, InstanceRef] = {}
        self._size = 0
        self.dropped = 0

    def add(self, outcome: Outcome, *, status: int, source: str) -> None:
        """Count one verdict."""
        request, facts = outcome.passage.request, outcome.passage.facts
        instance = request.instance
        passed = outcome.problem is None
        what = (status, outcome.refusal, bool(outcome.would_refuse))
        when = (instance.id, int(request.at.timestamp()), source)
        credential = "" if facts.key_id else credential_digest(request.credential)
        where = (request.method, request.path, request.address)
        key = (*when, *where, facts.key_id, facts.owner, credential, *what)
        with self._lock:
            sums = self._sums.setdefault(instance.id, {})
            self._instances[instance.id] = instance
            room = self._most if self._size < self._most_of_all else self._of_each
            if key not in sums and len(sums) >= room:
                key = (*when, request.method, MANY, "", facts.key_id, facts.owner, "", *what)
            found = sums.get(key)
            if found is None:
                if len(sums) >= 2 * room:
                    self.dropped += 1
                    return
                found = sums[key] = [0, 0]
                self._size += 1
            found[0] += 1
            found[1] += request.cost if passed else 0

    def take(self) -> list[tuple[InstanceRef, str, list[StoredPassage]]]:
        """Everything counted since the last time, by instance, each with a batch id of its own."""
        with self._lock:
            sums, self._sums = self._sums, {}
            instances, self._instances = self._instances, {}
            self._size = 0
        taken = []
        for name, counted in sums.items():
            batch_id = new_id()
            rows = [_stored(key, count, cost, batch_id) for key, (count, cost) in counted.items()]
            taken.append((instances[name], batch_id, rows))
        return taken


def _stored(key: tuple[object, ...], count: int, cost: int, batch_id: str) -> StoredPassage:
    return msgspec.convert(
        {
            "instance_id": key[0],
            "at": datetime.fromtimestamp(int(str(key[1])), UTC),
            "batch_id": batch_id,
            "source": key[2],
            "method": key[3],
            "route": key[4],
            "address": key[5],
            "key_id": key[6],
            "owner": key[7],
            "credential": key[8],
            "status": key[9],
            "refusal": key[10],
            "simulated": key[11],
            "count": count,
            "cost": cost,
        },
        StoredPassage,
    )
