import unicodedata
from typing import Any

import pytest
from mainstay_server.areas.storage.service import buckets
from mainstay_server.contracts.storage import (
    StorageBucketChanged,
    StorageBucketCreated,
    StorageBucketLinksRevoked,
    StorageBucketRemoved,
    StorageFilesRemoved,
    StorageLinkCreated,
    StorageLinkRevoked,
    StorageQuotaChanged,
)
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.events import Audited, said_events
from tests.areas.storage.putting import (
    STORAGE,
    a_bucket,
    buckets_path,
    download_url,
    offered,
    put,
    stored,
    used,
)
from tests.world import World


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_an_app_uploads_in_the_layout_of_organization_product_and_person(world: World) -> None:
    bucket = a_bucket(world)
    named = {"organization": "acme", "product": "insight", "person": "ann"}
    wanted = {"contentType": "application/json", "filename": "test.json", "size": 2}
    made = world.bob.post(f"{STORAGE}/upload-url", json={**wanted, **named}).json()
    assert (made["key"], made["bucket"]) == ("acme/insight/ann/test.json", bucket["id"])
    assert made["url"].startswith("http://mainstay.test/api/v1/storage/object?link=")
    short = world.bob.post(f"{STORAGE}/upload-url", json={**wanted, "product": "insight"}).json()
    ours, product, person, name = short["key"].split("/")
    assert ours == world.instance.organization_id
    assert (product, person, name) == ("insight", world.bob.person_id, "test.json")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/etc/passwd",
        "..",
        "../secret_key",
        "a/../b",
        "a/./b",
        "a//b",
        "folder/",
        "a\\..\\b",
        "nul\0",
        "line\nend",
        "turned\u202eexe.txt",
        "k" * 1025,
        "ü" * 513,
    ],
)
def test_keys_that_could_mislead_are_refused(world: World, key: str) -> None:
    a_bucket(world)
    answer = world.bob.post(f"{STORAGE}/upload-url", json={"key": key, "size": 1})
    assert answer.status_code == 400, answer.text
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    "key",
    [
        "k" * 1024,
        "ü" * 512,
        "Ünïcödé/日本語/😀.txt",
        "a b/c+d&e=f%2F#g?.txt",
        "....",
        ".hidden",
        "a:*|",
    ],
)
def test_keys_of_all_letters_come_back_as_they_were(world: World, key: str) -> None:
    a_bucket(world)
    stored(world, key, key.encode())
    assert world.stranger.get(download_url(world, key)).content == key.encode()
    listed = world.bob.get(f"{STORAGE}/files").json()["files"]
    assert [file["key"] for file in listed] == [key]
    removed = world.bob.delete(f"{STORAGE}/files", params={"key": key}).json()
    assert removed == {"deleted": [key], "missing": []}


def test_one_name_in_two_spellings_of_unicode_is_one_file(world: World) -> None:
    a_bucket(world)
    stored(world, unicodedata.normalize("NFD", "é.txt"))
    again = world.bob.post(f"{STORAGE}/upload-url", json={"key": "é.txt"})
    assert refusal(again) == (409, "key-taken")


def test_what_lasts_longer_than_seven_days_is_refused(world: World) -> None:
    a_bucket(world)
    stored(world, "a.txt")
    eight = 8 * 86_400
    answers = (
        world.bob.get(f"{STORAGE}/download-url", params={"key": "a.txt", "expiresIn": eight}),
        world.bob.post(f"{STORAGE}/upload-url", json={"key": "b.txt", "expiresIn": eight}),
        world.bob.post(f"{STORAGE}/download-url", json={"key": "a.txt", "expiresIn": eight}),
    )
    for answer in answers:
        assert answer.status_code == 400
        assert "seven days" in answer.json()["detail"]
    assert download_url(world, "a.txt", expiresIn=7 * 86_400)


def test_a_file_takes_the_place_of_another_only_if_that_is_asked(world: World) -> None:
    a_bucket(world)
    stored(world, "a.txt", b"one")
    old = download_url(world, "a.txt")
    answer = world.bob.post(f"{STORAGE}/upload-url", json={"key": "a.txt", "size": 3})
    assert refusal(answer) == (409, "key-taken")
    stored(world, "a.txt", b"three", replace=True)
    assert world.stranger.get(download_url(world, "a.txt")).content == b"three"
    assert refusal(world.stranger.get(old)) == (410, "file-deleted")
    assert (used(world)["usedBytes"], used(world)["usedObjects"]) == (5, 1)


def test_of_two_uploads_for_one_key_the_second_is_told(world: World) -> None:
    a_bucket(world)
    first = offered(world.bob, "a.txt", size=5)
    second = offered(world.bob, "a.txt", size=5)
    assert put(world, first, b"first").status_code == 201
    assert refusal(put(world, second, b"other")) == (409, "key-taken")
    assert world.stranger.get(download_url(world, "a.txt")).content == b"first"


def test_a_bucket_takes_only_its_types_and_sizes(world: World) -> None:
    a_bucket(world, contentTypes=["image/*", "application/pdf"], maxObjectBytes=100)

    def ask(content_type: str, size: int) -> Any:
        body = {"key": "a", "contentType": content_type, "size": size}
        return world.bob.post(f"{STORAGE}/upload-url", json=body)

    assert ask("image/PNG", 100).status_code == 201
    assert ask("application/pdf; x=1", 1).status_code == 201
    assert refusal(ask("text/html", 1)) == (400, "content-type-not-allowed")
    assert refusal(ask("", 1)) == (400, "content-type-not-allowed")
    assert refusal(ask("image/png", 101)) == (400, "file-too-large")
    assert ask("no type", 1).status_code == 400


def test_quotas_are_reserved_when_a_url_is_made(world: World) -> None:
    a_bucket(world, quotaBytes=100, ownerQuotaBytes=60, ownerQuotaObjects=2)
    first = offered(world.bob, "acme/a", size=50)
    held = used(world)
    assert (held["reservedBytes"], held["reservedObjects"], held["usedBytes"]) == (50, 1, 0)
    too_much = world.bob.post(f"{STORAGE}/upload-url", json={"key": "acme/b", "size": 11})
    assert refusal(too_much) == (409, "storage-full")
    assert "acme" in too_much.json()["detail"]
    assert put(world, first, b"x" * 20).status_code == 201
    held = used(world)
    assert (held["reservedBytes"], held["usedBytes"], held["percent"]) == (0, 20, 20.0)
    offered(world.bob, "acme/b", size=40)
    third = world.bob.post(f"{STORAGE}/upload-url", json={"key": "acme/c", "size": 0})
    assert refusal(third) == (409, "storage-full")
    other = world.bob.post(f"{STORAGE}/upload-url", json={"key": "other/c", "size": 41})
    assert refusal(other) == (409, "storage-full")
    assert "bucket files" in other.json()["detail"]


def test_an_owner_may_have_a_quota_of_its_own(world: World) -> None:
    bucket = a_bucket(world, ownerQuotaBytes=10)
    path = f"{buckets_path(world)}/{bucket['id']}/owner-quota"
    own = world.alice.put(path, json={"owner": "acme/insight", "quotaBytes": 5})
    assert own.json()["limitBytes"] == 5
    deep = world.bob.post(f"{STORAGE}/upload-url", json={"key": "acme/insight/x", "size": 6})
    assert refusal(deep) == (409, "storage-full")
    world.alice.put(path, json={"owner": "acme", "quotaBytes": 100})
    offered(world.bob, "acme/other/x", size=90)
    assert world.alice.put(path, json={"owner": "a/b/c/d"}).status_code == 400


def test_where_no_more_owners_may_have_a_quota_those_that_do_change_theirs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "MOST_OWN_QUOTAS", 1)
    path = f"{buckets_path(world)}/{a_bucket(world)['id']}/owner-quota"
    assert world.alice.put(path, json={"owner": "acme", "quotaBytes": 5}).status_code == 200
    assert world.alice.put(path, json={"owner": "other", "quotaBytes": 5}).status_code == 409
    assert world.alice.put(path, json={"owner": "acme", "quotaBytes": 7}).status_code == 200
    assert world.alice.put(path, json={"owner": "acme"}).json()["limitBytes"] is None
    assert world.alice.put(path, json={"owner": "other", "quotaBytes": 5}).status_code == 200


def test_files_are_listed_by_prefix_text_and_page(world: World) -> None:
    a_bucket(world)
    for name in ("a/1", "a/2", "a-b", "b/c/3", "b/d/4", "z"):
        stored(world, name)

    def keys(**query: Any) -> list[str]:
        found, cursor = [], ""
        while True:
            page = world.bob.get(f"{STORAGE}/files", params={**query, "cursor": cursor}).json()
            found += [file["key"] for file in page["files"]]
            found += [folder["prefix"] for folder in page["folders"]]
            cursor = page["nextCursor"]
            if not cursor:
                return found

    assert keys() == keys(limit=1) == ["a-b", "a/1", "a/2", "b/c/3", "b/d/4", "z"]
    assert keys(prefix="a/") == ["a/1", "a/2"]
    assert keys(q="C/") == ["b/c/3"]
    assert keys(q="%") == []
    assert sorted(keys(folders=True, limit=1)) == ["a-b", "a/", "b/", "z"]
    assert keys(folders=True, prefix="b/", limit=1) == ["b/c/", "b/d/"]


def test_many_files_are_deleted_at_once_and_those_that_are_not_there_are_told(
    world: World,
) -> None:
    a_bucket(world)
    for name in ("a", "b", "c"):
        stored(world, name)
    answer = world.bob.post(f"{STORAGE}/files/delete", json={"keys": ["a", "b", "x"]})
    assert answer.json() == {"deleted": ["a", "b"], "missing": ["x"]}
    assert used(world)["usedObjects"] == 1
    too_many = {"keys": [str(number) for number in range(501)]}
    assert world.bob.post(f"{STORAGE}/files/delete", json=too_many).status_code == 400


def test_statistics_tell_types_and_owners(world: World) -> None:
    a_bucket(world, ownerQuotaBytes=100)
    stored(world, "acme/a", b"12345", contentType="text/plain")
    stored(world, "acme/b", b"12345", contentType="image/png")
    stored(world, "zeta/c", b"1", contentType="image/png")
    stats = world.bob.get(f"{STORAGE}/stats").json()
    assert stats["total"]["usedBytes"] == 11
    assert [(t["contentType"], t["usedBytes"]) for t in stats["byType"]] == [
        ("image/png", 6),
        ("text/plain", 5),
    ]
    assert [(o["owner"], o["usedBytes"], o["percent"]) for o in stats["byOwner"]] == [
        ("acme", 10, 10.0),
        ("zeta", 1, 1.0),
    ]


def counted(world: World, key: str, **body: Any) -> dict[str, Any]:
    answer = world.bob.post(f"{STORAGE}/download-url", json={"key": key, **body})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_link_for_one_time_works_once(world: World) -> None:
    bucket = a_bucket(world)
    stored(world, "a.txt")
    link = counted(world, "a.txt", uses=1, note="for the auditor")
    assert world.stranger.request("HEAD", link["url"]).status_code == 200
    assert world.stranger.get(link["url"]).content == b"hello"
    assert refusal(world.stranger.get(link["url"])) == (410, "link-used")
    (listed,) = world.bob.get(f"{buckets_path(world)}/{bucket['id']}/links").json()["links"]
    assert (listed["uses"], listed["usesLeft"], listed["note"]) == (1, 0, "for the auditor")
    assert "url" not in listed


def test_a_revoked_link_is_gone_and_so_are_all_of_a_bucket(world: World) -> None:
    bucket = a_bucket(world)
    path = f"{buckets_path(world)}/{bucket['id']}/links"
    stored(world, "a.txt")
    link = counted(world, "a.txt")
    assert world.stranger.get(link["url"]).status_code == 200
    assert world.bob.delete(f"{path}/{link['id']}").status_code == 204
    assert refusal(world.stranger.get(link["url"])) == (410, "link-revoked")

    plain, upload = download_url(world, "a.txt"), offered(world.bob, "b.txt", size=5)
    assert world.bob.post(f"{path}/revoke").status_code == 204
    assert refusal(world.stranger.get(plain)) == (410, "link-revoked")
    assert refusal(put(world, upload, b"hello")) == (410, "link-revoked")
    assert world.stranger.get(download_url(world, "a.txt")).status_code == 200


def test_a_deleted_file_ends_its_links(world: World) -> None:
    a_bucket(world)
    stored(world, "a.txt")
    plain, link = download_url(world, "a.txt"), counted(world, "a.txt")
    world.bob.delete(f"{STORAGE}/files", params={"key": "a.txt"})
    assert world.stranger.get(plain).status_code == 410
    assert world.stranger.get(link["url"]).status_code == 410


def test_bob_stores_files_alice_administers_and_charlie_sees_nothing(world: World) -> None:
    bucket = a_bucket(world)
    stored(world, "a.txt")
    one = f"{buckets_path(world)}/{bucket['id']}"
    assert world.bob.post(buckets_path(world), json={"name": "more"}).status_code == 403
    assert world.bob.patch(one, json={"quotaBytes": 1}).status_code == 403
    assert world.bob.delete(one).status_code == 403
    for method, path, body in (
        ("GET", f"{STORAGE}/files?bucket={bucket['id']}", None),
        ("GET", f"{STORAGE}/stats?bucket={bucket['id']}", None),
        ("GET", f"{STORAGE}/download-url?bucket={bucket['id']}&key=a.txt", None),
        ("POST", f"{STORAGE}/upload-url", {"bucket": bucket["id"], "key": "b"}),
        ("POST", f"{STORAGE}/download-url", {"bucket": bucket["id"], "key": "a.txt"}),
        ("POST", f"{STORAGE}/files/delete", {"bucket": bucket["id"], "keys": ["a.txt"]}),
        ("DELETE", f"{STORAGE}/files?bucket={bucket['id']}&key=a.txt", None),
        ("POST", f"{STORAGE}/files", {"id": offered(world.bob, "c.txt")["id"]}),
    ):
        answer = world.charlie.request(method, path, json=body)
        assert answer.status_code == 404, f"{method} {path}"
        assert world.stranger.request(method, path, json=body).status_code == 401
    theirs = f"/api/instances/{world.charlies_instance.id}/buckets/{bucket['id']}"
    for method, path in (
        ("GET", theirs),
        ("PATCH", theirs),
        ("DELETE", theirs),
        ("GET", f"{theirs}/links"),
        ("POST", f"{theirs}/links/revoke"),
    ):
        body = {} if method == "PATCH" else None
        assert world.charlie.request(method, path, json=body).status_code == 404, path
    assert world.stranger.get(download_url(world, "a.txt")).content == b"hello"


def test_several_buckets_have_to_be_named(world: World) -> None:
    assert world.bob.get(f"{STORAGE}/files").status_code == 404
    first = a_bucket(world)
    a_bucket(world, "more")
    unnamed = world.bob.get(f"{STORAGE}/files")
    assert unnamed.status_code == 400
    assert first["id"] in unnamed.json()["detail"]
    assert world.bob.get(f"{STORAGE}/files", params={"bucket": "more"}).status_code == 200
    assert world.bob.get(f"{STORAGE}/files", params={"bucket": "none"}).status_code == 404


def test_a_bucket_is_changed_and_removed_when_it_is_empty(world: World) -> None:
    bucket = a_bucket(world, quotaBytes=100)
    one = f"{buckets_path(world)}/{bucket['id']}"
    changed = world.alice.patch(one, json={"quotaBytes": None, "name": "uploads"}).json()
    assert (changed["quotaBytes"], changed["name"]) == (None, "uploads")
    stored(world, "a.txt")
    assert world.alice.delete(one).status_code == 409
    world.bob.delete(f"{STORAGE}/files", params={"key": "a.txt"})
    assert world.alice.delete(one).status_code == 204
    assert world.alice.get(one).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"name": "No Capitals"},
        {"name": "-x"},
        {"name": "files"},
        {"name": "x", "kind": "ftp"},
        {"name": "x", "config": {"endpoint": "http://x"}},
        {"name": "x", "quotaBytes": -1},
        {"name": "x", "contentTypes": ["no type"]},
        {"name": "x", "kind": "s3"},
        {"name": "x", "kind": "s3", "config": {"bucket": "b", "typo": "x"}},
    ],
)
def test_a_bucket_that_makes_no_sense_is_refused_with_the_reason(
    world: World, body: dict[str, Any]
) -> None:
    a_bucket(world)
    answer = world.alice.post(buckets_path(world), json=body)
    assert answer.status_code in (400, 409), answer.text
    assert answer.json()["detail"]


def test_everything_administered_is_audited_without_a_secret(world: World) -> None:
    bucket = a_bucket(world)
    one = f"{buckets_path(world)}/{bucket['id']}"
    stored(world, "a.txt")
    link = counted(world, "a.txt", note="x")
    world.alice.patch(one, json={"quotaBytes": 5})
    world.alice.put(f"{one}/owner-quota", json={"owner": "acme", "quotaBytes": 5})
    world.bob.delete(f"{one}/links/{link['id']}")
    world.bob.post(f"{one}/links/revoke")
    world.bob.delete(f"{STORAGE}/files", params={"key": "a.txt"})
    world.alice.delete(one)
    with reading() as session:
        said = [event for _, event in said_events(session) if isinstance(event, Audited)]
    assert [type(event) for event in said] == [
        StorageBucketCreated,
        StorageLinkCreated,
        StorageBucketChanged,
        StorageQuotaChanged,
        StorageLinkRevoked,
        StorageBucketLinksRevoked,
        StorageFilesRemoved,
        StorageBucketRemoved,
    ]
    assert said[2].changes == {"quota_bytes": (None, 5)}
    assert said[6].details == {"count": 1, "keys": ["a.txt"]}
