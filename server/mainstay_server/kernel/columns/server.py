"""A ClickHouse server or cluster, over HTTP."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, Error
from clickhouse_connect.driver.httputil import get_pool_manager

from .engines import INSERT_SETTINGS, QUERY_ROWS, QUERY_SECONDS, Inserter
from .layouts import Layout, insert_into, quoted
from .refusals import EngineError
from .tables import Encoding, Table

CONNECTIONS = 16
CONNECT_SECONDS = 5
ANSWER_SECONDS = 60
DEFAULT_PORT = 8123
DEFAULT_SECURE_PORT = 8443

AMBIGUOUS_CODES = {None, 209, 210, 319}
"""After these nobody knows whether an insert happened: no answer, SOCKET_TIMEOUT, NETWORK_ERROR,
UNKNOWN_STATUS_OF_INSERT."""


class ServerEngine:
    """One ClickHouse server, or any node of a cluster. Calls may come from many threads at once."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        unknown = sorted(set(options) - {"cluster", "secure"})
        if unknown or not parts.hostname:
            raise ValueError(
                "MAINSTAY_COLUMNS_URL is clickhouse://user:password@host:8123/database with"
                f" ?cluster= and ?secure=true; it does not know {unknown}"
            )
        self.layout = Layout(cluster=options.get("cluster", ""))
        secure = options.get("secure") == "true"
        self._address: dict[str, Any] = {
            "host": parts.hostname,
            "port": parts.port or (DEFAULT_SECURE_PORT if secure else DEFAULT_PORT),
            "username": unquote(parts.username or "default"),
            "password": unquote(parts.password or ""),
            "database": parts.path.strip("/") or "default",
            "secure": secure,
        }
        self._pool = get_pool_manager(maxsize=CONNECTIONS, num_pools=1)
        # Foreground: a Distributed table answers when the shard has stored, not when it will.
        self._writing = self._client({"distributed_foreground_insert": 1})
        self._reading = self._client(
            {"max_execution_time": QUERY_SECONDS, "max_result_rows": QUERY_ROWS, "readonly": 2}
        )

    @property
    def folder(self) -> Path | None:
        """It keeps its files where the server is."""
        return None

    def _client(self, settings: Mapping[str, Any]) -> Client:
        with _engine_errors():
            return clickhouse_connect.get_client(
                **self._address,
                settings=dict(settings),
                pool_mgr=self._pool,
                autogenerate_session_id=False,
                connect_timeout=CONNECT_SECONDS,
                send_receive_timeout=ANSWER_SECONDS,
                tz_mode="aware",
                query_retries=1,
                # Refusals reach whoever sent the rows; the server's address is not theirs to know.
                show_clickhouse_errors="scrub",
            )

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement that changes tables."""
        with _engine_errors():
            self._writing.command(sql, parameters=dict(parameters or {}))

    def rows(self, sql: str, parameters: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
        """Answer a question."""
        with _engine_errors():
            return list(self._reading.query(sql, parameters=dict(parameters)).named_results())

    def inserter(self) -> Inserter:
        """Return a way in; all of them share the connections."""
        return ServerInserter(self._writing)

    def close(self) -> None:
        """Close the connections."""
        self._reading.close()
        self._writing.close()
        self._pool.clear()


class ServerInserter:
    """Inserts over HTTP, once even when the connection breaks before the answer."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def insert(self, table: Table, encoding: Encoding, body: bytes) -> None:
        """Store the body as one block. Asked again with the same token, the server stores once."""
        if encoding.select:
            sql = insert_into(table, encoding, source=f"input({quoted(encoding.structure)})")
        else:
            sql = f"INSERT INTO `{table.name}`"
        settings = {
            **dict(INSERT_SETTINGS),
            **dict(encoding.settings),
            "insert_deduplication_token": uuid4().hex,
            # Asked again, it also completes the roll-ups that the first time did not reach.
            "deduplicate_blocks_in_dependent_materialized_views": "1",
        }
        try:
            self._insert(f"{sql} FORMAT {encoding.format}", body, settings)
        except EngineError as error:
            if error.code not in AMBIGUOUS_CODES:
                raise
            self._insert(f"{sql} FORMAT {encoding.format}", body, settings)

    def _insert(self, sql: str, body: bytes, settings: Mapping[str, str]) -> None:
        with _engine_errors():
            self._client.command(sql, data=body, settings=dict(settings))

    def close(self) -> None:
        """Nothing is its own."""


def open_engine(url: str, *, memory_bytes: int) -> ServerEngine:
    """Connect to `clickhouse://…`; raises EngineError when nobody answers there.

    `memory_bytes` bounds an engine in this process only; a server has bounds of its own.
    """
    del memory_bytes
    return ServerEngine(url)


@contextlib.contextmanager
def _engine_errors() -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        raise EngineError(str(error), code=error.code) from error
    except Error as error:
        raise EngineError(str(error), code=None) from error
