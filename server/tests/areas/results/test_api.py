"""The API: results go in once, tell what changed, and are nobody else's."""

import gzip
import json
from collections.abc import Iterator

import pytest
from mainstay_server.kernel.settings import forget_settings
from tests.areas.results.worlds import compared, junit, upload, uploaded
from tests.world import World

MIB = 1 << 20


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MAINSTAY_RESULTS_UPLOAD_MIB", "1")
    monkeypatch.setenv("MAINSTAY_RESULTS_UPLOADS_PER_HOUR", "4")
    monkeypatch.setenv("MAINSTAY_RESULTS_PER_SERIES", "2")
    forget_settings()
    yield
    forget_settings()


def test_a_report_is_counted_listed_and_given_back_as_it_came(world: World) -> None:
    body = junit(a="passed 1.5", b="failed 1 is not 2", c="skipped")
    made = uploaded(world, body, "?name=backend&branch=main&commit=9f2c1e7")
    counts = [made[name] for name in ("total", "passed", "failed", "skipped", "seconds")]
    assert counts == [3, 1, 1, 1, 1.5]
    assert (made["madeBy"], made["isNew"]) == ("Bob", True)
    base = f"/api/projects/{world.project}/results"
    (listed,) = world.bob.get(f"{base}?name=backend&branch=main").json()["results"]
    assert listed["id"] == made["id"]
    assert world.bob.get(f"{base}?name=other").json()["results"] == []
    (case,) = world.bob.get(f"{base}/{made['id']}/cases?status=failed").json()["cases"]
    assert (case["name"], case["message"]) == ("t::b", "1 is not 2\ntrace")
    assert world.bob.get(f"{base}/{made['id']}/file").content == body
    packed = world.bob.post(
        f"{base}?name=backend&branch=main&commit=9f2c1e7",
        content=gzip.compress(body),
        headers={"content-encoding": "gzip"},
    ).json()
    assert (packed["id"], packed["isNew"]) == (made["id"], False), "it was there already"


def test_what_fails_anew_is_told_apart_from_what_failed_before(world: World) -> None:
    before = junit(
        stays="passed",
        breaks="passed",
        broken="failed x",
        mended="failed x",
        slow="passed 1",
        gone="passed",
    )
    after = junit(
        stays="passed",
        breaks="failed y",
        broken="failed x",
        mended="passed",
        slow="passed 2",
        fresh="failed z",
    )
    first = uploaded(world, before, "?branch=main&commit=aaa")
    alone = compared(world, first)
    assert (alone["against"], alone["counts"]["newFailures"]) == (None, 2)
    found = compared(world, uploaded(world, after, "?branch=main&commit=bbb"))
    assert found["against"]["id"] == first["id"]
    assert [case["name"] for case in found["newFailures"]] == ["t::breaks", "t::fresh"]
    assert [case["name"] for case in found["stillFailing"]] == ["t::broken"]
    assert (found["fixed"], found["added"], found["removed"]) == (
        ["t::mended"],
        ["t::fresh"],
        ["t::gone"],
    )
    assert found["slower"] == [{"name": "t::slow", "before": 1, "after": 2}]


def test_a_branch_is_compared_with_itself_or_with_another_that_is_named(world: World) -> None:
    main = uploaded(world, junit(a="failed x"), "?branch=main")
    branch = uploaded(world, junit(a="failed x", b="failed y"), "?branch=feature")
    assert compared(world, branch)["against"] is None
    against_main = compared(world, branch, "?branch=main")
    assert against_main["against"]["id"] == main["id"]
    assert [case["name"] for case in against_main["newFailures"]] == ["t::b"]
    exactly = compared(world, branch, f"?against={main['id']}")
    assert exactly["counts"] == against_main["counts"]
    analysis = uploaded(world, b'{"coverage": 1}', "?kind=analysis")
    base = f"/api/projects/{world.project}/results/{branch['id']}/comparison"
    assert world.bob.get(f"{base}?against={analysis['id']}").status_code == 400
    assert world.bob.get(f"{base}?against={'0' * 36}").status_code == 404


def test_numbers_that_moved_are_told_with_what_they_were(world: World) -> None:
    uploaded(
        world,
        json.dumps({"coverage": {"lines": 93.1}, "same": 1, "old": 2}).encode(),
        "?kind=analysis",
    )
    now = {"coverage": {"lines": 91.4}, "same": 1, "new": 3}
    found = compared(world, uploaded(world, json.dumps(now).encode(), "?kind=analysis"))
    assert found["metrics"] == [
        {"name": "coverage.lines", "before": 93.1, "after": 91.4},
        {"name": "new", "before": None, "after": 3},
        {"name": "old", "before": 2, "after": None},
    ]


def test_members_upload_admins_remove_and_charlie_sees_nothing(world: World) -> None:
    made = uploaded(world, junit(a="passed"))
    path = f"/api/projects/{world.project}/results/{made['id']}"
    theirs = f"/api/projects/{world.charlies_instance.project_slug}/results/{made['id']}"
    for below in ("", "/cases", "/comparison", "/file"):
        assert world.charlie.get(path + below).status_code == 404
        assert world.charlie.get(theirs + below).status_code == 404
    assert upload(world, junit(a="passed"), who=world.charlie).status_code == 404
    assert world.bob.delete(path).status_code == 403
    assert world.charlie.delete(theirs).status_code == 404
    assert world.alice.delete(path).status_code == 204
    assert world.bob.get(path).status_code == 404


@pytest.mark.usefixtures("few")
def test_bombs_and_floods_are_refused_and_old_ones_make_room(world: World) -> None:
    bomb = gzip.compress(b" " * 50 * MIB)
    path = f"/api/projects/{world.project}/results"
    headers = {"content-encoding": "gzip"}
    assert world.bob.post(path, content=bomb, headers=headers).status_code == 413
    for n in range(3):
        uploaded(world, junit(a=f"failed {n}"))
    kept = world.bob.get(path).json()["results"]
    assert len(kept) == 2
    refused = upload(world, junit(a="passed"))
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0


def test_what_makes_no_sense_is_refused_with_the_reason(world: World) -> None:
    for body, query, why in (
        (b"<html/>", "", "begins with <html>"),
        (b"<testsuites>", "", "no XML"),
        (b"nonsense", "", "no JSON"),
        (b"{}", "", "it is no list"),
        (b'[{"name": "a"}]', "?kind=run-ledger", "step 1 has no status"),
        (b'{"a": "b"}', "?kind=analysis", "no number"),
    ):
        answer = upload(world, body, query)
        assert (answer.status_code, answer.json()["code"]) == (400, "results-unreadable")
        assert why in answer.json()["detail"]
    assert upload(world, junit(), "?kind=other").status_code == 400
    assert upload(world, junit(), "?brnch=main").status_code == 400
