"""The three databases that the care is promised for, each real, and the tables of a small app."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from tests.servers.mariadb import MariadbServer, running_mariadb
from tests.servers.postgres import PostgresServer, running_postgres

KINDS = ("sqlite", "postgresql", "mariadb")


class Base(DeclarativeBase):
    """The app's own tables."""


class Article(Base):
    __tablename__ = "articles"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    slug: Mapped[str] = mapped_column(sa.String(100), unique=True)
    headline: Mapped[str] = mapped_column("title", sa.String(200), default="untitled")
    rank: Mapped[int | None]
    published: Mapped[datetime | None]
    comments: Mapped[list["Comment"]] = relationship()


class Comment(Base):
    __tablename__ = "comments"

    id: Mapped[int] = mapped_column(primary_key=True)
    article_id: Mapped[int] = mapped_column(sa.ForeignKey("articles.id", ondelete="CASCADE"))


class Folder(Base):
    __tablename__ = "folders"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    parent_id: Mapped[int | None] = mapped_column(sa.ForeignKey("folders.id"))


def table(model: type[Base]) -> sa.Table:
    found = model.__table__
    assert isinstance(found, sa.Table)
    return found


class Servers:
    """Started when first asked for, and stopped together."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._postgres: PostgresServer | None = None
        self._mariadb: MariadbServer | None = None

    def url(self, kind: str, folder: Path) -> str:
        """Make an empty database of a kind and return its URL."""
        if kind == "sqlite":
            return f"sqlite:///{folder / 'app.db'}"
        if kind == "postgresql":
            self._postgres = self._postgres or self._stack.enter_context(running_postgres())
            return self._postgres.url_of(self._postgres.new_database())
        self._mariadb = self._mariadb or self._stack.enter_context(running_mariadb())
        return self._mariadb.url_of(self._mariadb.new_database())


@contextmanager
def opened(url: str, **options: Any) -> Iterator[sa.Engine]:
    """Yield an engine over a database with the app's tables; SQLite holds foreign keys too."""
    engine = sa.create_engine(url, **options)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _hold_foreign_keys)
    Base.metadata.create_all(engine)
    try:
        yield engine
    finally:
        engine.dispose()


def _hold_foreign_keys(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys = ON")


def rows(how_many: int, *, begin: int = 0) -> Iterator[dict[str, Any]]:
    """Articles whose values follow from their number."""
    for number in range(begin, begin + how_many):
        yield {"id": number, "slug": f"article-{number}", "headline": f"Title {number}"}
