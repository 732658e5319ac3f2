"""The API: what is pushed comes back, nobody undoes another's push, Charlie gets no chunk."""

import hashlib
import os
from collections.abc import Iterator

import pytest
from mainstay_server.kernel.settings import forget_settings
from tests.areas.sync.worlds import Client, a_file, digest, part
from tests.world import World

MIB = 1 << 20


@pytest.fixture
def laptop(world: World) -> Client:
    """Bob's laptop, with a folder on the server."""
    client = Client(world)
    client.make_folder()
    return client


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MAINSTAY_SYNC_MIB_PER_PROJECT", "1")
    monkeypatch.setenv("MAINSTAY_SYNC_ENTRIES_PER_SNAPSHOT", "3")
    monkeypatch.setenv("MAINSTAY_SYNC_FOLDERS_PER_PROJECT", "2")
    forget_settings()
    yield
    forget_settings()


def test_what_was_pushed_is_listed_and_downloaded_byte_for_byte(laptop: Client) -> None:
    head, tail = os.urandom(300_000), b"the end" * 1000
    laptop.send(head, tail, b"hello")
    odd = "d/a file\nwith 'everything' é %2F.txt"
    pushed = laptop.push(
        a_file("d/large", head, tail, mode=0o755, modifiedUs=1_795_254_105_001_000),
        a_file(odd, b"hello"),
        a_file("nothing in it"),
        {"path": "to", "kind": "link", "mode": 0o777, "target": "d/large"},
        {"path": "empty", "kind": "folder", "mode": 0o755},
    )
    assert pushed.status_code == 201, pushed.text
    assert {k: pushed.json()[k] for k in ("number", "files", "bytes", "added", "madeBy")} == {
        "number": 1,
        "files": 3,
        "bytes": len(head) + len(tail) + 5,
        "added": 5,
        "madeBy": "Bob",
    }
    assert laptop.download(1, "d/large").content == head + tail
    assert laptop.download(1, odd).content == b"hello"
    assert laptop.download(1, "nothing in it").content == b""
    assert laptop.download(1, "to").status_code == 400
    assert laptop.download(1, "d/nothing").status_code == 404
    entries = laptop.who.get(f"{laptop.folder}/snapshots/1/entries?q=LARGE&below=d").json()
    (listed,) = entries["entries"]
    assert (listed["path"], listed["mode"], listed["size"]) == ("d/large", 0o755, len(head + tail))
    manifest = laptop.who.get(f"{laptop.folder}/snapshots/1/manifest")
    assert manifest.headers["content-encoding"] == "gzip"
    plain = {"accept-encoding": "identity"}
    told = laptop.who.get(f"{laptop.folder}/snapshots/1/manifest", headers=plain).json()
    assert manifest.json() == told
    assert {entry["path"]: entry for entry in told["entries"]}["d/large"] == laptop.tree["d/large"]


def test_chunks_are_asked_for_sent_once_and_fetched_as_they_came(laptop: Client) -> None:
    one, two = b"one" * 5000, b"two" * 5000
    assert laptop.missing(one, two) == [digest(one), digest(two)]
    assert laptop.send(one)["chunks"] == 1
    assert laptop.missing(one, two) == [digest(two)]
    stored = laptop.send(one, two, two)
    assert stored == {"chunks": 1, "bytes": len(part(two))}
    fetched = laptop.fetch(digest(two), digest(one))
    assert fetched.content == part(two, one)


def test_one_answer_carries_what_fits_and_the_rest_is_asked_for_again(laptop: Client) -> None:
    large = [os.urandom(3 * MIB) for _ in range(4)]
    for chunk in large:
        laptop.send(chunk)
    answer = laptop.fetch(*map(digest, large))
    assert answer.content == part(*large[:2])


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"hello", "no chunk begins"),
        (f"{digest(b'hello')} 5 5\nhell".encode(), "ends within a chunk"),
        (f"{digest(b'hello')} 5 5\nhallo".encode(), "not the one that its line names"),
        (f"{digest(b'hello')} 5 4\nhell".encode(), "no zstd frame"),
        (f"{digest(b'hello')} 5 6\nhello!".encode(), "packed fewer"),
        (f"{digest(b'hello')} 9999999 5\nhello".encode(), "4194304 bytes at most"),
        (part(b"a" * 50_000).replace(b" 50000 ", b" 40000 ", 1), "another size"),
    ],
)
def test_a_part_that_is_not_what_it_says_is_refused_whole(
    laptop: Client, body: bytes, why: str
) -> None:
    answer = laptop.post_part(part(b"good") + body)
    assert (answer.status_code, answer.json()["code"]) == (400, "chunks-unreadable")
    assert why in answer.json()["detail"]
    assert laptop.missing(b"good") == [digest(b"good")]


def test_a_bomb_is_given_up_at_the_size_that_its_line_promised(laptop: Client) -> None:
    bomb = part(b"\0" * (4 * MIB)).split(b"\n", 1)[1]
    line = f"{digest(b'x')} {len(bomb) + 1} {len(bomb)}\n".encode()
    assert laptop.post_part(line + bomb).status_code == 400


def test_the_second_of_two_pushes_is_told_that_the_folder_moved(
    world: World, laptop: Client
) -> None:
    laptop.pushed({"a": b"from both"})
    desk = Client(world, world.alice)
    desk.tree, desk.head = dict(laptop.tree), laptop.head
    laptop.pushed({"a": b"from the laptop"})
    desk.send(b"from the desk")
    answer = desk.push(a_file("a", b"from the desk"))
    assert (answer.status_code, answer.json()["code"]) == (409, "folder-moved")
    assert answer.json()["head"] == 2
    assert laptop.download(2, "a").content == b"from the laptop"


def test_a_push_without_its_chunks_is_told_which_lack(laptop: Client) -> None:
    answer = laptop.push(a_file("a", b"never sent"))
    assert (answer.status_code, answer.json()["code"]) == (409, "chunks-missing")
    assert answer.json()["missing"] == [digest(b"never sent")]


@pytest.mark.parametrize(
    "entries",
    [
        [{"path": "../outside"}],
        [{"path": "/etc/passwd"}],
        [{"path": "a//b"}],
        [{"path": "a/./b"}],
        [{"path": "a\0b"}],
        [{"path": ".Mainstay/sync.json.zst"}],
        [{"path": "n" * 256}],
        [{"path": "é" * 2001}],
        [{"path": "a", "kind": "link", "target": "/etc"}, {"path": "a/b"}],
        [{"path": "a"}, {"path": "a/b/c"}],
        [{"path": "a", "kind": "link"}],
        [{"path": "a", "kind": "device"}],
        [{"path": "a", "kind": "folder", "size": 5}],
        [{"path": "a", "mode": 0o4755}],
        [{"path": "a", "size": 5}],
        [{"path": "a", "surprise": 5}],
    ],
)
def test_a_tree_that_would_lead_astray_is_refused(
    laptop: Client, entries: list[dict[str, object]]
) -> None:
    assert laptop.push(*entries).status_code == 400
    assert laptop.who.get(laptop.folder).json()["head"] == 0


def test_another_digest_than_that_of_the_entries_is_refused(laptop: Client) -> None:
    answer = laptop.push(a_file("a"), digest="0" * 64)
    assert (answer.status_code, answer.json()["code"]) == (400, "digest-differs")


def test_charlie_gets_no_chunk_by_its_digest_and_sees_no_folder(
    world: World, laptop: Client
) -> None:
    secret = b"the plan of the ships" * 100
    laptop.pushed({"plan": secret})
    slug = world.charlies_instance.project_slug
    rival = Client(world, world.charlie, slug)
    rival.make_folder()
    assert rival.missing(secret) == [digest(secret)], "or he would learn that we have it"
    assert rival.fetch(digest(secret)).json()["code"] == "chunks-missing"
    stolen = rival.push(a_file("plan", secret))
    assert stolen.json()["code"] == "chunks-missing"
    outside = Client(world, world.charlie)
    assert outside.fetch(digest(secret)).status_code == 404
    assert outside.download(1, "plan").status_code == 404
    assert outside.post_part(part(b"x")).status_code == 404
    assert outside.push(a_file("plan")).status_code == 404


def test_members_push_and_admins_remove(world: World, laptop: Client) -> None:
    laptop.pushed({"a": b"1"})
    laptop.pushed({"a": b"2"})
    first = f"{laptop.folder}/snapshots/1"
    assert world.bob.delete(first).status_code == 403
    assert world.bob.delete(laptop.folder).status_code == 403
    assert world.bob.patch(laptop.folder, json={"keepSnapshots": 1}).status_code == 403
    assert world.alice.delete(first).status_code == 204
    assert world.alice.get(first).status_code == 404
    assert world.alice.delete(f"{laptop.folder}/snapshots/2").status_code == 409
    assert world.alice.delete(laptop.folder).status_code == 204
    assert world.bob.get(laptop.folder).status_code == 404


def test_only_as_many_snapshots_are_kept_as_wanted(world: World, laptop: Client) -> None:
    for n in range(5):
        laptop.pushed({"a": b"%d" % n})
    changed = world.alice.patch(laptop.folder, json={"keepSnapshots": 2})
    assert changed.json()["keepSnapshots"] == 2
    laptop.pushed({"a": b"5"})
    listed = laptop.who.get(f"{laptop.folder}/snapshots?limit=1").json()
    rest = laptop.who.get(f"{laptop.folder}/snapshots?cursor={listed['nextCursor']}").json()
    numbers = [one["number"] for one in (*listed["snapshots"], *rest["snapshots"])]
    assert numbers == [6, 5]


def test_a_file_of_an_older_snapshot_comes_back_as_a_new_one(laptop: Client) -> None:
    laptop.pushed({"a": b"as it was", "b": b"stays"})
    laptop.pushed({"a": b"spoilt"}, removed=["b"])
    back = laptop.who.post(f"{laptop.folder}/restore", json={"snapshot": 1, "path": "a"})
    assert (back.status_code, back.json()["number"], back.json()["machine"]) == (201, 3, "Mainstay")
    assert laptop.download(3, "a").content == b"as it was"
    assert laptop.download(3, "b").status_code == 404
    again = laptop.who.post(f"{laptop.folder}/restore", json={"snapshot": 1, "path": "a"})
    assert again.status_code == 409


@pytest.mark.usefixtures("little_room")
def test_rooms_and_counts_have_limits_that_say_what_to_do(laptop: Client) -> None:
    full = laptop.post_part(part(os.urandom(MIB)))
    assert (full.status_code, full.json()["code"]) == (409, "sync-full")
    assert laptop.send(os.urandom(MIB // 2))["chunks"] == 1
    assert laptop.post_part(part(os.urandom(MIB // 2))).json()["code"] == "sync-full"
    many = laptop.push(*(a_file(f"{n}") for n in range(4)))
    assert (many.status_code, many.json()["code"]) == (413, "too-many-entries")
    laptop.push(*(a_file(f"{n}") for n in range(3)))
    assert laptop.push(a_file("3")).json()["code"] == "too-many-entries"
    folders = f"{laptop.base}/sync-folders"
    assert laptop.who.post(folders, json={"name": "second"}).status_code == 201
    assert laptop.who.post(folders, json={"name": "second"}).status_code == 409
    assert laptop.who.post(folders, json={"name": "third"}).status_code == 409
    assert laptop.who.post(folders, json={"name": "No Name"}).status_code == 400
    too_large = laptop.post_part(b"x" * (9 * MIB + 1))
    assert too_large.status_code == 413


def test_folders_are_listed_by_name_with_their_newest_snapshot(laptop: Client) -> None:
    laptop.who.post(f"{laptop.base}/sync-folders", json={"name": "archive"})
    laptop.pushed({"a": b"hello"})
    first = laptop.who.get(f"{laptop.base}/sync-folders?limit=1").json()
    assert [one["name"] for one in first["folders"]] == ["archive"]
    assert first["folders"][0]["newest"] is None
    then = laptop.who.get(f"{laptop.base}/sync-folders?cursor={first['nextCursor']}").json()
    (reports,) = then["folders"]
    assert (reports["name"], reports["newest"]["files"]) == ("reports", 1)
    assert then["storedBytes"] == len(part(b"hello"))
    assert hashlib.sha256(b"hello").hexdigest() in laptop.fetch(digest(b"hello")).text


def test_many_pushes_make_no_tree_that_fills_the_memory(
    laptop: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSTAY_SYNC_MANIFEST_MIB", "1")
    forget_settings()
    laptop.send(b"x")
    assert laptop.push(a_file("one", *[b"x"] * 9000)).status_code == 201
    refused = laptop.push(a_file("two", *[b"x"] * 9000))
    assert (refused.status_code, refused.json()["code"]) == (413, "too-many-entries")
    assert laptop.who.get(laptop.folder).json()["head"] == 1
    monkeypatch.undo()
    forget_settings()
