"""The pages: how to begin, what is open, one finding, and the buttons of those who may."""

from tests.areas.vulnerabilities.test_api import listed, upload
from tests.areas.vulnerabilities.worlds import result, sarif
from tests.world import World


def page(world: World, path: str = "") -> str:
    answer = world.bob.get(f"/dashboard/projects/{world.project}/vulnerabilities{path}")
    assert answer.status_code == 200, answer.text
    return answer.text


def test_without_a_scan_it_shows_the_line_that_uploads_one(world: World) -> None:
    shown = page(world)
    assert "Not scanned yet" in shown
    assert f"/api/instances/{world.instance.id}/vulnerability-scans" in shown
    panel = world.bob.get(f"/dashboard/projects/{world.project}/panels/vulnerabilities").text
    assert "Not scanned yet" in panel


def test_what_is_open_is_listed_filtered_and_in_the_panel(world: World) -> None:
    upload(world, sarif(result("B602"), result("B105", level="note", path="app/keys.py")))
    assert "app/export.py:41" in page(world)
    assert "app/export.py:41" not in page(world, "?severity=low")
    assert "Nothing matches" in page(world, "?q=nothing-like-it")
    panel = world.bob.get(f"/dashboard/projects/{world.project}/panels/vulnerabilities").text
    assert "B602" in panel
    assert "Bandit" in page(world, "/scans")
    upload(world, sarif())
    assert "Nothing open" in page(world)


def test_what_a_scanner_writes_is_shown_and_never_run(world: World) -> None:
    evil = {
        "id": "<b>B1</b>",
        "shortDescription": {"text": "<script>alert(1)</script>"},
        "helpUri": "javascript:alert(1)",
    }
    image = "<img src=x onerror=alert(1)>"
    found = result("<b>B1</b>", path='"><svg onload=alert(1)>', message={"text": image})
    upload(world, sarif(found, rules=[evil], tool="<i>tool</i>"))
    (finding,) = listed(world)
    for shown in (
        page(world),
        page(world, f"/{finding['id']}"),
        page(world, "/scans"),
        world.bob.get(f"/dashboard/projects/{world.project}/panels/vulnerabilities").text,
    ):
        for bad in (
            "<script>alert",
            "<img src=x",
            "<svg onload",
            "<b>B1",
            "<i>tool",
            "javascript:",
        ):
            assert bad not in shown


def test_an_admin_decides_by_forms_and_a_member_sees_no_button(world: World) -> None:
    upload(world, sarif(result("B602")))
    (finding,) = listed(world)
    path = f"/{finding['id']}"
    assert "Accept this risk" not in page(world, path)
    base = f"/dashboard/projects/{world.project}/vulnerabilities"
    assert "Accept this risk" in world.alice.get(base + path).text
    here = f"{base}/{world.instance.id}{path}"
    form = {"decision": "accepted", "reason": "Only admins reach it.", "lasts": "30"}
    assert world.bob.post(f"{here}/decide", data=form).status_code == 403
    assert world.alice.post(f"{here}/decide", data=form).status_code == 303
    assert "Only admins reach it." in page(world, path)
    assert listed(world)[0]["decidedUntil"] is not None
    assert world.alice.post(f"{here}/decide", data={"decision": "open"}).status_code == 303
    assert listed(world)[0]["status"] == "open"


def test_the_main_branch_is_changed_by_a_form(world: World) -> None:
    path = f"/dashboard/projects/{world.project}/vulnerabilities/{world.instance.id}/main-branch"
    assert world.alice.post(path, data={"name": "trunk"}).status_code == 303
    assert "<code>trunk</code>" in page(world, "/scans")


def test_charlie_sees_no_page_of_others(world: World) -> None:
    upload(world, sarif(result("B602")))
    (finding,) = listed(world)
    ours = f"/dashboard/projects/{world.project}/vulnerabilities"
    theirs = f"/dashboard/projects/{world.charlies_instance.project_slug}/vulnerabilities"
    for path in (ours, f"{ours}/scans", f"{ours}/{finding['id']}"):
        assert world.charlie.get(path).status_code in (403, 404)
    assert world.charlie.get(f"{theirs}/{finding['id']}").status_code == 404
    crossed = f"{theirs}/{world.charlies_instance.id}/{finding['id']}"
    assert world.charlie.post(f"{crossed}/decide", data={"decision": "open"}).status_code == 303
    assert listed(world)[0]["status"] == "open"
