"""The checks of databases against real ones: up, down, refused, busy, and hanging."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from mainstay_server.areas.health_checks.schemas.orders import ProbeResult
from mainstay_server.kernel import outbound
from tests.areas.health_checks.worlds import ask
from tests.servers.mariadb import MariadbServer
from tests.servers.postgres import PostgresServer
from tests.servers.processes import ServerProcess, connects_to, free_port, required_program
from tests.servers.redis import RedisServer, running_redis
from tests.servers.talking import talking
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def way_out() -> Iterator[None]:
    outbound.open_outbound(allow_private=True)
    yield
    outbound.close_outbound()


@pytest.fixture(scope="module")
def cache() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


def of(port: int, **more: Any) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port, **more}


@pytest.fixture
def watched_postgres(postgres: PostgresServer) -> dict[str, Any]:
    """A database with three orders and a user who has to give a password."""
    name = postgres.new_database()
    with psycopg.connect(postgres.dsn_of(name), autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'watcher'").fetchone():
            connection.execute("CREATE ROLE watcher LOGIN PASSWORD 'right'")
            (path,) = connection.execute("SHOW hba_file").fetchone() or ("",)
            rules = Path(path)
            first = "host all watcher 127.0.0.1/32 scram-sha-256\n"
            rules.write_text(first + rules.read_text())
            connection.execute("SELECT pg_reload_conf()")
        connection.execute("CREATE TABLE orders AS SELECT 7 * n AS id FROM generate_series(1, 3) n")
        connection.execute("GRANT SELECT ON orders TO watcher")
    return of(postgres.port, database=name, user="watcher", password="right")


@pytest.mark.slow
def test_a_postgres_that_answers_is_healthy(watched_postgres: dict[str, Any]) -> None:
    result = ask(
        "postgres",
        watched_postgres | {"query": "SELECT id, 'tea' AS name FROM orders ORDER BY id"},
        conditions=["[ROWS] == 3", "[BODY][1].id == 14", "[VERSION] >= 13", "[IP] == 127.0.0.1"],
    )

    assert (result.state, result.reason) == ("healthy", "")


@pytest.mark.slow
def test_a_wrong_password_is_told_in_postgres_own_words(watched_postgres: dict[str, Any]) -> None:
    result = ask("postgres", watched_postgres | {"password": "wrong"})

    assert result.state == "unhealthy"
    assert result.reason == 'password authentication failed for user "watcher"'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT count(*) FROM orders", "answered '3', not '4'"),
        ("SELECT id FROM orders WHERE id > 99", "answered no row, not '4'"),
        ("SELECT nothing FROM orders", 'column "nothing" does not exist'),
        ("DELETE FROM orders", "read-only transaction"),
    ],
)
def test_another_answer_of_a_query_is_unhealthy(
    watched_postgres: dict[str, Any], query: str, reason: str
) -> None:
    result = ask("postgres", watched_postgres | {"query": query, "expect": "4"})

    assert result.state == "unhealthy"
    assert reason in result.reason


@pytest.mark.slow
def test_a_query_changes_nothing_even_where_its_user_may(postgres: PostgresServer) -> None:
    name = postgres.new_database()
    config = of(
        postgres.port,
        database=name,
        user=psycopg.conninfo.conninfo_to_dict(postgres.dsn_of(name)).get("user", "postgres"),
    )

    result = ask("postgres", config | {"query": "CREATE TABLE made (n int)"})

    assert result.reason == "cannot execute CREATE TABLE in a read-only transaction"


@pytest.mark.slow
def test_a_slow_query_degrades_and_one_that_hangs_is_down(
    watched_postgres: dict[str, Any],
) -> None:
    slow = watched_postgres | {"query": "SELECT pg_sleep(0.2)", "queryDegradedAfterMs": 100}
    hanging = watched_postgres | {"query": "SELECT pg_sleep(60)"}

    degraded = ask("postgres", slow)
    assert degraded.state == "degraded"
    assert degraded.reason.startswith("the query took ")
    assert ask("postgres", hanging, timeout_seconds=1).state == "unhealthy"


@pytest.mark.slow
def test_of_many_rows_a_hundred_are_read(watched_postgres: dict[str, Any]) -> None:
    result = ask(
        "postgres", watched_postgres | {"query": "SELECT generate_series(1, 10000000) AS n"}
    )

    assert (result.state, result.values["ROWS"]) == ("healthy", 100)


@pytest.fixture
def watched_mariadb(mariadb: MariadbServer) -> dict[str, Any]:
    """A database with three orders and a user who has to give a password."""
    name = mariadb.new_database()
    with mariadb._connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER IF NOT EXISTS watcher@'127.0.0.1' IDENTIFIED BY 'right'")
        cursor.execute(f"CREATE TABLE {name}.orders (id int)")
        cursor.execute(f"INSERT INTO {name}.orders VALUES (7), (14), (21)")  # noqa: S608
        cursor.execute(f"GRANT ALL ON {name}.* TO watcher@'127.0.0.1'")
        connection.commit()
    return of(mariadb.port, database=name, user="watcher", password="right")


@pytest.mark.slow
def test_a_mariadb_that_answers_is_healthy(watched_mariadb: dict[str, Any]) -> None:
    result = ask(
        "mysql",
        watched_mariadb | {"query": "SELECT id FROM orders ORDER BY id", "expect": "7"},
        conditions=["[ROWS] == 3", "[BODY][2].id == 21", "[VERSION] contains MariaDB"],
    )

    assert (result.state, result.reason) == ("healthy", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"password": "wrong"}, "Access denied for user 'watcher'"),
        ({"query": "SELECT 5", "expect": "4"}, "answered '5', not '4'"),
        ({"query": "SELECT nothing FROM orders"}, "Unknown column"),
        ({"query": "DELETE FROM orders"}, "READ ONLY transaction"),
        ({"tls": "require"}, "SSL"),
    ],
)
def test_a_mariadb_that_says_no_is_quoted(
    watched_mariadb: dict[str, Any], changes: dict[str, Any], reason: str
) -> None:
    result = ask("mysql", watched_mariadb | changes)

    assert result.state == "unhealthy"
    assert reason in result.reason


@pytest.mark.slow
def test_a_slow_query_of_mariadb_degrades_and_one_that_hangs_is_down(
    watched_mariadb: dict[str, Any],
) -> None:
    slow = watched_mariadb | {"query": "SELECT SLEEP(0.2)", "queryDegradedAfterMs": 100}
    hanging = watched_mariadb | {"query": "SELECT SLEEP(60)"}

    assert ask("mysql", slow).state == "degraded"
    down = ask("mysql", hanging, timeout_seconds=1)
    assert (down.state, down.reason) == ("unhealthy", "no answer within 1 s")


def test_a_redis_that_answers_is_healthy(cache: RedisServer) -> None:
    client = redis.Redis(port=cache.port)
    client.set("waiting", 51)
    client.close()

    assert ask("redis", of(cache.port)).state == "healthy"
    result = ask("redis", of(cache.port, command="GET waiting"), conditions=["[BODY] < 50"])
    assert (result.state, result.reason) == ("unhealthy", "[BODY] (51) < 50")
    many = ask("redis", of(cache.port, command="CONFIG GET maxmemory*"))
    assert "maxmemory" in many.values["BODY"]  # type: ignore[operator]  # a list


def test_a_password_of_redis_is_asked_for_wrong_or_right(cache: RedisServer) -> None:
    client = redis.Redis(port=cache.port)
    client.config_set("requirepass", "right")
    try:
        none = ask("redis", of(cache.port))
        wrong = ask("redis", of(cache.port, password="wrong"))
        right = ask("redis", of(cache.port, password="right"))
    finally:
        client.config_set("requirepass", "")
        client.close()

    assert none.reason == "answered NOAUTH Authentication required."
    assert wrong.reason.startswith("answered WRONGPASS")
    assert right.state == "healthy"


@contextmanager
def a_loading_redis(folder: Path) -> Iterator[int]:
    """A Redis that has long to load: a tenth of a second for each of its thousand keys."""
    program = required_program("redis-server", package="redis-server")
    command = [program, "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    for slowly in (False, True):
        port = free_port()
        more = ["--key-load-delay", "100000", "--loading-process-events-interval-bytes", "1024"]
        server = ServerProcess(
            [*command, "--port", str(port), *(more if slowly else [])],
            log=folder / "server.log",
            is_ready=connects_to(port),
        )
        server.start()
        try:
            if slowly:
                yield port
            else:
                client = redis.Redis(port=port)
                client.mset({f"key-{n}": "x" * 1_000 for n in range(1_000)})
                client.save()
                client.close()
        finally:
            server.kill()


def test_a_redis_that_loads_its_data_is_degraded(tmp_path: Path) -> None:
    with a_loading_redis(tmp_path) as port:
        result = ask("redis", of(port))

    assert result.state == "degraded"
    assert result.reason.startswith("answered LOADING")


def test_a_redis_that_hangs_is_down(cache: RedisServer) -> None:
    sleeping = socket.create_connection(("127.0.0.1", cache.port))
    sleeping.sendall(b"EVAL 'while true do end' 0\r\n")

    def asks() -> ProbeResult:
        return ask("redis", of(cache.port), timeout_seconds=1)

    # Until its patience ends, a script keeps Redis from answering; then it says that it is busy.
    results = eventually(lambda: result if (result := asks()).state == "unhealthy" else None)
    assert results.reason.startswith(("no answer within 1 s", "answered BUSY"))
    with socket.create_connection(("127.0.0.1", cache.port)) as killing:
        killing.sendall(b"SCRIPT KILL\r\n")
        killing.recv(100)
    sleeping.close()


@pytest.mark.parametrize(
    "says",
    [b"$99999999\r\n", b"*2000\r\n", b"HTTP/1.1 400\r\n", b"*1\r\n" * 20, b"*900\r\n*900\r\n"],
)
def test_what_is_no_redis_or_answers_too_much_is_down(says: bytes) -> None:
    with talking([says]) as port:
        result = ask("redis", of(port))

    assert result.state == "unhealthy"


@pytest.mark.parametrize("kind", ["postgres", "mysql", "redis"])
def test_a_closed_port_and_a_silent_one_are_down(kind: str) -> None:
    config = {} if kind == "redis" else {"user": "watcher"}
    closed = ask(kind, of(free_port(), **config))
    with talking([]) as port:
        silent = ask(kind, of(port, **config), timeout_seconds=1)

    assert (closed.state, silent.state) == ("unhealthy", "unhealthy")
    assert "refused" in closed.reason
    assert silent.reason == "no answer within 1 s"


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_a_server_that_talks_nonsense_is_down(kind: str) -> None:
    with talking([b"\xff" * 5_000], then_close=True) as port:
        result = ask(kind, of(port, user="watcher"))

    assert result.state == "unhealthy"
    assert result.reason


def test_no_password_is_sent_to_a_mysql_that_wants_it_in_the_clear() -> None:
    greeting = (
        b"\x0a5.5.0\0" + b"\1\0\0\0" + b"saltsalt\0" + b"\x00\xa2" + b"\x2d\x02\0" + b"\x08\0"
        b"\x15" + b"\0" * 10 + b"saltsaltsalt\0" + b"mysql_native_password\0"
    )
    switch = b"\xfemysql_clear_password\0\0"
    packets = [
        len(each).to_bytes(3, "little") + bytes([number]) + each
        for number, each in ((0, greeting), (2, switch))
    ]
    with talking([b"".join(packets)]) as port:
        result = ask("mysql", of(port, user="watcher", password="secret"))

    assert result.reason == "it asks for the password in the clear; use tls"


def test_no_password_is_sent_to_a_postgres_that_wants_it_in_the_clear() -> None:
    wants = b"R" + (8).to_bytes(4, "big") + (3).to_bytes(4, "big")
    with talking([wants]) as port:
        result = ask("postgres", of(port, user="watcher", password="secret", tls="disable"))

    assert result.state == "unhealthy"
    assert "require_auth" in result.reason or "password" in result.reason


def test_an_inner_database_is_not_asked_where_that_is_closed() -> None:
    outbound.close_outbound()
    outbound.open_outbound(allow_private=False)

    for kind, config in (("postgres", {"user": "w"}), ("mysql", {"user": "w"}), ("redis", {})):
        assert "may not be reached" in ask(kind, of(5432, **config)).reason
