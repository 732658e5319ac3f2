"""The pages: how to begin, what is in a folder, bringing a file back, and who may remove."""

from tests.areas.sync.worlds import Client, a_file
from tests.world import Browser, World


def page(who: Browser, world: World, path: str = "") -> str:
    answer = who.get(f"/dashboard/projects/{world.project}/folders{path}")
    assert answer.status_code == 200, answer.text
    return answer.text


def a_folder(world: World) -> Client:
    laptop = Client(world)
    laptop.make_folder()
    return laptop


def test_without_a_folder_it_shows_the_lines_that_sync_one(world: World) -> None:
    assert "mainstay sync ./reports --project inspections" in page(world.bob, world)
    a_folder(world)
    assert "never" in page(world.bob, world)
    assert "Nothing was pushed yet" in page(world.bob, world, "/reports")


def test_files_are_searched_downloaded_and_brought_back(world: World) -> None:
    laptop = a_folder(world)
    laptop.pushed({"a/first.txt": b"as it was", "b/second.txt": b"2"})
    laptop.pushed({"a/first.txt": b"spoilt"})
    shown = page(world.bob, world, "/reports?q=FIRST")
    assert "a/first.txt" in shown
    assert "b/second.txt" not in shown
    assert "/snapshots/2/file?path=a%2Ffirst.txt" in shown
    assert "Bring back" not in shown, "it is the newest"
    assert "Bring back" in page(world.bob, world, "/reports?snapshot=1")
    form = {"snapshot": "1", "path": "a/first.txt"}
    path = f"/dashboard/projects/{world.project}/folders/reports"
    assert world.bob.post(f"{path}/restore", data=form).status_code == 303
    assert laptop.download(3, "a/first.txt").content == b"as it was"
    assert "Nothing matches" in page(world.bob, world, "/reports?q=nothing-like-it")


def test_admins_say_how_much_is_kept_and_remove(world: World) -> None:
    laptop = a_folder(world)
    laptop.pushed({"a": b"1"})
    laptop.pushed({"a": b"2"})
    path = f"/dashboard/projects/{world.project}/folders/reports"
    assert "Remove this folder" not in page(world.bob, world, "/reports")
    assert "Remove this folder" in page(world.alice, world, "/reports")
    for button, form in (
        ("forget", {"snapshot": "1"}),
        ("keep", {"keep_snapshots": "7"}),
        ("remove", {}),
    ):
        assert world.bob.post(f"{path}/{button}", data=form).status_code == 403
        assert world.charlie.post(f"{path}/{button}", data=form).status_code == 404
        assert world.alice.post(f"{path}/{button}", data=form).status_code == 303
    assert world.bob.get(path).status_code == 404


def test_names_of_files_and_machines_are_shown_and_never_run(world: World) -> None:
    laptop = a_folder(world)
    evil = "<script>alert(1)<"
    laptop.push(
        a_file(f"{evil}a"),
        {"path": "link", "kind": "link", "target": evil},
        machine=evil,
    )
    assert "<script>alert" not in page(world.bob, world)
    assert "<script>alert" not in page(world.bob, world, "/reports")


def test_a_strange_snapshot_or_cursor_is_refused_and_not_a_fault(world: World) -> None:
    laptop = a_folder(world)
    laptop.pushed({"a": b"1"})
    path = f"/dashboard/projects/{world.project}/folders/reports"
    assert world.bob.get(f"{path}?snapshot=99").status_code == 404
    assert world.bob.get(f"{path}?snapshot=x").status_code == 200
    assert world.bob.get(f"{path}?cursor=x").status_code == 400
    assert world.bob.get(f"{path}?older=x").status_code == 400
    assert world.bob.get(f"{path.rpartition('/')[0]}/nothing").status_code == 404
