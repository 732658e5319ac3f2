"""Long lists taken piece by piece: all of it, in order, never more than asked for at a time."""

from hypothesis import given
from hypothesis import strategies as some
from mainstay_server.kernel.batching import batched


@given(some.lists(some.integers()), some.integers(min_value=1, max_value=9))
def test_batches_are_all_of_it_in_order_and_full_but_for_the_last(
    items: list[int], size: int
) -> None:
    found = list(batched(items, size))

    assert [item for batch in found for item in batch] == items
    assert all(len(batch) == size for batch in found[:-1])
    assert all(1 <= len(batch) <= size for batch in found)
