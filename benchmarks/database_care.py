"""Claim: batches are several times faster, page 1,000 is as quick as page 1, timing is cheap.

Against a real PostgreSQL and a SQLite file, in one run: inserting rows one by one, with
``session.add_all`` and with `insert_in_batches`; page 1,000 of a list by OFFSET and by `page`; and
the processor time that `QueryTiming` adds to a query, for the cheapest there is. What is compared
takes turns, so that what else the machine does falls on all of them.

    python benchmarks/database_care.py
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from mainstay.sqlalchemy import QueryTiming, insert_in_batches, page
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "server"))

from tests.servers.postgres import running_postgres  # noqa: E402 - found by the line above

ROUNDS = 5
ROWS = 5_000
LISTED = 100_000
PAGE = 50
DEEP = 1_000
QUERIES = 1_000
BY_KEY = sa.text("SELECT title FROM articles WHERE id = :id")


class Base(DeclarativeBase):
    """What is inserted and read."""


class Article(Base):
    __tablename__ = "articles"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    title: Mapped[str] = mapped_column(sa.String(200))
    rank: Mapped[int] = mapped_column(index=True)


def rows(how_many: int) -> Iterator[dict[str, Any]]:
    for number in range(how_many):
        yield {"id": number, "title": f"Article {number}", "rank": number * 7_919 % 1_000_003}


def one_by_one(session: Session) -> None:
    for row in rows(ROWS):
        session.execute(sa.insert(Article.__table__), row)  # type: ignore[arg-type]


def add_all(session: Session) -> None:
    session.add_all([Article(**row) for row in rows(ROWS)])
    session.flush()


def in_batches(session: Session) -> None:
    insert_in_batches(session, Article, rows(ROWS))


def insert(engine: sa.Engine, place: str) -> None:
    ways: dict[str, Callable[[Session], None]] = {
        "row by row": one_by_one,
        "session.add_all": add_all,
        "insert_in_batches": in_batches,
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            with Session(engine) as session:
                began = time.perf_counter()
                way(session)
                taken[name].append(time.perf_counter() - began)
                session.rollback()
    medians = {name: statistics.median(each) for name, each in taken.items()}
    ours = medians.pop("insert_in_batches")
    print(f"{place}: insert_in_batches {ROWS / ours:,.0f} rows/s")
    for name, seconds in medians.items():
        print(f"  {name}: {ROWS / seconds:,.0f} rows/s, ratio {seconds / ours:.1f}")


def deep_pages(engine: sa.Engine, place: str) -> None:
    with Session(engine) as session:
        insert_in_batches(session, Article, rows(LISTED))
        session.commit()
        order = [Article.rank]
        cursor, first = None, time.perf_counter()
        page(session, sa.select(Article), order_by=order, limit=PAGE)
        first = time.perf_counter() - first
        for _ in range(DEEP - 1):
            cursor = page(
                session, sa.select(Article), order_by=order, after=cursor, limit=PAGE
            ).next_cursor
            session.expunge_all()
        offset = sa.select(Article).order_by(Article.rank, Article.id)
        by_offset = offset.limit(PAGE).offset((DEEP - 1) * PAGE)
        taken: dict[str, list[float]] = {"offset": [], "keyset": [], "first": []}
        for _ in range(ROUNDS * 3):
            began = time.perf_counter()
            expected = [one.id for one in session.scalars(by_offset)]
            taken["offset"].append(time.perf_counter() - began)
            session.expunge_all()
            for name, after in (("keyset", cursor), ("first", None)):
                began = time.perf_counter()
                one = page(session, sa.select(Article), order_by=order, after=after, limit=PAGE)
                taken[name].append(time.perf_counter() - began)
                session.expunge_all()
                if name == "keyset":
                    assert [item.id for item in one.items] == expected
    medians = {name: statistics.median(each) * 1e3 for name, each in taken.items()}
    print(
        f"{place}: page {DEEP:,} of {PAGE} takes {medians['keyset']:.2f} ms by keyset and"
        f" {medians['offset']:.2f} ms by offset, ratio {medians['offset'] / medians['keyset']:.1f};"
        f" page 1 takes {medians['first']:.2f} ms"
    )


def bare_text(session: Session, number: int) -> None:
    session.connection().execute(BY_KEY, {"id": number}).all()


def one_object(session: Session, number: int) -> None:
    session.scalars(sa.select(Article).where(Article.id == number)).all()


def timing_costs(engine: sa.Engine, place: str, ask: Callable[[Session, int], None]) -> None:
    """The same query on one connection; timing is switched on and off between rounds."""

    def round_of(session: Session) -> float:
        began = time.process_time()
        for number in range(QUERIES):
            ask(session, number)
        return (time.process_time() - began) / QUERIES * 1e6

    bare: list[float] = []
    added: list[float] = []
    for _ in range(ROUNDS * 6):
        with Session(engine) as session:
            without = round_of(session)
        timing = QueryTiming(engine)
        with Session(engine) as session:
            added.append(round_of(session) - without)
        timing.close()
        bare.append(without)
    query, more = statistics.median(bare), statistics.median(added)
    print(
        f"{place}: timing adds {more:.1f} us of processor to the {query:.0f} us of {ask.__name__},"
        f" ratio {more / query:.3f}"
    )


def measure(engine: sa.Engine, place: str) -> None:
    Base.metadata.create_all(engine)
    insert(engine, place)
    deep_pages(engine, place)
    timing_costs(engine, place, bare_text)
    timing_costs(engine, place, one_object)
    engine.dispose()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        measure(sa.create_engine(f"sqlite:///{Path(folder) / 'app.db'}"), "SQLite")
    with running_postgres() as server:
        measure(sa.create_engine(server.url_of(server.new_database())), "PostgreSQL")


if __name__ == "__main__":
    main()
