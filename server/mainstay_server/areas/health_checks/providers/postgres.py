"""The PostgreSQL check: a session, and where asked, a query, its answer and how long it took."""

import time
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from pydantic import Field

from mainstay_server.areas.health_checks.schemas.orders import (
    Host,
    Port,
    ProbeOrder,
    ProbeResult,
    ProviderConfig,
    Secret,
)
from mainstay_server.areas.health_checks.schemas.queries import (
    MOST_ROWS,
    VALUES,
    Expected,
    Query,
    QueryLimit,
    judged,
)
from mainstay_server.kernel import outbound
from mainstay_server.kernel.outbound import OutboundError, Reached

__all__ = ["EXAMPLE", "LABEL", "VALUES", "Config", "ask", "host_of", "target_of"]

LABEL = "PostgreSQL"
EXAMPLE: Mapping[str, Any] = {
    "host": "db.example.com",
    "database": "shop",
    "user": "watcher",
    "password": "…",
    "query": "SELECT count(*) AS waiting FROM orders WHERE NOT sent",
    "queryDegradedAfterMs": 200,
}
NOBODYS_FILE = "/nonexistent"
MOST_ADDRESSES = 4


class Config(ProviderConfig):
    """Where it is and who asks. The query runs read-only; `[BODY][0].waiting` is of its first row.

    `expect` must be the first value of the first row. It is degraded when the query takes longer
    than `queryDegradedAfterMs`.
    """

    host: Host
    port: Port = 5432
    database: Annotated[str, Field(min_length=1, max_length=63)] = "postgres"
    user: Annotated[str, Field(min_length=1, max_length=63)]
    password: Secret | None = None
    tls: Literal["disable", "prefer", "require", "verify-full"] = "prefer"
    query: Query = ""
    expect: Expected = None
    query_degraded_after_ms: QueryLimit = None


def target_of(config: Config) -> str:
    """The host, the port and the database."""
    return f"{config.host}:{config.port}/{config.database}"


def host_of(config: Config) -> str:
    """The host."""
    return config.host


async def ask(order: ProbeOrder) -> ProbeResult:
    """Begin a session and ask the query; what it finds is `[BODY]`, at most 100 rows."""
    config = Config.model_validate(order.config)
    began = time.monotonic()
    values: dict[str, object] = {}
    try:
        async with outbound.reaching(config.host, timeout_seconds=order.timeout_seconds) as reached:
            try:
                await _converse(config, reached.addresses, order, values)
            except (psycopg.Error, ValueError) as error:
                return _said_no(order, reached, error, values)
            result = order.answered(reached.timings(), values=values)
    except OutboundError as error:
        return order.unanswered(error, began=began)
    return judged(
        result,
        values,
        query=config.query,
        expect=config.expect,
        degraded_after_ms=config.query_degraded_after_ms,
    )


async def _converse(
    config: Config, addresses: Sequence[str], order: ProbeOrder, values: dict[str, object]
) -> None:
    addresses = addresses[:MOST_ADDRESSES]
    connection = await psycopg.AsyncConnection.connect(
        host=",".join([config.host] * len(addresses)),
        hostaddr=",".join(addresses),
        port=config.port,
        dbname=config.database,
        user=config.user,
        password=config.password.get_secret_value() if config.password else "",
        sslmode=config.tls,
        sslrootcert=outbound.authorities_file() if config.tls == "verify-full" else NOBODYS_FILE,
        # Nothing of the machine's own: no password file, no key, no ticket.
        passfile=NOBODYS_FILE,
        sslcert=NOBODYS_FILE,
        sslkey=NOBODYS_FILE,
        gssencmode="disable",
        # A server in between could ask for the password itself.
        require_auth="" if config.tls in ("require", "verify-full") else "!password",
        application_name="mainstay",
        connect_timeout=max(order.timeout_seconds, 2),
        options=f"-c statement_timeout={order.timeout_seconds * 1000}"
        " -c default_transaction_read_only=on",
        autocommit=True,
    )
    try:
        values["IP"] = connection.info.hostaddr
        values["VERSION"] = connection.info.server_version // 10_000
        if config.query:
            asked = time.monotonic()
            rows = await _rows(connection, config.query)
            values["QUERY_TIME"] = (time.monotonic() - asked) * 1000
            values["BODY"], values["ROWS"] = rows, len(rows)
    finally:
        # Closing needs no answer: it must not wait for a server that hangs.
        connection.pgconn.finish()


async def _rows(connection: psycopg.AsyncConnection[Any], query: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    async with connection.cursor(row_factory=dict_row) as cursor:
        # Row by row: a query of a million rows costs us a hundred.
        async for row in cursor.stream(query.encode()):
            rows.append({name: _plain(value) for name, value in row.items()})
            if len(rows) == MOST_ROWS:
                break
    return rows


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime | date | UUID | timedelta):
        return str(value)
    return value if isinstance(value, str | int | float | bool | list | dict | None) else str(value)


def _said_no(
    order: ProbeOrder,
    reached: Reached,
    error: psycopg.Error | ValueError,
    values: Mapping[str, object],
) -> ProbeResult:
    """Down, in the server's own words, or because nobody answered at all."""
    lines = [line.strip() for line in str(error).splitlines() if "failed: " in line]
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    said = primary or (lines[-1] if lines else str(error).partition("\n")[0])
    reason = said.rpartition("failed: ")[2].removeprefix("FATAL:").strip()
    if "IP" not in values and "FATAL:" not in said:
        raise OutboundError("connect", f"It does not answer ({reason}).") from None
    return order.answered(reached.timings(), values=values).with_fault(reason or "it hung up")
