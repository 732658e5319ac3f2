"""The API: one line of curl uploads, members read, admins decide, Charlie sees nothing."""

import gzip
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest
from mainstay_server.kernel.settings import forget_settings
from tests.areas.vulnerabilities.worlds import result, sarif
from tests.world import World

MIB = 1 << 20


def base(world: World) -> str:
    return f"/api/instances/{world.instance.id}"


def upload(world: World, body: bytes, query: str = "", **headers: str) -> httpx.Response:
    path = f"{base(world)}/vulnerability-scans{query}"
    return world.bob.post(path, content=body, headers=headers)


def listed(world: World, query: str = "") -> list[dict[str, Any]]:
    answer = world.bob.get(f"{base(world)}/vulnerabilities{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["vulnerabilities"]
    return found


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small limits, so that tests reach them."""
    monkeypatch.setenv("MAINSTAY_VULNERABILITIES_UPLOAD_MIB", "1")
    monkeypatch.setenv("MAINSTAY_VULNERABILITIES_PER_UPLOAD", "3")
    monkeypatch.setenv("MAINSTAY_VULNERABILITIES_UPLOADS_PER_HOUR", "4")
    forget_settings()
    yield
    forget_settings()


def test_a_scan_becomes_findings_that_are_listed_and_told_whole(world: World) -> None:
    answer = upload(world, sarif(result("B602")), "?commit=9f2c1e7&release=1.4.0")
    assert answer.status_code == 201, answer.text
    scan = answer.json()
    assert (scan["source"], scan["findings"], scan["new"], scan["complete"]) == (
        "Bandit",
        1,
        1,
        True,
    )
    (finding,) = listed(world, "?status=open&severity=high&q=shell")
    assert (finding["rule"], finding["places"]) == ("B602", ["app/export.py:41"])
    whole = world.bob.get(f"{base(world)}/vulnerabilities/{finding['id']}").json()
    assert whole["description"] == "subprocess call with shell=True"
    scans = world.bob.get(f"{base(world)}/vulnerability-scans").json()["scans"]
    assert [one["id"] for one in scans] == [scan["id"]]


def test_a_body_over_a_mebibyte_and_a_packed_one_are_taken(world: World) -> None:
    large = sarif(*(result(f"B{i}", snippet="x" * 3000) for i in range(500)))
    assert len(large) > MIB
    assert upload(world, large).json()["new"] == 500
    packed = upload(world, gzip.compress(large), **{"content-encoding": "gzip"})
    assert (packed.json()["findings"], packed.json()["new"]) == (500, 0)


@pytest.mark.usefixtures("few")
def test_bombs_floods_and_too_many_findings_are_refused(world: World) -> None:
    bomb = gzip.compress(b" " * 300 * MIB)
    assert len(bomb) < MIB
    assert upload(world, bomb, **{"content-encoding": "gzip"}).status_code == 413
    assert upload(world, b" " * 2 * MIB).status_code == 413
    many = upload(world, sarif(*(result(f"B{i}") for i in range(4))))
    assert many.status_code == 413
    assert "names more than 3 findings" in many.json()["detail"]
    assert upload(world, sarif(result())).status_code == 201
    refused = upload(world, sarif(result()))
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0


def test_what_is_asked_wrongly_is_refused_with_what_to_do(world: World) -> None:
    assert upload(world, b"{}").json()["code"] == "scan-unreadable"
    assert upload(world, sarif(), "?sorce=backend").status_code == 400
    assert upload(world, sarif(), "?scannedAt=yesterday").status_code == 400
    assert world.bob.get(f"{base(world)}/vulnerabilities?cursor=x").status_code == 400
    assert world.bob.get(f"{base(world)}/vulnerabilities/nothing").status_code == 404


def test_admins_decide_and_members_do_not(world: World) -> None:
    upload(world, sarif(result("B602")))
    (finding,) = listed(world)
    path = f"{base(world)}/vulnerabilities/{finding['id']}"
    body = {"status": "accepted", "reason": "Only admins reach it."}
    assert world.bob.patch(path, json=body).status_code == 403
    decided = world.alice.patch(path, json=body).json()
    assert (decided["status"], decided["decidedReason"]) == ("accepted", "Only admins reach it.")
    assert world.alice.patch(path, json={"status": "accepted"}).status_code == 400
    assert world.alice.patch(path, json={"status": "open"}).json()["status"] == "open"


def test_the_gate_tells_passed_or_why_not(world: World) -> None:
    gate = f"{base(world)}/vulnerabilities/gate"
    assert world.bob.get(gate).json()["passed"] is False
    upload(world, sarif(result("B602")))
    verdict = world.bob.get(f"{gate}?failOn=high").json()
    assert (verdict["passed"], verdict["failing"], verdict["counts"]["high"]) == (False, 1, 1)
    assert world.bob.get(f"{gate}?failOn=critical").json()["passed"] is True
    upload(world, sarif(result("B602")), "?branch=feature")
    assert world.bob.get(f"{gate}?branch=feature&against=main").json()["passed"] is True


def test_the_main_branch_is_changed_by_admins(world: World) -> None:
    path = f"{base(world)}/vulnerabilities/settings"
    assert world.bob.get(path).json() == {"mainBranch": "main"}
    assert world.bob.put(path, json={"mainBranch": "trunk"}).status_code == 403
    assert world.alice.put(path, json={"mainBranch": "trunk"}).json() == {"mainBranch": "trunk"}


def test_charlie_sees_uploads_and_decides_nothing_of_others(world: World) -> None:
    upload(world, sarif(result("B602")))
    (finding,) = listed(world)
    ours = base(world)
    for path in ("vulnerabilities", "vulnerabilities/gate", "vulnerability-scans"):
        assert world.charlie.get(f"{ours}/{path}").status_code == 403
    scan = sarif(result("B602"))
    assert world.charlie.post(f"{ours}/vulnerability-scans", content=scan).status_code == 403
    theirs = f"/api/instances/{world.charlies_instance.id}/vulnerabilities/{finding['id']}"
    assert world.charlie.get(theirs).status_code == 404
    decision = {"status": "false_positive", "reason": "mine"}
    assert world.charlie.patch(theirs, json=decision).status_code == 404
    assert listed(world)[0]["status"] == "open"
    assert world.stranger.post(f"{ours}/vulnerability-scans", content=scan).status_code == 401
