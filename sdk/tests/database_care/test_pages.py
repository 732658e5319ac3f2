"""Pages: every row once in the database's own order, and cursors that nobody makes up."""

import asyncio
import base64
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from mainstay.sqlalchemy import BadCursor, Page, insert_in_batches, page
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, aliased, joinedload
from tests.database_care.app_databases import Article, Comment, Folder, Servers, opened, rows

pytestmark = pytest.mark.slow

NOON = datetime(2026, 1, 1, 12)  # noqa: DTZ001 - as the column is


def articles(session: Session, how_many: int) -> None:
    """Articles with few ranks and dates, and many without: ties and NULLs everywhere."""
    chance = random.Random(7)
    given = [
        {
            **row,
            "rank": chance.choice([None, None, 1, 2, 3]),
            "published": chance.choice([None, NOON, NOON + timedelta(microseconds=1_000_000)]),
        }
        for row in rows(how_many)
    ]
    insert_in_batches(session, Article, given)


def all_ids(session: Session, statement: Any, order: Sequence[Any], limit: int) -> list[int]:
    found: list[int] = []
    cursor = None
    for _ in range(200):
        one = page(session, statement, order_by=order, after=cursor, limit=limit)
        found += [item.id for item in one.items]
        assert len(one.items) == limit or one.next_cursor is None
        cursor = one.next_cursor
        if cursor is None:
            return found
    pytest.fail("the list never ends")


ORDERS: dict[str, list[Any]] = {
    "one way": [Article.rank],
    "down": [Article.rank.desc()],
    "mixed": [Article.rank.desc(), Article.published],
    "mixed back": [Article.published.desc(), Article.rank, Article.id.desc()],
    "whole rows": [Article.slug, Article.id],
    "an expression": [sa.func.length(Article.slug).desc(), sa.func.coalesce(Article.rank, 0)],
    "the key alone": [Article.id.desc()],
    "nothing but ties": [],
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
@pytest.mark.parametrize("limit", [1, 7])
def test_pages_are_the_whole_list_in_the_databases_own_order(
    engine: sa.Engine, order: list[Any], limit: int
) -> None:
    with Session(engine) as session:
        articles(session, 60)
        whole = sa.select(Article.id).order_by(*order, Article.id)
        expected = list(session.scalars(whole))

        assert all_ids(session, sa.select(Article), order, limit) == expected


@pytest.mark.parametrize("limit", [1, 4])
def test_an_order_that_places_nulls_itself_is_kept(engine: sa.Engine, limit: int) -> None:
    order: list[Any] = [Article.rank.desc().nulls_last(), Article.published.asc().nulls_first()]
    with Session(engine) as session:
        articles(session, 60)
        if engine.dialect.name == "mysql":  # which does not know how
            with pytest.raises(sa.exc.ProgrammingError):
                all_ids(session, sa.select(Article), order, limit)
            return
        expected = list(session.scalars(sa.select(Article.id).order_by(*order, Article.id)))

        assert all_ids(session, sa.select(Article), order, limit) == expected


def test_rows_that_come_and_go_between_pages_move_no_other(engine: sa.Engine) -> None:
    with Session(engine) as session:
        insert_in_batches(session, Article, rows(10))
        first = page(session, sa.select(Article), order_by=[Article.id], limit=4)
        session.execute(sa.delete(Article).where(Article.id.in_([0, 3, 5])))
        insert_in_batches(session, Article, rows(1, begin=-1))
        second = page(
            session, sa.select(Article), order_by=[Article.id], after=first.next_cursor, limit=4
        )

    assert [one.id for one in second.items] == [4, 6, 7, 8], "the last row of page one is gone"


def test_joins_break_ties_by_every_table_and_outer_ones_by_its_absence(engine: sa.Engine) -> None:
    with Session(engine) as session:
        insert_in_batches(session, Article, rows(6))
        comments = [{"id": n, "article_id": n % 3} for n in range(1, 13)]
        insert_in_batches(session, Comment, comments)
        other = aliased(Comment)
        joined = sa.select(Article.id, other.id.label("comment")).join(
            other, other.article_id == Article.id, isouter=True
        )
        found, cursor = [], None
        while True:
            one = page(session, joined, order_by=[Article.headline], after=cursor, limit=2)
            found += [(row.id, row.comment) for row in one.items]
            cursor = one.next_cursor
            if cursor is None:
                break
        nothing = [(3, None), (4, None), (5, None)]
        told = [(n % 3, n) for n in range(1, 13)]
        assert len(found) == 15
        assert set(found) == {*told, *nothing}


class Colour(Enum):
    RED = 1
    BLUE = 2


def test_every_kind_of_value_goes_into_a_cursor_and_comes_back_exactly(engine: sa.Engine) -> None:
    kinds: dict[str, tuple[Any, list[Any]]] = {
        "money": (sa.Numeric(10, 2), [Decimal("1.10"), Decimal("1.20"), Decimal("1.30")]),
        "double": (sa.Double(), [0.1, 0.2, 1e300]),
        "flag": (sa.Boolean(), [False, True, True]),
        "day": (sa.Date(), [NOON.date() + timedelta(days=n) for n in range(3)]),
        "clock": (sa.Time(), [(NOON + timedelta(hours=n)).time() for n in range(3)]),
        "key": (sa.Uuid(), [UUID(int=n) for n in range(3)]),
        "raw": (sa.LargeBinary(20), [b"\x00", b"\x01\xff", b"\x02"]),
        "colour": (sa.Enum(Colour, native_enum=False), [Colour.BLUE, Colour.RED, Colour.RED]),
        "text": (sa.String(50), ["a", "ä' OR 1=1 --", "z%s"]),
    }
    columns: list[sa.Column[Any]] = [sa.Column(name, kind) for name, (kind, _) in kinds.items()]
    table = sa.Table(
        "kinds", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), *columns
    )
    table.create(engine)
    with engine.begin() as connection:
        given = [
            {"id": n + 1, **{name: of[n] for name, (_, of) in kinds.items()}} for n in range(3)
        ]
        insert_in_batches(connection, table, given)
        for column in columns:
            found, cursor = list[int](), None
            for _ in range(3):
                one = page(connection, sa.select(table), order_by=[column], after=cursor, limit=1)
                found += [row.id for row in one.items]
                cursor = one.next_cursor
            assert sorted(found) == [1, 2, 3], column.name
            assert cursor is None


@pytest.fixture
def first(tmp_path: Path) -> Any:
    with opened(f"sqlite:///{tmp_path / 'app.db'}") as engine, Session(engine) as session:
        articles(session, 30)
        yield session


def ask(session: Session, after: str | None = None, **options: Any) -> Page:
    given = {"order_by": [Article.rank, Article.slug], "limit": 5, **options}
    return page(session, sa.select(Article), after=after, **given)


def test_a_cursor_that_was_changed_cut_or_made_up_is_refused(first: Session) -> None:
    cursor = ask(first).next_cursor or ""
    raw = base64.urlsafe_b64decode(cursor + "==")
    changed = [
        base64.urlsafe_b64encode(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]).decode()
        for place in range(len(raw))
    ]

    for bad in [*changed, cursor[:-4], cursor + "AAAA", "", "ä", "x" * 5_000, "../../etc/passwd"]:
        with pytest.raises(BadCursor):
            ask(first, bad)


def test_a_cursor_of_another_list_or_another_secret_is_refused(first: Session) -> None:
    cursor = ask(first).next_cursor
    sealed = ask(first, secret="of this app").next_cursor

    assert ask(first, sealed, secret="of this app").items
    for options in (
        {"order_by": [Article.slug, Article.rank]},
        {"order_by": [Article.rank.desc(), Article.slug]},
        {"secret": "of this app"},
    ):
        with pytest.raises(BadCursor):
            ask(first, cursor, **options)
    with pytest.raises(BadCursor):
        ask(first, sealed, secret="of another")


FORGED = [
    '[["s","1; DROP TABLE articles"],["s","x"],["i","1"]]',
    '[["i","1"],["s","x"],["i","99999999999999999999999999"]]',
    '[["i","1"],["s","\\u0000"],["i","1"]]',
    '[["i","1"],["s","\\ud800"],["i","1"]]',
    '[["f","nan"],["s","x"],["i","1"]]',
    '[["i","1"],["s","x"]]',
    '[["e","__class__"],["s","x"],["i","1"]]',
    '[["td",[999999999999,0,0]],["s","x"],["i","1"]]',
    '{"a":1}',
    "[" * 2_000,
    '[["x","zz"],["s","x"],["i","1"]]',
    '[[["i"],"1"],["s","x"],["i","1"]]',
    '[["i","' + "9" * 3_000 + '"],["s","x"],["i","1"]]',
]


@pytest.mark.parametrize("payload", FORGED)
def test_without_a_secret_a_forged_cursor_is_refused_or_only_begins_elsewhere(
    engine: sa.Engine, payload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Session(engine) as session:
        articles(session, 30)
        session.commit()
        monkeypatch.setattr(
            "mainstay._internal.databases.cursors._seal", lambda *_: b"\x00" * 16
        )  # as somebody would who read our source
        forged = base64.urlsafe_b64encode(b"\x00" * 16 + payload.encode()).decode().rstrip("=")
        try:
            one = ask(session, forged)
        except BadCursor:
            session.rollback()
        else:
            assert len(one.items) <= 5
        assert session.scalar(sa.select(sa.func.count()).select_from(Article)) == 30


def test_names_and_raw_sql_are_no_order(first: Session) -> None:
    for order in (["slug"], ["slug; DROP TABLE articles"], [sa.text("slug")], "slug", ["1"]):
        with pytest.raises(TypeError, match=r"[Oo]rder"):
            ask(first, order_by=order)
    with pytest.raises(TypeError, match="columns"):
        ask(first, order_by=[sa.literal_column("slug")])


def test_a_page_is_at_most_a_thousand_rows_and_at_least_one(first: Session) -> None:
    insert_in_batches(first, Article, rows(1_500, begin=100))

    assert len(ask(first, limit=10**9).items) == 1_000
    with pytest.raises(ValueError, match="at least one"):
        ask(first, limit=0)


@pytest.mark.parametrize(
    "statement",
    [
        sa.select(Article).order_by(Article.id),
        sa.select(Article).limit(3),
        sa.select(Article).offset(3),
        sa.select(Article.rank).group_by(Article.rank),
        sa.select(Article.rank).distinct(),
    ],
)
def test_a_select_that_cannot_be_paged_is_refused(first: Session, statement: Any) -> None:
    with pytest.raises(ValueError, match=r"Give the order|Make a subquery"):
        page(first, statement, order_by=[Article.rank])


def test_a_grouped_subquery_is_paged_when_the_caller_says_what_is_unique(first: Session) -> None:
    grouped = sa.select(Article.rank, sa.func.count().label("many")).group_by(Article.rank)
    ranks = grouped.subquery()
    with pytest.raises(ValueError, match="no primary key"):
        page(first, sa.select(ranks), order_by=[ranks.c.rank])

    one = page(first, sa.select(ranks), order_by=[ranks.c.rank], limit=2, is_unique=True)
    rest = page(
        first, sa.select(ranks), order_by=[ranks.c.rank], after=one.next_cursor, is_unique=True
    )
    assert [row.rank for row in (*one.items, *rest.items)] == [None, 1, 2, 3]


def test_single_precision_is_refused_where_a_row_would_follow_itself(engine: sa.Engine) -> None:
    table = sa.Table("r", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))
    table.append_column(sa.Column("real", sa.REAL))
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":  # where REAL is double
            return
        with pytest.raises(TypeError, match="DOUBLE"):
            page(connection, sa.select(table), order_by=[table.c.real])


def test_an_enum_is_paged_in_the_databases_order_or_refused_where_it_compares_otherwise(
    engine: sa.Engine,
) -> None:
    shades = sa.Enum("zinc", "azure", "red", name="shades")
    table = sa.Table("shaded", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))
    table.append_column(sa.Column("shade", shades))
    table.create(engine)
    order: list[Any] = [table.c.shade]
    with Session(engine) as session:
        given = [{"id": n + 1, "shade": shades.enums[n % 3]} for n in range(12)]
        insert_in_batches(session, table, given)
        if engine.dialect.name == "mysql":
            with pytest.raises(TypeError, match="ENUM"):
                page(session, sa.select(table), order_by=order)
            order = [sa.cast(table.c.shade, sa.String(10))]
        expected = list(session.scalars(sa.select(table.c.id).order_by(*order, table.c.id)))
        found, cursor = list[int](), None
        for _ in range(6):
            one = page(session, sa.select(table), order_by=order, after=cursor, limit=2)
            found += [row.id for row in one.items]
            cursor = one.next_cursor

    assert found == expected


def test_what_an_entity_loads_by_a_join_is_no_part_of_the_list(first: Session) -> None:
    insert_in_batches(first, Comment, [{"id": n, "article_id": n % 3} for n in range(1, 13)])
    whole = sa.select(Article).options(joinedload(Article.comments))

    one = page(first, whole, order_by=[Article.id], limit=2)
    two = page(first, whole, order_by=[Article.id], limit=2, after=one.next_cursor)

    assert [(a.id, len(a.comments)) for a in (*one.items, *two.items)] == [
        *((0, 4), (1, 4), (2, 4), (3, 0))
    ]


def test_trees_and_async_sessions_page_too(database_servers: Servers, tmp_path: Path) -> None:
    url = database_servers.url("postgresql", tmp_path)

    async def live() -> list[int]:
        engine = create_async_engine(url)
        async with AsyncSession(engine) as session:
            folders = [{"id": n, "parent_id": n - 1 or None} for n in range(1, 6)]
            await session.run_sync(insert_in_batches, Folder, folders)
            order = [Folder.parent_id]
            one = await session.run_sync(page, sa.select(Folder), order_by=order, limit=2)
            two = await session.run_sync(
                page, sa.select(Folder), order_by=order, after=one.next_cursor
            )
        await engine.dispose()
        return [folder.id for folder in (*one.items, *two.items)]

    with opened(url):
        assert asyncio.run(live()) == [2, 3, 4, 5, 1]
