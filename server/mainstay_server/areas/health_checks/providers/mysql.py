"""The MySQL and MariaDB check: a session, and where asked, a query and how long it took."""

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

import pymysql
from pydantic import Field
from pymysql.cursors import DictCursor

from mainstay_server.areas.health_checks.models import HealthState
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
from mainstay_server.kernel.outbound import OutboundError

__all__ = ["EXAMPLE", "LABEL", "VALUES", "Config", "ask", "host_of", "target_of"]

LABEL = "MySQL or MariaDB"
EXAMPLE: Mapping[str, Any] = {
    "host": "db.example.com",
    "database": "shop",
    "user": "watcher",
    "password": "…",
    "query": "SELECT count(*) AS waiting FROM orders WHERE sent = 0",
}
AT_ONCE = 32
# A server that talks nonsense makes the library stumble in all these ways.
STUMBLES = (
    *(pymysql.Error, OSError, LookupError, ValueError, RuntimeError),
    *(TypeError, AttributeError, AssertionError, struct.error),
)
# The library blocks, so each check holds a thread while it waits; the socket is cut at its time.
_THREADS = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="mysql-check")


class Config(ProviderConfig):
    """Where it is and who asks. The query runs read-only; `[BODY][0].waiting` is of its first row.

    `expect` must be the first value of the first row. It is degraded when the query takes longer
    than `queryDegradedAfterMs`.
    """

    host: Host
    port: Port = 3306
    database: Annotated[str, Field(max_length=64)] = ""
    user: Annotated[str, Field(min_length=1, max_length=80)]
    password: Secret | None = None
    tls: Literal["disable", "require", "verify-full"] = "disable"
    query: Query = ""
    expect: Expected = None
    query_degraded_after_ms: QueryLimit = None


def target_of(config: Config) -> str:
    """The host, the port and the database."""
    place = f"{config.host}:{config.port}"
    return f"{place}/{config.database}" if config.database else place


def host_of(config: Config) -> str:
    """The host."""
    return config.host


async def ask(order: ProbeOrder) -> ProbeResult:
    """Begin a session and ask the query; what it finds is `[BODY]`, at most 100 rows."""
    config = Config.model_validate(order.config)
    began = time.monotonic()
    values: dict[str, object] = {}
    try:
        async with outbound.dial_socket(
            config.host, config.port, timeout_seconds=order.timeout_seconds
        ) as dialed:
            values["IP"] = dialed.address
            try:
                values |= await _in_thread(dialed.ours, config)
            except STUMBLES as error:
                result = order.answered(dialed.timings(), values=values)
                return result.worsened(HealthState.UNHEALTHY, _why(error))
            result = order.answered(dialed.timings(), values=values)
    except OutboundError as error:
        return order.unanswered(error, began=began)
    return judged(
        result,
        values,
        query=config.query,
        expect=config.expect,
        degraded_after_ms=config.query_degraded_after_ms,
    )


async def _in_thread(connection: socket.socket, config: Config) -> dict[str, object]:
    # The library takes the socket over and closes it when it likes; a second handle, made before,
    # still cuts the connection.
    with connection.dup() as handle:
        loop = asyncio.get_running_loop()
        talking = loop.run_in_executor(_THREADS, _converse, connection, config)
        try:
            return await asyncio.shield(talking)
        except asyncio.CancelledError:
            # Only this wakes the thread, which lets go of the socket before it is closed.
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)
            await asyncio.wait([talking])
            raise


def _converse(connection: socket.socket, config: Config) -> dict[str, object]:
    connection.settimeout(None)
    session = pymysql.connect(
        host=config.host,
        user=config.user,
        password=config.password.get_secret_value() if config.password else "",
        database=config.database or None,
        ssl=None if config.tls == "disable" else _tls(config),
        program_name="mainstay",
        local_infile=False,
        auth_plugin_map=IN_THE_CLEAR if config.tls == "disable" else {},
        autocommit=True,
        defer_connect=True,
    )
    session.connect(connection)
    with closing(session):
        found: dict[str, object] = {"VERSION": session.get_server_info()}  # type: ignore[no-untyped-call]
        if config.query:
            asked = time.monotonic()
            rows = _rows(session, config.query)
            found["QUERY_TIME"] = (time.monotonic() - asked) * 1000
            found["BODY"], found["ROWS"] = rows, len(rows)
        return found


def _not_in_the_clear(_session: object) -> object:
    """Stands where the password would be sent for everybody to read."""
    raise pymysql.OperationalError(0, "it asks for the password in the clear; use tls")


IN_THE_CLEAR: dict[str, Callable[["pymysql.Connection[Any]"], Any]] = {
    "mysql_clear_password": _not_in_the_clear
}


def _tls(config: Config) -> Any:  # noqa: ANN401 - the stubs know dicts only, the library a context
    return outbound.tls_context(verify=config.tls == "verify-full")


def _rows(session: "pymysql.Connection[Any]", query: str) -> list[dict[str, object]]:
    with session.cursor(DictCursor) as cursor:
        cursor.execute("SET SESSION TRANSACTION READ ONLY")
        cursor.execute(f"SET SESSION sql_select_limit = {MOST_ROWS}")
        cursor.execute(query)
        rows = cursor.fetchmany(MOST_ROWS)
    return [{str(name): _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime | date | timedelta):
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _why(error: Exception) -> str:
    if isinstance(error, pymysql.Error) and len(error.args) > 1:
        return str(error.args[1])
    return str(error) or type(error).__name__
