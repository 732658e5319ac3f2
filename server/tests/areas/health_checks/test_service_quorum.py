"""The quorum: most of those that answer decide, and a draw decides nothing."""

from itertools import product

import pytest
from mainstay_server.areas.health_checks.service.quorum import Quorum, Vote, verdict
from mainstay_server.kernel.watching import State

H, D, U, NONE = State.HEALTHY, State.DEGRADED, State.UNHEALTHY, State.UNKNOWN


def of(*states: State, before: State = H, quorum: Quorum = Quorum.MAJORITY) -> State:
    votes = [
        Vote(location=f"place {number}", state=state, reason="answered 503")
        for number, state in enumerate(states, 1)
    ]
    return verdict(votes, before=before, quorum=quorum).state


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((H, H, H), H),
        ((U, H, H), D),
        ((U, U, H), U),
        ((U, U, U), U),
        ((U,), U),
        ((U, H), D),
        ((D, H, H), H),
        ((D, D, H), D),
        ((U, NONE, NONE), U),
        ((H, NONE, NONE), H),
        ((NONE, NONE), NONE),
        ((), NONE),
    ],
)
def test_a_majority_of_those_that_answer_decides(
    states: tuple[State, ...], expected: State
) -> None:
    assert of(*states) == expected


def test_a_split_in_two_halves_changes_nothing_either_way() -> None:
    assert of(U, U, H, H, before=H) == D
    assert of(U, U, H, H, before=D) == D
    assert of(U, U, H, H, before=U) == U
    assert of(U, H, H, H, before=U) == D


def test_any_and_all_are_taken_at_their_word() -> None:
    assert of(U, H, H, quorum=Quorum.ANY) == U
    assert of(H, H, H, before=U, quorum=Quorum.ANY) == H
    assert of(U, U, H, quorum=Quorum.ALL) == D
    assert of(U, U, U, quorum=Quorum.ALL) == U
    assert of(U, U, H, before=U, quorum=Quorum.ALL) == U


def test_going_back_and_forth_at_one_place_of_four_never_leaves_or_enters_an_outage() -> None:
    state = H
    seen = []
    for fourth in (H, U) * 10:
        state = of(U, H, H, fourth, before=state)
        seen.append(state)

    assert U not in seen


@pytest.mark.parametrize("quorum", list(Quorum))
def test_whatever_is_voted_everybody_agreeing_is_what_it_is(quorum: Quorum) -> None:
    for count, before in product(range(1, 6), (H, D, U, NONE)):
        assert of(*[U] * count, before=before, quorum=quorum) == U
        assert of(*[H] * count, before=before, quorum=quorum) == H


def test_the_reason_names_who_says_so() -> None:
    votes = [
        Vote(location="Frankfurt", state=U, reason="answered 503"),
        Vote(location="here", state=H),
        Vote(location="Oslo", state=U, reason="no answer within 10 s"),
    ]

    found = verdict(votes, before=H, quorum=Quorum.MAJORITY)

    assert found.reason == "answered 503 (from Frankfurt, Oslo: 2 of 3 places)"
