from urllib.parse import parse_qs, urlsplit

from mainstay_server.areas.storage.models import Link
from mainstay_server.kernel.database import reading
from tests.areas.storage.putting import STORAGE, a_bucket, stored, used
from tests.servers.strict_s3 import StrictS3
from tests.world import Browser, World


def page(world: World, who: Browser | None = None, **query: str) -> str:
    path = f"/dashboard/projects/{world.project}/storage"
    answer = (who or world.bob).get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.text


def base(world: World) -> str:
    return f"/dashboard/projects/{world.project}/storage/{world.instance.id}"


def test_without_a_bucket_the_lines_that_make_one_are_shown(world: World) -> None:
    shown = page(world)
    assert "No bucket yet" in shown
    assert f"{world.instance.id}/buckets" in shown
    assert "/api/v1/storage/upload-url" in shown
    assert "import httpx" in shown
    assert "new-bucket" not in shown
    assert "new-bucket" in page(world, world.alice)


def test_a_bucket_is_made_limited_and_removed_by_forms(world: World) -> None:
    form = {"name": "files", "quota_mib": "2", "content_types": "image/*, text/plain"}
    made = world.alice.post(f"{base(world)}/buckets", data=form)
    assert made.status_code == 303
    (bucket,) = world.bob.get(f"/api/instances/{world.instance.id}/buckets").json()["buckets"]
    assert (bucket["quotaBytes"], bucket["contentTypes"]) == (2 << 20, ["image/*", "text/plain"])
    one = f"{base(world)}/{bucket['id']}"
    world.alice.post(f"{one}/change", data={"quota_mib": "3"})
    assert "0 B of 3 MB" in page(world)
    assert world.bob.post(f"{one}/change", data={}).status_code == 403
    refused = world.alice.post(f"{one}/change", data={"quota_mib": "many"})
    assert "mainstay_flash" in refused.headers["set-cookie"]
    assert "0 B of 3 MB" in page(world)
    world.alice.post(f"{one}/remove")
    assert "No bucket yet" in page(world)


def test_folders_lead_to_files_and_a_search_finds_them_anywhere(world: World) -> None:
    a_bucket(world)
    stored(world, "acme/insight/ann/<b>report.txt")
    stored(world, "top.txt")
    top = page(world)
    assert "acme/" in top
    assert "top.txt" in top
    assert "report" not in top
    inside = page(world, prefix="acme/insight/ann/")
    assert "&lt;b&gt;report.txt" in inside
    assert "<b>report" not in inside
    assert "acme/insight/ann/" in page(world, q="REPORT")
    assert "Nothing matches" in page(world, q="nothing like it")


def test_a_file_is_downloaded_and_deleted(world: World) -> None:
    bucket = a_bucket(world)
    stored(world, "acme/ü 1.txt")
    one = f"{base(world)}/{bucket['id']}"
    leads = world.bob.get(f"{one}/download", params={"key": "acme/ü 1.txt"})
    assert leads.status_code == 303
    assert world.stranger.get(leads.headers["location"]).content == b"hello"
    deleted = world.bob.post(f"{one}/delete", data={"key": "acme/ü 1.txt", "prefix": "acme/"})
    assert deleted.status_code == 303
    assert parse_qs(urlsplit(deleted.headers["location"]).query)["prefix"] == ["acme/"]
    assert used(world)["usedObjects"] == 0
    assert world.charlie.get(f"{one}/download", params={"key": "x"}).status_code == 403


def test_a_link_is_shown_once_listed_and_revoked(world: World) -> None:
    bucket = a_bucket(world)
    stored(world, "a.txt")
    one = f"{base(world)}/{bucket['id']}"
    form = {"key": "a.txt", "life": "86400", "uses": "1", "note": "for the auditor"}
    made = world.bob.post(f"{one}/links", data=form)
    assert made.status_code == 200
    assert "It works once" in made.text
    assert "object?link=" in made.text
    listed = page(world)
    assert "for the auditor" in listed
    assert "object?link=" not in listed
    with reading() as session:
        link_id = session.query(Link.id).scalar()
    world.bob.post(f"{one}/links/{link_id}/revoke")
    assert "revoked" in page(world)
    assert world.bob.post(f"{one}/links", data={**form, "life": "1"}).status_code == 303
    assert world.bob.post(f"{one}/links/revoke").status_code == 303


def test_only_the_store_of_the_bucket_may_be_reached_from_its_page(
    world: World, strict_s3: StrictS3
) -> None:
    a_bucket(world, "here")
    path = f"/dashboard/projects/{world.project}/storage"
    own = world.bob.get(path).headers["content-security-policy"]
    assert "connect-src 'self';" in own
    a_bucket(world, "there", kind="s3", config=strict_s3.config())
    far = world.bob.get(f"{path}?bucket=there").headers["content-security-policy"]
    assert f"connect-src 'self' http://127.0.0.1:{strict_s3.port};" in far
    listed = world.bob.get(f"{STORAGE}/files?bucket=there")
    assert listed.status_code == 200
