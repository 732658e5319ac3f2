"""How a database is reached for its data alone: one snapshot, and every value as JSON takes it."""

import math
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from mainstay_server.areas.backups.schemas import EngineFailed
from mainstay_server.areas.backups.settings import allowed_path
from mainstay_server.kernel.problems import Invalid

DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "sqlite": "sqlite",
}
WRONG = (
    "The url must be postgresql://user:password@host/database, mysql://… or sqlite:////folder/file."
)
MOST_TABLES = 500
LONGEST = 255
CONNECT_SECONDS = 10
NOBODYS_FILE = "/nonexistent"
MOST_IN_INTEGER = 1 << 63
ROWS_AT_ONCE = 1000
# Told by PostgreSQL as numbers and texts; all else is told in its own words, and read from them.
PLAIN = (sa.Integer, sa.Boolean, sa.String, sa.Float)
BEGIN = {
    "postgresql": (
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "SET LOCAL timezone = 'UTC'",
        "SET LOCAL datestyle = 'ISO, YMD'",
        "SET LOCAL intervalstyle = 'iso_8601'",
        "SET LOCAL statement_timeout = 0",
        "SET LOCAL idle_in_transaction_session_timeout = 0",
        "SET LOCAL row_security = off",
    ),
    "mysql": (
        "SET SESSION time_zone = '+00:00', sql_mode = '', net_write_timeout = 86400",
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT",
    ),
    "sqlite": ("BEGIN", "SELECT count(*) FROM sqlite_schema"),
}


@dataclass(frozen=True)
class Shape:
    """One table: its columns whose values are kept, and those that are told in their own words."""

    name: str
    schema: str | None
    columns: tuple[str, ...]
    in_words: frozenset[str]

    @property
    def full_name(self) -> str:
        """With its schema, where it has one."""
        return f"{self.schema}.{self.name}" if self.schema else self.name


def checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The `url` of a database, and the names of `tables`; all of them when there are none."""
    try:
        url = make_url(str(config.get("url", "")))
    except (ArgumentError, ValueError):  # whose text may hold the password
        raise Invalid(WRONG) from None
    if url.drivername not in DRIVERS or url.query or len(str(url)) > LONGEST:
        raise Invalid(WRONG)
    tables = config.get("tables") or []
    if not isinstance(tables, list) or not all(isinstance(each, str) for each in tables):
        raise Invalid('`tables` is a list of names, such as ["people", "shop.orders"].')
    if len(tables) > MOST_TABLES or any(not 0 < len(each) <= LONGEST for each in tables):
        raise Invalid(f"Name at most {MOST_TABLES} tables.")
    if url.drivername == "sqlite":
        path = allowed_path(url.database)
        return {"path": str(path), "kind": "sqlite", "tables": tables}
    if not (url.host and url.database and url.username):
        raise Invalid("The url must name a host, a database and a user.")
    return {
        "kind": url.drivername,
        "host": url.host,
        "port": url.port,
        "user": url.username,
        "password": url.password or "",
        "dbname": url.database,
        "tables": tables,
    }


def shown(config: Mapping[str, Any]) -> str:
    """Where it is and which tables, without the password."""
    place = config.get("path") or f"{config['user']}@{config['host']}/{config['dbname']}"
    tables = ", ".join(config["tables"]) or "all tables"
    return f"{place}: {tables}"


def opened(config: Mapping[str, Any]) -> sa.Engine:
    """What SQLAlchemy connects by. A file is opened for reading unless its config says else."""
    if "path" not in config:
        is_postgresql = DRIVERS[config["kind"]] == DRIVERS["postgresql"]
        host = config["host"] if is_postgresql else config.get("address", config["host"])
        url = URL.create(
            DRIVERS[config["kind"]],
            username=config["user"],
            password=config["password"],
            host=host,
            port=config["port"],
            database=config["dbname"],
        )
        arguments: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS}
        if is_postgresql:
            # else the server's own environment and password file would lend a target their rights
            arguments |= {"password": config["password"], "passfile": NOBODYS_FILE}
            if "address" in config:
                arguments["hostaddr"] = config["address"]
        return sa.create_engine(url, poolclass=NullPool, connect_args=arguments)
    path = Path(config["path"])
    if path.resolve() != path:
        raise EngineFailed(f"{path} leads elsewhere by now; name the file itself.")
    address = f"file:{quote(str(path))}?mode={config.get('mode', 'ro')}"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)

    return sa.create_engine("sqlite://", poolclass=NullPool, creator=connect)


@contextmanager
def snapshot(config: Mapping[str, Any]) -> Iterator[sa.Connection]:
    """One state of the database until the block ends; raises `EngineFailed`."""
    with connected(config) as connection:
        kind = connection.dialect.name
        for statement in BEGIN["mysql" if kind == "mariadb" else kind]:
            connection.exec_driver_sql(statement)
        yield connection
        connection.rollback()


@contextmanager
def connected(config: Mapping[str, Any]) -> Iterator[sa.Connection]:
    """A connection in a transaction of its own; raises `EngineFailed` without any password."""
    engine = opened(config)
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        told = str(getattr(error, "orig", None) or error)
        if password := config.get("password"):
            told = told.replace(password, "…")
        raise EngineFailed(f"{shown(config)} says: {told[:500]}") from None
    finally:
        engine.dispose()


def shapes(connection: sa.Connection, wanted: Sequence[str]) -> list[Shape]:
    """Tables with columns, in the order in which they can be filled; or `EngineFailed`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sa.exc.SAWarning)  # types that nobody knows are in words
        inspector = sa.inspect(connection)
        named = _named(inspector, wanted)
        found = [_shape(inspector, name, schema) for name, schema in named]
    return [each for each in found if each.columns]


def _named(inspector: sa.Inspector, wanted: Sequence[str]) -> list[tuple[str, str | None]]:
    schemas: set[str | None] = {each.rpartition(".")[0] or None for each in wanted} or {None}
    there = [
        (name, schema)
        for schema in sorted(schemas, key=lambda each: each or "")
        for name, _ in inspector.get_sorted_table_and_fkc_names(schema=schema)
        if name is not None
    ]
    if not wanted:
        return there
    chosen = [each for each in there if ".".join(filter(None, (each[1], each[0]))) in wanted]
    names = {".".join(filter(None, (schema, name))) for name, schema in chosen}
    if missing := sorted(set(wanted) - names):
        raise EngineFailed(f"There is no table {', '.join(missing)}; look at the names.")
    return chosen


def _shape(inspector: sa.Inspector, name: str, schema: str | None) -> Shape:
    columns = [
        each for each in inspector.get_columns(name, schema=schema) if "computed" not in each
    ]
    in_words = [
        each["name"]
        for each in columns
        if inspector.dialect.name == "postgresql" and not isinstance(each["type"], PLAIN)
    ]
    return Shape(name, schema, tuple(each["name"] for each in columns), frozenset(in_words))


def rows_of(connection: sa.Connection, shape: Shape) -> Iterator[tuple[Any, ...]]:
    """Every row of a table as JSON takes it, a thousand at a time."""
    columns = [
        sa.cast(sa.column(name), sa.Text) if name in shape.in_words else sa.column(name)
        for name in shape.columns
    ]
    asked = sa.select(*columns).select_from(sa.table(shape.name, schema=shape.schema))
    found = connection.execution_options(stream_results=True, yield_per=ROWS_AT_ONCE)
    for row in found.execute(asked):
        yield tuple(map(as_json, row))


def as_json(value: Any) -> Any:  # noqa: ANN401 - a database's value
    """A value as it stands in a line; bytes and numbers that JSON lacks are objects of one key."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$hex": bytes(value).hex()}
    return _duration(value) if isinstance(value, timedelta) else str(value)


def from_json(value: Any, *, is_scratch: bool) -> Any:  # noqa: ANN401 - a database's value
    """What a line says, as drivers take it; in a scratch database as `canonical` has it."""
    if isinstance(value, dict):
        ((kind, text),) = cast("dict[str, str]", value).items()
        if kind == "$hex":
            return bytes.fromhex(text)
        return text if is_scratch else float(text)
    return canonical(value) if is_scratch else value


def canonical(value: Any) -> Any:  # noqa: ANN401 - a database's value
    """The same for a value in any database: truth is a number, a long number a text."""
    if isinstance(value, dict) and "$float" in value:
        return value["$float"]
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int) and not -MOST_IN_INTEGER <= value < MOST_IN_INTEGER:
        return str(value)
    return value


def _duration(value: timedelta) -> str:
    """As MySQL writes a TIME, which has up to 838 hours and a sign."""
    sign, left = ("-", -value) if value < timedelta(0) else ("", value)
    minutes, seconds = divmod(left.days * 86_400 + left.seconds, 60)
    text = f"{sign}{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
    return f"{text}.{left.microseconds:06}" if left.microseconds else text
