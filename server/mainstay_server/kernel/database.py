"""The relational store: one engine per process, one transaction per request or job."""

import importlib
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar, cast
from uuid import UUID

import sqlalchemy as sa
import uuid_utils
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect, Engine, make_url
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column
from typing_extensions import override

from .problems import Unavailable

log = logging.getLogger(__name__)

Row = TypeVar("Row", bound="Base")
Insert = sqlite.Insert | postgresql.Insert

# Long enough for a batch of another process, short enough that a request never hangs.
SQLITE_BUSY_SECONDS = 15
POOL_SIZE = 12
POOL_OVERFLOW = 24
AWAY_RETRY_AFTER_SECONDS = 5

# SQLITE_BUSY, LOCKED, READONLY, IOERR, FULL and CANTOPEN of https://sqlite.org/rescode.html
AWAY_CODES = {5, 6, 8, 10, 13, 14}
PRIMARY_CODE = 0xFF

_AFTER_COMMIT = "after_commit"


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An instant: aware UTC in Python, on SQLite stored as naive UTC text that sorts by time."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone was given to the database")
        return value.astimezone(UTC)

    @override
    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Id = Annotated[str, mapped_column(sa.String(36))]


class Base(DeclarativeBase):
    """The base of every table; constraint names are fixed so that migrations can name them."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own spelling of this attribute
        datetime: UtcDateTime(),
        dict[str, Any]: sa.JSON(),
        list[str]: sa.JSON(),
        list[Any]: sa.JSON(),
    }


class _Open:
    """The engine of this process, and the lock that queues its writers on SQLite."""

    engine: Engine | None = None
    write_lock: "threading.Lock | None" = None


def new_id() -> str:
    """A UUIDv7 as text: unique anywhere, and in order of creation within a process."""
    return str(uuid_utils.uuid7())


def made_at(one: str) -> datetime:
    """When an id was made: the first 48 bits of a UUIDv7 are milliseconds (RFC 9562).

    Raises `ValueError` for what is none.
    """
    return datetime.fromtimestamp((UUID(one).int >> 80) / 1000, tz=UTC)


def open_database(url: str) -> None:
    """Open the one relational store of this process: `sqlite:///…` or `postgresql+psycopg://…`.

    SQLite runs in WAL with full synchronisation: a commit that returned survives a power cut.
    """
    assert _Open.engine is None, "the database is open already"
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        _Open.engine = sa.create_engine(
            parsed,
            connect_args={"timeout": SQLITE_BUSY_SECONDS, "check_same_thread": False},
            pool_size=POOL_SIZE,
            max_overflow=POOL_OVERFLOW,
            poolclass=sa.pool.QueuePool,
            hide_parameters=True,  # what people and apps sent belongs into no log
        )
        sa.event.listen(_Open.engine, "connect", _prepare_sqlite)
        sa.event.listen(_Open.engine, "begin", _begin_sqlite)
        _Open.write_lock = threading.Lock()
    else:
        _Open.engine = sa.create_engine(
            parsed,
            pool_size=POOL_SIZE,
            max_overflow=POOL_OVERFLOW,
            pool_pre_ping=True,
            hide_parameters=True,
        )
        sa.event.listen(_Open.engine, "connect", _prepare_postgresql)


def close_database() -> None:
    """Close every connection; a no-op when nothing is open."""
    if _Open.engine is not None:
        _Open.engine.dispose()
    _Open.engine = None
    _Open.write_lock = None


def engine() -> Engine:
    """The open engine; raises `Unavailable` when there is none."""
    if _Open.engine is None:
        raise Unavailable("The database is not open; start the server first.")
    return _Open.engine


def is_sqlite() -> bool:
    """Whether the open store is SQLite."""
    return engine().dialect.name == "sqlite"


@contextmanager
def transaction() -> Iterator[Session]:
    """One transaction that may write: committed at the end, rolled back when the body raises.

    On SQLite writers of this process queue for one lock and take the file's write lock at the
    start (BEGIN IMMEDIATE): a transaction that reads first and writes later would otherwise fail
    at once, whatever its time-out, when another process wrote in between.

    On PostgreSQL writers run side by side: what is read to be changed is read `with_for_update`,
    or better changed in one statement.

    Raises:
        Unavailable: the database is away, or its disk is full; nothing was written.
    """
    lock = _Open.write_lock
    with (
        _refusals(),
        Session(engine().execution_options(immediate=True), expire_on_commit=False) as session,
    ):
        if lock is not None and not lock.acquire(timeout=SQLITE_BUSY_SECONDS):
            raise Unavailable("The database is busy; try again.", retry_after_seconds=1)
        try:
            with session.begin():
                yield session
        finally:
            if lock is not None:
                lock.release()
        for call in session.info.pop(_AFTER_COMMIT, {}).values():
            call()


def after_commit(session: Session, name: str, call: Callable[[], object]) -> None:
    """Call once after the session's transaction is committed, and never if it is not.

    Registering the same name again in one transaction replaces the call: it is made once.
    """
    session.info.setdefault(_AFTER_COMMIT, {})[name] = call


@contextmanager
def reading() -> Iterator[Session]:
    """One transaction that only reads: a consistent snapshot that blocks no writer.

    Raises:
        Unavailable: the database is away.
    """
    options: dict[str, Any] = {}
    if not is_sqlite():
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with (
        _refusals(),
        Session(engine().execution_options(**options), expire_on_commit=False) as session,
    ):
        yield session


@contextmanager
def _refusals() -> Iterator[None]:
    """Refuse for now what the database refuses for now; what is a bug stays one."""
    try:
        yield
    except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
        if isinstance(error, sa.exc.DBAPIError) and not _is_away(error):
            raise
        log.warning("the database cannot be used: %s", str(error).partition("\n")[0])
        raise Unavailable(
            "The database cannot be used right now; try again in a moment.",
            retry_after_seconds=AWAY_RETRY_AFTER_SECONDS,
        ) from error


def _is_away(error: sa.exc.DBAPIError) -> bool:
    """Whether the fault is the database's state, and not the statement's."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return code & PRIMARY_CODE in AWAY_CODES
    return error.connection_invalidated or isinstance(error, sa.exc.OperationalError)


def insert(table: type[Base] | sa.Table) -> sqlite.Insert:
    """An INSERT that knows `on_conflict_do_nothing` and `on_conflict_do_update` on both engines."""
    target = cast("sa.Table", table if isinstance(table, sa.Table) else table.__table__)
    made: Insert = sqlite.insert(target) if is_sqlite() else postgresql.insert(target)
    # The two dialects' statements have the same methods; callers see one type.
    return cast("sqlite.Insert", made)


def rows_changed(session: Session, statement: sa.Update | sa.Delete | sa.Insert) -> int:
    """Execute a write and return how many rows it changed."""
    counted = statement.execution_options(preserve_rowcount=True)
    result = cast("sa.CursorResult[Any]", session.execute(counted))
    return int(result.rowcount)


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - a raw driver handle
    # The driver's own implicit BEGIN is switched off: `_begin_sqlite` says which kind it is.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-16000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare_postgresql(connection: Any, _record: object) -> None:  # noqa: ANN401 - a raw driver handle
    # Loaded when chosen: the driver is slow to load, and SQLite never needs it.
    chosen = importlib.import_module(".postgresql", __package__)
    connection.adapters.register_dumper(str, chosen.DumperWithoutNul)


def _begin_sqlite(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
