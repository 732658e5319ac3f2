"""Whether the app's connections to its database are ready for production, and how to mend it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

_LOCAL = ("localhost", "127.0.0.1", "::1")
_VERIFYING = ("verify-ca", "verify-full")


@dataclass(frozen=True)
class Finding:
    """What is wrong with an app's database, under a code that stays, and the one fix."""

    code: str
    problem: str
    fix: str


def check_database(engine: sa.Engine, *, processes: int = 1) -> list[Finding]:
    """Ask the database and the pool what a careful operator would; nothing found is an empty list.

    Encrypted and verified on the way (a loopback or socket needs neither), connections tried before
    use, all ``processes`` of the app within what the server lets in, statements that end.
    """
    with engine.connect() as connection:
        ask = _QUESTIONS.get(connection.dialect.name)
        findings = list(ask(connection, processes)) if ask else []
    return [*findings, *_of_the_pool(engine)]


def _of_the_pool(engine: sa.Engine) -> Iterator[Finding]:
    is_remote = engine.dialect.name != "sqlite"
    if is_remote and isinstance(engine.pool, QueuePool) and not engine.pool._pre_ping:  # noqa: SLF001 - no other way to ask
        yield Finding(
            "no-pre-ping",
            "A connection that the server or a firewall closed fails the next request.",
            "create_engine(…, pool_pre_ping=True)",
        )
    if is_remote and not isinstance(engine.pool, QueuePool):
        yield Finding(
            "not-pooled",
            f"{type(engine.pool).__name__} opens connections without a pool to take them from.",
            "Leave poolclass out, unless a pooler such as PgBouncer runs on this machine.",
        )


def _of_postgres(connection: sa.Connection, processes: int) -> Iterator[Finding]:
    is_encrypted = connection.exec_driver_sql(
        "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    ).scalar()
    yield from _on_the_way(connection, bool(is_encrypted), "sslmode=verify-full&sslrootcert=system")
    if is_encrypted and not _is_local(connection) and not _verifies(connection):
        yield Finding(
            "tls-unverified",
            "The connection is encrypted, but any certificate is believed.",
            "Add sslmode=verify-full and sslrootcert= to the URL.",
        )
    most = int(_shown(connection, "max_connections")) - int(
        _shown(connection, "superuser_reserved_connections")
    )
    yield from _within(connection.engine, processes, most)
    if _shown(connection, "statement_timeout") == "0":
        yield Finding(
            "no-statement-timeout",
            "A statement may run, and hold its locks, for ever.",
            "ALTER ROLE … SET statement_timeout = '30s', for the role the app signs in as.",
        )
    if _shown(connection, "idle_in_transaction_session_timeout") == "0":
        yield Finding(
            "no-idle-timeout",
            "A transaction that somebody forgot holds its locks, and back vacuum, for ever.",
            "ALTER ROLE … SET idle_in_transaction_session_timeout = '60s'.",
        )


def _of_mysql(connection: sa.Connection, processes: int) -> Iterator[Finding]:
    cipher = connection.exec_driver_sql("SHOW STATUS LIKE 'Ssl_cipher'").one()[1]
    yield from _on_the_way(connection, bool(cipher), "ssl_ca=… and ssl_verify_identity=true")
    most = connection.exec_driver_sql("SELECT @@max_connections").scalar_one()
    yield from _within(connection.engine, processes, most)
    is_mariadb = bool(getattr(connection.dialect, "is_mariadb", False))
    variable = "max_statement_time" if is_mariadb else "max_execution_time"
    if not connection.exec_driver_sql(f"SELECT @@{variable}").scalar_one():
        yield Finding(
            "no-statement-timeout",
            "A statement may run, and hold its locks, for ever.",
            f"SET GLOBAL {variable} = {30 if is_mariadb else 30_000}, and in the server's options.",
        )


def _of_sqlite(connection: sa.Connection, _processes: int) -> Iterator[Finding]:
    if not connection.exec_driver_sql("PRAGMA foreign_keys").scalar():
        yield Finding(
            "foreign-keys-off",
            "Foreign keys are written down but not held.",
            "PRAGMA foreign_keys = ON in a listener of the engine's connect event.",
        )
    is_file = connection.engine.url.database not in (None, "", ":memory:")
    if is_file and connection.exec_driver_sql("PRAGMA journal_mode").scalar() != "wal":
        yield Finding(
            "no-wal",
            "Whoever writes keeps everybody from reading.",
            "PRAGMA journal_mode = WAL, once; the file remembers it.",
        )
    if is_file and not connection.exec_driver_sql("PRAGMA busy_timeout").scalar():
        yield Finding(
            "no-busy-timeout",
            "A second writer fails at once instead of waiting its turn.",
            'create_engine(…, connect_args={"timeout": 5})',
        )


_QUESTIONS: dict[str, Callable[[sa.Connection, int], Iterator[Finding]]] = {
    "postgresql": _of_postgres,
    "mysql": _of_mysql,
    "mariadb": _of_mysql,
    "sqlite": _of_sqlite,
}


def _on_the_way(connection: sa.Connection, is_encrypted: bool, how: str) -> Iterator[Finding]:  # noqa: FBT001 - what was found
    if not is_encrypted and not _is_local(connection):
        yield Finding(
            "no-tls",
            "What the app and its database say to each other can be read and changed on the way.",
            f"Ask for TLS in the URL: {how}.",
        )


def _within(engine: sa.Engine, processes: int, most: int) -> Iterator[Finding]:
    pool = engine.pool
    if not isinstance(pool, QueuePool):
        return
    if pool._max_overflow < 0:  # noqa: SLF001 - no other way to ask
        yield Finding(
            "unbounded-pool",
            "max_overflow=-1 opens connections until the server refuses.",
            "Give max_overflow a number.",
        )
        return
    wanted = (pool.size() + pool._max_overflow) * processes  # noqa: SLF001 - same
    if wanted > most:
        yield Finding(
            "pool-too-large",
            f"{processes} processes may open {wanted} connections, and the server lets in {most}.",
            f"pool_size and max_overflow together at most {max(1, most // processes)}.",
        )


def _verifies(connection: sa.Connection) -> bool:
    given: Any = connection.engine.url.query.get("sslmode", "")
    return given in _VERIFYING


def _is_local(connection: sa.Connection) -> bool:
    url = connection.engine.url
    host = url.host or url.query.get("host") or ""
    return not host or (isinstance(host, str) and (host in _LOCAL or host.startswith("/")))


def _shown(connection: sa.Connection, setting: str) -> str:
    return str(connection.exec_driver_sql(f"SHOW {setting}").scalar_one())
