"""The stream of what passed the guard or was refused, and the questions asked of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mainstay_server.kernel import columns
from mainstay_server.kernel.columns import Table

GUARD_PASSAGES = Table(
    name="guard_passages",
    columns={
        "instance_id": "LowCardinality(String)",
        "at": "DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1))",
        "batch_id": "String CODEC(ZSTD(1))",
        "source": "LowCardinality(String)",
        "method": "LowCardinality(String)",
        "route": "LowCardinality(String)",
        "address": "String CODEC(ZSTD(1))",
        "key_id": "LowCardinality(String)",
        "owner": "LowCardinality(String)",
        "credential": "String CODEC(ZSTD(1))",
        "status": "UInt16",
        "refusal": "LowCardinality(String)",
        "simulated": "Bool",
        "count": "UInt32",
        "cost": "UInt64",
    },
    order_by=("instance_id", "at"),
    time_column="at",
    retention_days=30,
)

MOST_ROWS = 1000
MOST_KEYS = 100_000
MOST_PATHS = 20
IN_RANGE = "at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}"
OF_INSTANCE = "instance_id = {instance_id:String} AND " + IN_RANGE
REFUSED = "sumIf(count, refusal != '' AND NOT simulated)"


def use_of_keys(
    instance_id: str, *, key_ids: Sequence[str], since: datetime, until: datetime
) -> list[dict[str, Any]]:
    """How often each of these keys was used, by route, method and address, most used first."""
    return columns.query(
        f"SELECT key_id, route, method, address, sum(count) AS total, {REFUSED} AS refused,"
        f" max(at) AS last_at FROM guard_passages WHERE {OF_INSTANCE}"
        " AND has({key_ids:Array(String)}, key_id)"
        " GROUP BY key_id, route, method, address"
        " ORDER BY total DESC, key_id, route, method, address LIMIT {limit:UInt32}",
        instance_id=instance_id,
        key_ids=list(key_ids),
        since=since,
        until=until,
        limit=MOST_ROWS,
    )


def last_uses(*, since: datetime) -> list[dict[str, Any]]:
    """When each key that was used since then was used last."""
    return columns.query(
        "SELECT instance_id, key_id, max(at) AS last_at FROM guard_passages"
        " WHERE at >= {since:DateTime64(3, 'UTC')} AND key_id != ''"
        " GROUP BY instance_id, key_id LIMIT {limit:UInt32}",
        since=since,
        limit=MOST_KEYS,
    )


def conduct_of_addresses(
    *, since: datetime, until: datetime, at_least: int
) -> list[dict[str, Any]]:
    """What each address with many refused or failed requests did, the worst first."""
    bad = "sumIf(count, status IN (401, 403, 404, 429))"
    return columns.query(
        f"SELECT instance_id, address, sum(count) AS total, {bad} AS bad,"
        " sumIf(count, status = 401) AS unauthorized, sumIf(count, status = 403) AS forbidden,"
        " sumIf(count, status = 404) AS not_found,"
        " sumIf(count, status = 429 AND refusal NOT IN ('banned', 'quota-exceeded')) AS limited,"
        " uniqExactIf(credential, credential != '') AS credentials,"
        " groupUniqArrayIf(50)(key_id, key_id != '') AS key_ids, uniqExact(route) AS routes,"
        f" groupUniqArrayIf({MOST_PATHS})(route, status = 404) AS paths,"
        " min(at) AS first_at, max(at) AS last_at"
        f" FROM guard_passages WHERE {IN_RANGE} AND address != ''"
        " GROUP BY instance_id, address HAVING bad >= {at_least:UInt32}"
        " ORDER BY bad DESC, address LIMIT 100 BY instance_id LIMIT {limit:UInt32}",
        since=since,
        until=until,
        at_least=at_least,
        limit=MOST_ROWS,
    )


def keys_on_the_move(*, since: datetime, until: datetime, at_least: int) -> list[dict[str, Any]]:
    """The keys that were used from many networks: IPv4 by its first 16 bits, IPv6 by 32."""
    network = (
        "if(position(address, ':') > 0,"
        " arrayStringConcat(arraySlice(splitByChar(':', address), 1, 2), ':'),"
        " arrayStringConcat(arraySlice(splitByChar('.', address), 1, 2), '.'))"
    )
    return columns.query(
        f"SELECT instance_id, key_id, uniqExact({network}) AS networks,"
        " groupUniqArray(10)(address) AS addresses"
        f" FROM guard_passages WHERE {IN_RANGE} AND key_id != '' AND address != ''"
        " GROUP BY instance_id, key_id HAVING networks >= {at_least:UInt32}"
        " ORDER BY networks DESC, key_id LIMIT 100 BY instance_id LIMIT {limit:UInt32}",
        since=since,
        until=until,
        at_least=at_least,
        limit=MOST_ROWS,
    )


def figures(instance_id: str, *, since: datetime, until: datetime) -> list[dict[str, Any]]:
    """Requests of an instance by what became of them: the code of the refusal, "" for passed."""
    return columns.query(
        "SELECT refusal, simulated, sum(count) AS total, uniqExact(address) AS addresses,"
        f" max(at) AS last_at FROM guard_passages WHERE {OF_INSTANCE}"
        " GROUP BY refusal, simulated ORDER BY total DESC LIMIT 100",
        instance_id=instance_id,
        since=since,
        until=until,
    )


def series(
    instance_id: str, *, since: datetime, until: datetime, step_seconds: int
) -> list[dict[str, Any]]:
    """Passed and refused by intervals that begin at multiples of the step since the epoch."""
    return columns.query(
        "SELECT intDiv(toUnixTimestamp(at), {step:UInt32}) * {step:UInt32} AS begins,"
        f" sum(count) AS total, {REFUSED} AS refused"
        f" FROM guard_passages WHERE {OF_INSTANCE} GROUP BY begins ORDER BY begins",
        instance_id=instance_id,
        since=since,
        until=until,
        step=step_seconds,
    )


def newest(instance_id: str, *, since: datetime) -> dict[str, Any]:
    """How much was reported since then, and when last."""
    return columns.query_row(
        "SELECT sum(count) AS total, max(at) AS newest_at FROM guard_passages"
        " WHERE instance_id = {instance_id:String} AND at >= {since:DateTime64(3, 'UTC')}",
        instance_id=instance_id,
        since=since,
    )
