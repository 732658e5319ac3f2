"""Shapes: statements alike become one, and no value is left in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainstay._internal.databases.shapes import BOUNDS, Histogram, shape_of

ALIKE = [
    (
        "sqlite",
        "SELECT * FROM t1 WHERE a = 'it''s' AND b = 1.5e3",
        "SELECT * FROM t1 WHERE a = ? AND b = ?",
    ),
    ("sqlite", "SELECT 1 WHERE a IN (?, ?, ?)", "SELECT ? WHERE a IN (?)"),
    ("sqlite", "INSERT INTO t (a, b) VALUES (?, ?), (?, ?)", "INSERT INTO t (a, b) VALUES (?)"),
    ("postgresql", "a IN (%(x_1)s::INTEGER, %(x_2)s::INTEGER)", "a IN (?)"),
    ("postgresql", "a = $1 AND b = :name AND c::text = %s", "a = ? AND b = ? AND c::text = ?"),
    ("postgresql", "a = E'x\\'secret' AND b = $tag$it's secret$tag$", "a = ? AND b = ?"),
    ("postgresql", "a LIKE'C:\\' AND b = 'secret'", "a LIKE? AND b = ?"),
    ("postgresql", 'SELECT "col 1" -- secret\nFROM x /* secret */', 'SELECT "col 1" FROM x'),
    ("mysql", "a = \"secret\" AND b = 'x\\'secret' # secret", "a = ? AND b = ?"),
    ("mysql", "SELECT `col 1` FROM t WHERE x = 0xFF", "SELECT `col 1` FROM t WHERE x = ?"),
    ("sqlite", "SELECT 'never ended secret", "SELECT ?"),
    ("sqlite", "SELECT " + "'" + "secret" * 5_000 + "'", "SELECT ?"),
    ("sqlite", "SELECT X'AB', -5, t.c1 FROM t", "SELECT ?, -?, t.c1 FROM t"),
]


@pytest.mark.parametrize(("dialect", "statement", "shape"), ALIKE)
def test_a_statement_without_its_values(dialect: str, statement: str, shape: str) -> None:
    assert shape_of(statement, dialect) == shape


@given(st.text(), st.sampled_from(["sqlite", "postgresql", "mysql"]))
def test_no_text_however_odd_is_left_in_a_shape(value: str, dialect: str) -> None:
    quoted = value.replace("'", "''")
    if dialect == "mysql":
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    statement = "SELECT * FROM t WHERE a = 'TEXT' AND b = 'next' ORDER BY c"

    assert (
        shape_of(statement.replace("TEXT", quoted), dialect)
        == "SELECT * FROM t WHERE a = ? AND b = ? ORDER BY c"
    )


@pytest.mark.parametrize("piece", ["'", "$a", "(?,", "((", "/*", "--", "1.", "e'\\", "?, (", '"'])
def test_what_is_meant_to_be_slow_is_not(piece: str) -> None:
    assert len(shape_of(piece * 100_000, "postgresql")) <= 1_000
    assert len(shape_of(piece * 100_000, "mysql")) <= 1_000


@given(st.lists(st.floats(min_value=2e-5, max_value=60), min_size=1, max_size=200))
def test_a_quantile_is_off_by_a_seventh_at_most(durations: list[float]) -> None:
    histogram = Histogram()
    for seconds in durations:
        histogram.add(seconds)
    for share in (0.5, 0.95):
        exact = sorted(durations)[max(0, -(-int(share * 100) * len(durations) // 100) - 1)]
        found = histogram.quantile(share, longest=max(durations))
        assert exact / 1.15 <= found <= exact * 1.15


def test_what_is_longer_than_every_bucket_is_the_longest() -> None:
    histogram = Histogram()
    histogram.add(BOUNDS[-1] * 10)
    assert histogram.quantile(0.5, longest=900.0) == 900.0
    assert Histogram().quantile(0.5, longest=0.0) == 0.0
