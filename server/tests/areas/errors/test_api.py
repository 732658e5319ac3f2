"""The API of errors: what scripts rely on, what the search box finds, and who may."""

from datetime import timedelta
from typing import Any

import pytest
from mainstay_server.kernel.clock import utc_now
from tests.world import World

from .conftest import an_event, issues, report


def of_kind(name: str, **fields: Any) -> dict[str, Any]:
    event = an_event(**fields)
    exception = event["exception"]["values"][0]
    exception["type"] = name
    exception["stacktrace"]["frames"][0]["function"] = name.lower()
    return event


@pytest.fixture
def listed(world: World) -> str:
    """Three kinds: `Alpha` three times, `Beta` twice, `Gamma` once and only in staging."""
    for _ in range(3):
        report(world, of_kind("Alpha", release="1.2", user={"id": "7", "email": "ann@a.example"}))
    for _ in range(2):
        report(world, of_kind("Beta", level="warning", release="1.3", tags={"browser": "Firefox"}))
    report(world, of_kind("Gamma", environment="staging"))
    return f"/api/instances/{world.instance.id}/errors"


def titles(world: World, path: str, **query: Any) -> list[str]:
    answer = world.bob.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return [error["title"].split(":")[0] for error in answer.json()["errors"]]


def test_a_list_has_the_shape_that_scripts_rely_on(world: World, listed: str) -> None:
    answer = world.bob.get(listed, params={"status": "unresolved"}).json()

    assert answer["nextCursor"] is None
    assert answer["errors"][1] | {"id": "", "firstSeen": "", "lastSeen": ""} == {
        "id": "",
        "shortId": "INSPECTIONS-1",
        "title": "Alpha: division by zero",
        "culprit": "app.views in alpha",
        "count": 3,
        "firstSeen": "",
        "lastSeen": "",
        "status": "unresolved",
        "level": "error",
    }
    assert answer["errors"][0]["lastSeen"].endswith("Z")


SEARCHES = [
    ("", ["Beta", "Alpha"]),
    ("alpha", ["Alpha"]),
    ("views", ["Beta", "Alpha"]),
    ("!alpha", ["Beta"]),
    ("level:warning", ["Beta"]),
    ("is:unresolved !level:warning", ["Alpha"]),
    ("is:resolved", []),
    ("release:1.2", ["Alpha"]),
    ("!release:1.2", ["Beta"]),
    ("release:1.*", ["Beta", "Alpha"]),
    ("user.email:ann@a.example", ["Alpha"]),
    ("user.email:nobody@a.example", []),
    ("browser:Firefox", ["Beta"]),
    ('browser:"Firefox"', ["Beta"]),
    ("has:browser", ["Beta"]),
    ("!has:browser", ["Alpha"]),
    ("has:user", ["Alpha"]),
    ("environment:production alpha", ["Alpha"]),
    ("100%", []),
]


def test_the_search_box_finds(world: World, listed: str, subtests: pytest.Subtests) -> None:
    for query, found in SEARCHES:
        with subtests.test(query=query):
            assert titles(world, listed, query=query) == found


NONSENSE = [
    ("is:open", "is:unresolved"),
    ("level:bad", "warning"),
    ("browsr:Firefox", "browsr"),
    ("has:browsr", "browsr"),
    ("release:", "value"),
    ("x" * 501, "500"),
]


def test_a_search_that_makes_no_sense_is_refused_with_the_next_step(
    world: World, listed: str, subtests: pytest.Subtests
) -> None:
    for query, told in NONSENSE:
        with subtests.test(query=query):
            answer = world.bob.get(listed, params={"query": query})

            assert answer.status_code == 400
            assert told in answer.json()["detail"]


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("count", ["Alpha", "Beta"]),
        ("last_seen", ["Beta", "Alpha"]),
        ("first_seen", ["Beta", "Alpha"]),
    ],
)
def test_pages_of_a_list_hold_everything_once(
    world: World, listed: str, sort: str, found: list[str]
) -> None:
    first = world.bob.get(listed, params={"sort": sort, "limit": 1}).json()
    second = world.bob.get(
        listed, params={"sort": sort, "limit": 1, "cursor": first["nextCursor"]}
    ).json()

    assert [e["title"].split(":")[0] for e in first["errors"] + second["errors"]] == found
    assert second["nextCursor"] is None


def test_an_issue_is_resolved_and_comes_back(world: World, listed: str) -> None:
    issue = issues()[0]
    answer = world.bob.patch(f"/api/errors/{issue.id}", json={"status": "resolved"})
    assert answer.json()["status"] == "resolved"
    assert titles(world, listed, status="unresolved") == ["Beta"]

    report(world, of_kind("Alpha"))
    found = world.bob.get(f"/api/errors/{issue.id}").json()
    assert (found["status"], found["count"], found["users"]) == ("unresolved", 4, 1)
    assert (found["firstRelease"], found["lastRelease"]) == ("1.2", "1.2")
    assert [each["count"] for each in found["instances"]] == [4]


NO_DECISIONS: list[dict[str, Any]] = [
    {"status": "gone"},
    {},
    {"status": "resolved", "ignoredForEvents": 3},
    {"status": "ignored", "ignoredForEvents": 0},
    {"status": "ignored", "ignoredUntil": "2020-01-01T00:00:00Z"},
    {"status": "ignored", "typo": 1},
]


def test_a_decision_that_makes_no_sense_is_refused(
    world: World, listed: str, subtests: pytest.Subtests
) -> None:
    issue = issues()[0]
    for body in NO_DECISIONS:
        with subtests.test(body=body):
            assert world.bob.patch(f"/api/errors/{issue.id}", json=body).status_code == 400


def test_an_issue_is_ignored_until_a_time(world: World, listed: str) -> None:
    until = (utc_now() + timedelta(days=1)).isoformat()
    body = {"status": "ignored", "ignoredUntil": until}
    answer = world.bob.patch(f"/api/errors/{issues()[0].id}", json=body).json()

    assert answer["status"] == "ignored"
    assert answer["ignoredUntil"].endswith("Z")


def test_events_of_an_issue_are_listed_and_shown_with_their_neighbours(
    world: World, listed: str
) -> None:
    base = f"/api/errors/{issues()[0].id}/events"
    first = world.bob.get(base, params={"limit": 2}).json()
    rest = world.bob.get(base, params={"limit": 2, "cursor": first["nextCursor"]}).json()
    ids = [event["eventId"] for event in first["events"] + rest["events"]]
    assert len(set(ids)) == 3
    assert rest["nextCursor"] is None

    latest = world.bob.get(f"{base}/latest").json()
    assert latest["eventId"] == ids[0]
    assert (latest["newerEventId"], latest["olderEventId"]) == (None, ids[1])
    assert latest["payload"]["exception"]["values"][0]["type"] == "Alpha"
    oldest = world.bob.get(f"{base}/{ids[2]}").json()
    assert (oldest["newerEventId"], oldest["olderEventId"]) == (ids[1], None)
    assert world.bob.get(f"{base}/{'0' * 32}").status_code == 404


def test_charlie_sees_nothing_of_it(world: World, listed: str) -> None:
    issue = issues()[0]
    for path in (f"/api/errors/{issue.id}", f"/api/errors/{issue.id}/events/latest"):
        assert world.charlie.get(path).status_code == 404
        assert world.stranger.get(path).status_code == 401
    assert (
        world.charlie.patch(f"/api/errors/{issue.id}", json={"status": "resolved"}).status_code
        == 404
    )
    assert world.charlie.get(listed).status_code == 403
    theirs = f"/api/instances/{world.charlies_instance.id}/errors"
    assert world.charlie.get(theirs).json()["errors"] == []


def test_an_issue_that_is_not_there_is_a_404(world: World) -> None:
    assert world.alice.get("/api/errors/nothing").status_code == 404
