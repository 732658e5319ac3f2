from dataclasses import replace
from datetime import UTC, datetime

from mainstay_server.areas.guard.service.checking import Outcome
from mainstay_server.areas.guard.service.reporting import Tally
from mainstay_server.kernel.guard import Facts, GuardedRequest, Passage
from mainstay_server.kernel.problems import TooManyRequests
from mainstay_server.kernel.subjects import InstanceRef

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
INSTANCE = InstanceRef(
    id="i",
    environment="production",
    url="",
    project_id="p",
    project_number=1,
    project_slug="shop",
    project_name="Shop",
    organization_id="o",
)


def passed(
    path: str = "/a", *, cost: int = 1, instance: str = INSTANCE.id, key: str = "k"
) -> Outcome:
    request = GuardedRequest(
        instance=replace(INSTANCE, id=instance),
        method="GET",
        path=path,
        address="203.0.113.9",
        credential="secret",
        at=NOON,
        cost=cost,
    )
    return Outcome(Passage(request=request, facts=Facts(key_id=key, owner="acme")), None)


def refused() -> Outcome:
    return Outcome(passed().passage, TooManyRequests("Later.", code="rate-limited"))


def test_what_is_alike_within_a_second_is_one_sum() -> None:
    tally = Tally()
    for outcome in (passed(cost=2), passed(cost=3), refused()):
        tally.add(outcome, status=200 if outcome.problem is None else 429, source="check")

    ((instance, batch_id, rows),) = tally.take()

    assert instance == INSTANCE
    assert {row.batch_id for row in rows} == {batch_id}
    assert sorted((row.refusal, row.count, row.cost) for row in rows) == [
        ("", 2, 5),
        ("rate-limited", 1, 0),
    ]
    assert tally.take() == []


def test_many_different_requests_do_not_fill_the_memory_and_are_still_paid_for() -> None:
    tally = Tally(most=2)
    for path in ("/a", "/b", "/c", "/d", "/a"):
        tally.add(passed(path, cost=3), status=200, source="check")

    ((_, _, rows),) = tally.take()

    assert sorted((row.route, row.count) for row in rows) == [("(many)", 2), ("/a", 2), ("/b", 1)]
    assert {(row.key_id, row.owner) for row in rows} == {("k", "acme")}
    assert sum(row.cost for row in rows) == 15
    assert tally.dropped == 0


def test_beyond_twice_the_bound_verdicts_are_only_counted() -> None:
    tally = Tally(most=2)
    for key in "abcdef":
        tally.add(passed(f"/{key}", key=key), status=200, source="check")

    ((_, _, rows),) = tally.take()

    assert len(rows) == 4
    assert tally.dropped == 2


def test_nobody_crowds_out_another_instance() -> None:
    tally = Tally(most=10, most_of_all=15, of_each=2)
    for name in ("loud", "louder", "loudest"):
        for n in range(40):
            tally.add(passed(f"/{n}", instance=name, key=f"{n}"), status=200, source="check")
    tally.add(passed("/quiet", instance="quiet"), status=200, source="check")

    stored = {instance.id: rows for instance, _, rows in tally.take()}

    assert [row.route for row in stored["quiet"]] == ["/quiet"]
    assert sum(len(rows) for rows in stored.values()) <= 15 + 4 * 2 * 2
