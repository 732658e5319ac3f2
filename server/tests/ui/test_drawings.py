import pytest
from mainstay_server.ui.drawings import spark, tone_of


def test_a_spark_runs_from_the_left_edge_to_the_right_and_higher_is_up() -> None:
    drawn = spark([0, 5, 10])

    assert drawn is not None
    assert drawn.line == "M0.0 30.0L50.0 16.0L100.0 2.0"
    assert drawn.area == "M0.0 30.0L50.0 16.0L100.0 2.0V32H0.0Z"


def test_a_gap_in_a_spark_stays_a_gap() -> None:
    drawn = spark([1, 2, None, 2, 1])

    assert drawn is not None
    assert drawn.line.count("M") == 2


@pytest.mark.parametrize("values", [[], [3], [None, 4, None]])
def test_fewer_than_two_values_draw_nothing(values: list[float | None]) -> None:
    assert spark(values) is None


def test_a_flat_spark_is_a_line_and_no_division_by_zero() -> None:
    assert spark([7, 7, 7]) is not None


def test_status_words_of_every_area_have_a_tone_and_strange_ones_are_neutral() -> None:
    words = ("up", "Degraded", "down", "running", "paused", "florp")
    assert [tone_of(word) for word in words] == [
        "ok",
        "warn",
        "critical",
        "info",
        "neutral",
        "neutral",
    ]
